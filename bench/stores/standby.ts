import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { installedPostgres, query, startCluster } from "../../test/support/stores/postgres.ts";
import { toCreate } from "../support/appends.ts";
import type { Bench, Side } from "../support/compare.ts";
import { CALLS } from "../support/sizes.ts";
import { median, show } from "../support/statistics.ts";

const IN_FLIGHT = [1, 64, 256];
const APPENDS = Math.min(CALLS, 4_000);

/**
 * The append rate of one process on one PostgreSQL primary, with and without a synchronous standby. All servers run on
 * this machine, so the standby costs CPU and disk time, and no network time.
 */
export const standby: Bench = {
  name: "appends on PostgreSQL with a synchronous standby ÷ without",
  parts: IN_FLIGHT.map((inFlight) => `${inFlight} in flight`),
  isUnpinned: true,
  ours: () => appending(true),
  theirs: () => appending(false),
};

async function appending(isWaited: boolean): Promise<Side> {
  const programs = installedPostgres();
  const primary = await startCluster(programs, { fsync: "on" });
  const follower = isWaited ? await startStandby(programs, primary.url) : undefined;
  const store = await openPostgresStore(primary.url, "default");
  let users = 0;

  /** Appends per second, and the median time of one in milliseconds. */
  async function load(inFlight: number) {
    const count = inFlight === 1 ? Math.ceil(APPENDS / 20) : APPENDS;
    const times: number[] = [];
    let left = count;
    const started = performance.now();
    async function one(): Promise<void> {
      while (left-- > 0) {
        const at = performance.now();
        const { outcome } = await store.append(toCreate(`user-${++users}`));
        if (outcome !== "appended") throw new Error(outcome);
        times.push(performance.now() - at);
      }
    }
    await Promise.all(Array.from({ length: inFlight }, one));
    return { rate: (1_000 * count) / (performance.now() - started), time: median(times) };
  }

  return {
    async sample() {
      const loads: Awaited<ReturnType<typeof load>>[] = [];
      for (const inFlight of IN_FLIGHT) loads.push(await load(inFlight));
      const line = loads.map(({ rate, time }) => `${show(rate)}/s, p50 ${show(time)} ms`).join("; ");
      return { values: loads.map(({ rate }) => rate), line };
    },
    async stop() {
      await store.close();
      await follower?.remove();
      await primary.remove();
    },
  };
}

/** Starts a standby that confirms each commit of the primary from now on. */
async function startStandby(programs: string, primary: string): Promise<{ remove(): Promise<void> }> {
  const root = mkdtempSync(join(tmpdir(), "userlock-standby-"));
  const folder = join(root, "data");
  // PostgreSQL refuses to run as root.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
  if (nobody) chownSync(root, nobody.uid, nobody.gid);
  const copy = ["-d", primary, "-D", folder, "-R", "-X", "stream", "--checkpoint=fast"];
  const { status, stderr } = spawnSync(`${programs}/pg_basebackup`, copy, { ...nobody, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const settings = ["-c", `port=${port}`, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="];
  // A standby must allow at least as many connections as its primary.
  settings.push("-c", "max_connections=400");
  const child = spawn(`${programs}/postgres`, ["-D", folder, ...settings], { ...nobody, stdio: "ignore" });
  process.once("exit", () => child.kill("SIGQUIT"));
  await query(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
  await query(primary, "SELECT pg_reload_conf()");
  for (let tries = 0; ; tries++) {
    const rows = await query<{ sync_state: string }>(primary, "SELECT sync_state FROM pg_stat_replication");
    if (rows.some(({ sync_state }) => sync_state === "sync")) break;
    if (tries > 100) throw new Error("the standby does not follow");
    await sleep(100);
  }
  return {
    async remove() {
      const exited = once(child, "exit");
      child.kill("SIGQUIT");
      await exited;
      rmSync(root, { recursive: true, force: true });
    },
  };
}
