/**
 * How far one PostgreSQL primary goes, and what a synchronous standby costs: durable appends by one process, with 1, 64
 * and 256 in flight, on a primary alone and with a standby that confirms each commit, in turn, in one run. Both servers
 * run on this machine, so the standby costs time of the same processors and disk, and no network.
 *
 *   npm run bench:postgres
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { installedPostgres, query, startCluster } from "../test/support/stores/postgres.ts";
import { median } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const APPENDS = Number(process.env.BENCH_CALLS ?? 4_000);
const IN_FLIGHT = [1, 64, 256];

const programs = installedPostgres();
const primary = await startCluster(programs, { fsync: "on" });
const standby = await startStandby();
const store = await openPostgresStore(primary.url, "default");

async function startStandby() {
  const root = mkdtempSync(join(tmpdir(), "userlock-standby-"));
  const folder = join(root, "data");
  // PostgreSQL refuses to run as root.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
  if (nobody) chownSync(root, nobody.uid, nobody.gid);
  const copy = ["-d", primary.url, "-D", folder, "-R", "-X", "stream", "--checkpoint=fast"];
  const { status, stderr } = spawnSync(`${programs}/pg_basebackup`, copy, { ...nobody, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const settings = ["-c", `port=${port}`, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="];
  // A standby must not allow fewer than its primary.
  settings.push("-c", "max_connections=400");
  const child = spawn(`${programs}/postgres`, ["-D", folder, ...settings], { ...nobody, stdio: "ignore" });
  process.once("exit", () => child.kill("SIGQUIT"));
  return {
    async remove() {
      const exited = once(child, "exit");
      child.kill("SIGQUIT");
      await exited;
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Whether commits wait for the standby from now on. */
async function waitForStandby(isWaited: boolean): Promise<void> {
  await query(primary.url, `ALTER SYSTEM SET synchronous_standby_names = '${isWaited ? "*" : ""}'`);
  await query(primary.url, "SELECT pg_reload_conf()");
  for (let tries = 0; isWaited; tries++) {
    const rows = await query<{ sync_state: string }>(primary.url, "SELECT sync_state FROM pg_stat_replication");
    if (rows.some(({ sync_state }) => sync_state === "sync")) break;
    if (tries > 100) throw new Error("the standby does not follow");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let users = 0;
/** Appends a second, and the median time of one, milliseconds. */
interface Load {
  perSecond: number;
  median: number;
}

/** Locks new users, so many at once. */
async function load(inFlight: number): Promise<Load> {
  const times: number[] = [];
  const count = inFlight === 1 ? Math.ceil(APPENDS / 20) : APPENDS;
  let left = count;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const id = `user-${++users}`;
        const at = performance.now();
        const { outcome } = await store.append({
          kind: "user",
          id,
          userId: id,
          expectedVersion: 0,
          events: [
            { type: "user.locked", data: { cause: "manual", reason: "fraud", note: "", since: Date.now() * 1_000 } },
          ],
          time: 1_764_000_000_000_000 + users,
          actor: { subject: "fraud-detector", tokenId: "t1", requestId: "4f1c0d6e", address: "192.0.2.7" },
          owner: { type: "org", id: "acme" },
          state: { id, owner: { type: "org", id: "acme" }, lifecycle: "active", usernames: [] },
          claims: { add: [], remove: [] },
          requires: [],
        });
        if (outcome !== "appended") throw new Error(outcome);
        times.push(performance.now() - at);
      }
    }),
  );
  const perSecond = count / ((performance.now() - started) / 1_000);
  return { perSecond, median: median(times) };
}

await load(64);
const results: { inFlight: number; alone: Load; waited: Load }[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  for (const inFlight of IN_FLIGHT) {
    await waitForStandby(false);
    const alone = await load(inFlight);
    await waitForStandby(true);
    const waited = await load(inFlight);
    results.push({ inFlight, alone, waited });
    const show = ({ perSecond, median }: Load) => `${perSecond.toFixed(0)}/s, p50 ${median.toFixed(2)} ms`;
    console.log(`round ${round}, ${inFlight} in flight: alone ${show(alone)}; with standby ${show(waited)}`);
  }
}
const [server] = await query<{ server_version: string }>(primary.url, "SHOW server_version");
console.log(`\nPostgreSQL ${server?.server_version}, medians of ${ROUNDS} rounds:`);
for (const inFlight of IN_FLIGHT) {
  const rows = results.filter((row) => row.inFlight === inFlight);
  const alone = median(rows.map((row) => row.alone.perSecond));
  const time = median(rows.map((row) => row.alone.median));
  const ratio = median(rows.map(({ alone, waited }) => waited.perSecond / alone.perSecond));
  console.log(
    `${inFlight} in flight: ${alone.toFixed(0)} appends a second, p50 ${time.toFixed(2)} ms; with a standby ${ratio.toFixed(2)} of that`,
  );
}

await store.close();
await standby.remove();
await primary.remove();
