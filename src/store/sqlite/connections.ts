import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { fold } from "../../domain/fold.ts";
import { StoreRefused } from "../port.ts";
import { IN_MEMORY } from "../settings.ts";
import { migrate } from "./schema.ts";

/** How long a connection waits for another process's write, milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** How long a start waits for the other processes that start, milliseconds. */
const START_TIMEOUT_MS = 20_000;
const SQLITE_BUSY = 5;

/**
 * Creates the file (mode 0600, for it holds personal data) and its schema where they are missing. Throws StoreRefused
 * if the file cannot be used.
 */
export async function prepareFile(file: string): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "a", 0o600));
  } catch (error) {
    throw new StoreRefused(`The file ${file} cannot be opened for writing: ${messageOf(error)}`);
  }
  // SQLite does not wait for a lock when the journal mode changes, so processes that start together can collide here.
  for (const deadline = Date.now() + START_TIMEOUT_MS; ; ) {
    try {
      // The journal mode is kept in the file, so it is set once the file is known to be userlock's.
      const connection = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
      try {
        migrate(connection);
        makeDurable(connection);
      } finally {
        connection.close();
      }
      return;
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      if (code !== SQLITE_BUSY || Date.now() > deadline) {
        throw new StoreRefused(`The file ${file} cannot be used as a store: ${messageOf(error)}`);
      }
      await sleep(50);
    }
  }
}

/**
 * Opens a connection to a prepared file, which it does not make, or to a new database in memory. Its statements may
 * call `fold`, as in domain/fold.ts, and `is_wanted`, which ends the statement when the answer `isUnwanted`.
 */
export function openConnection(file: string, isUnwanted: () => boolean): DatabaseSync {
  const existing = Object.assign(pathToFileURL(resolve(file)), { search: "?mode=rw" });
  const connection = new DatabaseSync(file === IN_MEMORY ? file : existing, { timeout: BUSY_TIMEOUT_MS });
  if (file === IN_MEMORY) migrate(connection);
  makeDurable(connection);
  makeFast(connection);
  connection.function("fold", { deterministic: true }, (text) => (typeof text === "string" ? fold(text) : null));
  // It is asked for each row. As it may say something else each time, SQLite does not ask it once for all of them.
  connection.function("is_wanted", () => {
    if (isUnwanted()) throw new Error("nobody waits for the answer any more");
    return 1;
  });
  return connection;
}

function makeDurable(connection: DatabaseSync): void {
  connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;");
}

/**
 * A commit looks through the whole cache more often than not, and a change is seldom of a page that was changed a
 * moment ago; so the cache is small. The WAL is emptied beforehand, but where that fails the connection that commits
 * does it.
 */
function makeFast(connection: DatabaseSync): void {
  connection.exec(`
    PRAGMA cache_size = -8000; -- kibibytes
    PRAGMA wal_autocheckpoint = 16000; -- pages
    PRAGMA journal_size_limit = 67108864`);
}

/** A statement that reads. */
export interface Reading<Row> {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
  iterate(...values: SQLInputValue[]): Iterable<Row>;
}

/** Prepares a statement. Its rows are tuples, which take a third less time than objects, and of the type that it says. */
export function prepareReading<Row extends readonly unknown[]>(connection: DatabaseSync, sql: string): Reading<Row> {
  const statement = connection.prepare(sql);
  statement.setReturnArrays(true);
  // The types of node:sqlite know only objects.
  const untyped: unknown = statement;
  return untyped as Reading<Row>;
}

/** SQLite's result code (https://www.sqlite.org/rescode.html), if it is an error of SQLite. */
export function codeOf(error: unknown): number | undefined {
  const isOfSqlite = typeof error === "object" && error !== null && "errcode" in error;
  return isOfSqlite && typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

export function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
}
