import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";

/** A server that a test has for itself. Its methods resolve when it is done. */
export interface Cluster {
  /** Address of its first database. */
  url: string;
  start(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut does. */
  crash(): Promise<void>;
  /** Leaves nothing behind. */
  remove(): Promise<void>;
}

/**
 * Starts a server of its own with the programs from npm, or with those of an installation: the folder with `initdb` and
 * `postgres`. With `fsync` "on" what it answers is on disk, as measurements want it.
 */
export async function startCluster(installation = "", { fsync = "off" } = {}): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), "userlock-postgres-"));
  const child = spawn(process.execPath, ["test/support/stores/postgres-cluster.ts", folder, installation, fsync], {
    stdio: ["pipe", "pipe", "pipe"],
    // Not in the terminal's group, so that it can put things away when the runner is interrupted.
    detached: true,
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  async function nextLine(): Promise<string> {
    const { value, done } = await lines.next();
    if (done) throw new Error(`no PostgreSQL server: ${stderr}`);
    return value;
  }
  async function order(name: string): Promise<void> {
    child.stdin.write(`${name}\n`);
    await nextLine();
  }

  const port = await nextLine();
  // The runner does not wait for a server that is shared by its test files: it goes when the runner does.
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

/** The folder with the programs of the newest PostgreSQL that is installed here, `pg_dump` and its like among them. */
export function installedPostgres(): string {
  const home = "/usr/lib/postgresql";
  const versions = existsSync(home) ? readdirSync(home).map(Number) : [];
  const folders = versions.sort((a, b) => b - a).map((version) => `${home}/${version}/bin`);
  const found = folders.find((path) => existsSync(`${path}/initdb`) && existsSync(`${path}/pg_dump`));
  if (found === undefined) throw new Error("PostgreSQL with pg_dump is not installed: Debian's package is postgresql");
  return found;
}

/** A database that a test has for itself. */
export interface Database {
  url: string;
  /** Runs SQL as another program would. */
  query<Row>(text: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/**
 * A new empty database on the server of TEST_DATABASE_URL, or else on one from npm, which starts for the first test
 * that asks and is there until the run has ended.
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

/** The server of this run, which jest's own process starts for the first test file that asks. */
async function sharedServer(): Promise<string> {
  const response = await fetch(process.env.SHARED_POSTGRES as string);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}
