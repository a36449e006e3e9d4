import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { fold } from "../../domain/fold.ts";
import { StoreRefused } from "../port.ts";
import { IN_MEMORY } from "../settings.ts";
import { migrate } from "./schema.ts";

/** How long a connection waits for a write of another process, milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** How long a start waits for other processes that start, milliseconds. */
const START_TIMEOUT_MS = 20_000;
const SQLITE_BUSY = 5;

/**
 * Creates the file (mode 0600, because it has personal data) and its schema if missing. Throws StoreRefused if the file
 * cannot be used.
 */
export async function prepareFile(file: string): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "a", 0o600));
  } catch (error) {
    throw new StoreRefused(`The file ${file} cannot be opened for writing: ${messageOf(error)}`);
  }
  // SQLite does not wait for a lock when the journal mode changes, so processes that start together can collide.
  for (const deadline = Date.now() + START_TIMEOUT_MS; ; ) {
    try {
      // The file stores the journal mode, so it is set only once the file is known to be userlock's.
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
 * Opens a connection to an existing prepared file, or to a new in-memory database. Adds the functions `fold`, as in
 * domain/fold.ts, and `is_wanted`, which aborts a statement once `isUnwanted` returns true.
 */
export function openConnection(file: string, isUnwanted: () => boolean): DatabaseSync {
  const existing = Object.assign(pathToFileURL(resolve(file)), { search: "?mode=rw" });
  const connection = new DatabaseSync(file === IN_MEMORY ? file : existing, { timeout: BUSY_TIMEOUT_MS });
  if (file === IN_MEMORY) migrate(connection);
  makeDurable(connection);
  makeFast(connection);
  connection.function("fold", { deterministic: true }, (text) => (typeof text === "string" ? fold(text) : null));
  // SQLite calls it for each row, because it is not declared deterministic.
  connection.function("is_wanted", () => {
    if (isUnwanted()) throw new Error("the caller no longer waits for the answer");
    return 1;
  });
  return connection;
}

function makeDurable(connection: DatabaseSync): void {
  connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;");
}

/**
 * The cache is small, because commits often scan all of it and changes rarely hit a cached page. Checkpoints normally
 * run elsewhere. The automatic one is a fallback, in the connection that commits.
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

/** Prepares a statement that returns tuples of type `Row`, which take a third less time than objects. */
export function prepareReading<Row extends readonly unknown[]>(connection: DatabaseSync, sql: string): Reading<Row> {
  const statement = connection.prepare(sql);
  statement.setReturnArrays(true);
  // The types of node:sqlite support only objects.
  const untyped: unknown = statement;
  return untyped as Reading<Row>;
}

/** SQLite's result code (https://www.sqlite.org/rescode.html), for an error of SQLite. */
export function codeOf(error: unknown): number | undefined {
  const isOfSqlite = typeof error === "object" && error !== null && "errcode" in error;
  return isOfSqlite && typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

export function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
}
