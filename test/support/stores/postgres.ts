import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";

/** A PostgreSQL server for one test. Each method resolves when it is complete. */
export interface Cluster {
  /** Address of the first database. */
  url: string;
  start(): Promise<void>;
  /** Shuts the server down. */
  stop(): Promise<void>;
  /** Ends the server at once, like a power cut. */
  crash(): Promise<void>;
  /** Removes the server and its data. */
  remove(): Promise<void>;
}

/**
 * Starts a server with the programs from npm, or with those in the folder `installation`, which has `initdb` and
 * `postgres`. With `fsync` "on" its commits are on disk, as benchmarks need it.
 */
export async function startCluster(installation = "", { fsync = "off" } = {}): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), "userlock-postgres-"));
  const child = spawn(process.execPath, ["test/support/stores/postgres-cluster.ts", folder, installation, fsync], {
    stdio: ["pipe", "pipe", "pipe"],
    // Outside the terminal's process group, so it can clean up when the runner is interrupted.
    detached: true,
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  async function nextLine(): Promise<string> {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the PostgreSQL server did not start: ${stderr}`);
    return value;
  }
  async function order(name: string): Promise<void> {
    child.stdin.write(`${name}\n`);
    await nextLine();
  }

  const port = await nextLine();
  // The runner does not wait for a shared server, which ends with the runner.
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
  return {
    url: `postgres://userlock:secret-of-the-tests@127.0.0.1:${port}/postgres`,
    start: () => order("start"),
    stop: () => order("stop"),
    crash: () => order("crash"),
    async remove() {
      child.ref();
      const exited = new Promise((resolve) => child.once("close", resolve));
      child.stdin.end();
      await exited;
    },
  };
}

/** The folder with the programs of the newest installed PostgreSQL, including `pg_dump`. */
export function installedPostgres(): string {
  const home = "/usr/lib/postgresql";
  const versions = existsSync(home) ? readdirSync(home).map(Number) : [];
  const folders = versions.sort((a, b) => b - a).map((version) => `${home}/${version}/bin`);
  const found = folders.find((path) => existsSync(`${path}/initdb`) && existsSync(`${path}/pg_dump`));
  if (found === undefined) throw new Error("PostgreSQL with pg_dump is not installed: Debian's package is postgresql");
  return found;
}

/** A database for one test. */
export interface Database {
  url: string;
  /** Runs SQL like another program. */
  query<Row>(text: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/**
 * A new empty database on the server of TEST_DATABASE_URL, or on one from npm. That one starts for the first test that
 * needs it, and ends with the run.
 */
export async function newDatabase(options = ""): Promise<Database> {
  const server = process.env.TEST_DATABASE_URL ?? (await sharedServer());
  const name = `test_${randomBytes(8).toString("hex")}`;
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  await query(server, `CREATE DATABASE ${name} TEMPLATE template0 ${options}`);
  return {
    url,
    query: (text, values) => query(url, text, values),
    drop: async () => {
      await query(server, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

export async function query<Row>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** The shared server of this run. Jest's main process starts it for the first test file that needs it. */
async function sharedServer(): Promise<string> {
  const response = await fetch(process.env.SHARED_POSTGRES as string);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}
