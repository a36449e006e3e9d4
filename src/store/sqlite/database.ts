import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Owner } from "../../domain/access.ts";
import { fold } from "../../domain/fold.ts";
import { toCursor } from "../cursor.ts";
import type {
  Cursor,
  Link,
  LinkedRecord,
  LogPage,
  LogQuery,
  Query,
  Receipt,
  RecordedEvent,
  SearchResult,
  StreamRecord,
} from "../port.ts";
import { LOG_START, StoreRefused } from "../port.ts";
import { IN_MEMORY } from "../settings.ts";
import { prepareAppends } from "./append.ts";
import { type Batch, fromBatch, type RowAnswer } from "./batch.ts";
import { findEvents } from "./log.ts";
import { takePage } from "./page.ts";
import { checkPlace, type Place } from "./place.ts";
import { migrate } from "./schema.ts";
import { path, searchClauses } from "./search.ts";

/** How long a connection waits for another process's write, milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** What is written to see whether it can be: a receipt that no call can have. */
const PROOF_KEY = "userlock: proof of writing";
const PROOF_BYTES = 8_192;
/** How long a start waits for the other processes that start, milliseconds. */
const START_TIMEOUT_MS = 20_000;

/** One connection to the file, for one instance. Its methods are synchronous and throw what node:sqlite throws. */
export interface Database {
  appendAll(batch: Batch): RowAnswer[];
  load(kind: string, id: string): StreamRecord | undefined;
  loadByClaim(claim: string): StreamRecord | undefined;
  loadByClaimWith(claim: string, link: Link): LinkedRecord | undefined;
  /** All that it reads is as of one moment. */
  inOneTransaction(read: () => void): void;
  search(query: Query): SearchResult;
  read(query: LogQuery): LogPage;
  head(): Cursor;
  loadReceipt(key: string, time: number): Receipt | undefined;
  keep(receipt: Receipt, time: number): boolean;
  /** Writes about as much as a change does, in the place of what it wrote before. */
  prove(): void;
  /**
   * Moves pages from the WAL into the file, if it has so many; waits for nobody. Returns how many are still to be
   * moved.
   */
  checkpoint(fromPages: number): number;
  /** Changes whenever another connection has committed. */
  dataVersion(): number;
  close(): void;
}

/**
 * Creates the file (mode 0600, for it holds personal data) and its schema where they are missing. Throws StoreRefused
 * if the file cannot be used.
 */
export async function prepareFile(file: string): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "a", 0o600));
  } catch (error) {
    throw new StoreRefused(`The file ${file} cannot be opened for writing: ${(error as Error).message}`);
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
      const { errcode, message } = error as { errcode?: number; message: string };
      if (errcode === undefined) throw error;
      const SQLITE_BUSY = 5;
      if ((errcode & 0xff) !== SQLITE_BUSY || Date.now() > deadline) {
        throw new StoreRefused(`The file ${file} cannot be used as a store: ${message}`);
      }
      await sleep(50);
    }
  }
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

/**
 * Opens a connection to a prepared file, or to a new database in memory. It makes no file, and throws if the files are
 * not those of the `place`. What it searches for or reads ends with an error when it `isUnwanted`.
 */
export function openDatabase(
  file: string,
  instance: string,
  { place, isUnwanted = () => false }: { place?: Place; isUnwanted?: () => boolean } = {},
): Database {
  const isInPlace = () => place && checkPlace(file, place);
  isInPlace();
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

  const appender = prepareAppends(connection, instance);
  const stream = connection.prepare(`SELECT ${RECORD} FROM streams WHERE instance = ? AND kind = ? AND id = ?`);
  const streamByClaim = connection.prepare(`
    SELECT ${RECORD} FROM claims JOIN streams USING (instance, kind, id)
    WHERE claims.instance = ? AND claims.name = ?`);
  const streamByClaimWith = connection.prepare(`
    SELECT ${columnsOf("one")}, ${columnsOf("other")}
    FROM claims JOIN streams AS one USING (instance, kind, id)
    LEFT JOIN streams AS other ON other.instance = claims.instance AND other.kind = ?
      AND other.id = CASE json_type(one.state, ?) WHEN 'text' THEN json_extract(one.state, ?) END
    WHERE claims.instance = ? AND claims.name = ?`);
  for (const statement of [stream, streamByClaim, streamByClaimWith]) statement.setReturnArrays(true);
  const lastPosition = connection.prepare("SELECT max(position) AS position FROM events");
  const receiptAt = connection.prepare("SELECT * FROM receipts WHERE instance = ? AND key = ? AND expires > ?");
  const proof = connection.prepare(`
    INSERT INTO receipts (instance, key, fingerprint, answer, expires) VALUES (?, ?, '', randomblob(?), ?)
    ON CONFLICT (instance, key) DO UPDATE SET answer = excluded.answer`);
  const walState = connection.prepare("PRAGMA wal_checkpoint(NOOP)");
  const moveWal = connection.prepare("PRAGMA wal_checkpoint(PASSIVE)");
  const dataVersion = connection.prepare("PRAGMA data_version");

  function transaction<Result>(begin: string, run: () => Result): Result {
    connection.exec(begin);
    try {
      const result = run();
      connection.exec("COMMIT");
      return result;
    } catch (error) {
      if (connection.isTransaction) connection.exec("ROLLBACK");
      throw error;
    }
  }

  function head(): Cursor {
    const position = lastPosition.get()?.position as number | null;
    return position === null ? LOG_START : toCursor(position);
  }

  return {
    appendAll: (batch) => {
      const answers = transaction("BEGIN IMMEDIATE", () => fromBatch(batch).map(appender.append));
      isInPlace();
      return answers;
    },
    prove: () => {
      proof.run(instance, PROOF_KEY, PROOF_BYTES, Number.MAX_SAFE_INTEGER);
      isInPlace();
    },
    inOneTransaction: (read) => transaction("BEGIN", read),
    load: (kind, id) => toRecord(stream.get(instance, kind, id)),
    loadByClaim: (claim) => toRecord(streamByClaim.get(instance, claim)),
    loadByClaimWith: (claim, { kind, field }) => {
      const at = path(field);
      const row = streamByClaimWith.get(kind, at, at, instance, claim) as unknown[] | undefined;
      const other = row?.slice(CELLS);
      return row && { record: toRecord(row) as StreamRecord, other: other?.[0] === null ? undefined : toRecord(other) };
    },
    search: (query) => {
      const { where, order } = searchClauses(instance, query);
      return transaction("BEGIN", () => {
        const count = () => connection.prepare(`SELECT count(*) AS total FROM streams WHERE ${where.sql}`);
        const page = connection.prepare(
          `SELECT ${RECORD} FROM streams WHERE ${where.sql} ORDER BY ${order.sql} LIMIT ? OFFSET ?`,
        );
        page.setReturnArrays(true);
        const rows = page.iterate(...where.values, ...order.values, query.limit, query.offset);
        const { taken, isCut } = takePage(rows as Iterable<unknown>, (row) => stateOf(row).length);
        return {
          total: query.total === false ? 0 : (count().get(...where.values)?.total as number),
          records: taken.map((row) => toRecord(row) as StreamRecord),
          isCut,
        };
      });
    },
    read: (query) =>
      transaction("BEGIN", () => {
        const { rows, bound } = findEvents(connection, instance, query);
        const events = rows.slice(0, query.limit).map(toEvent);
        if (rows.length > query.limit) return { events, cursor: events.at(-1)?.cursor ?? head(), hasMore: true };
        if (bound !== undefined) return { events, cursor: toCursor(bound), hasMore: true };
        return { events, cursor: query.descending ? LOG_START : head(), hasMore: false };
      }),
    head,
    loadReceipt: (key, time) => {
      const row = receiptAt.get(instance, key, time);
      return row && toReceipt(row);
    },
    keep: (receipt, time) => {
      const isKept = transaction("BEGIN IMMEDIATE", () => appender.keep(receipt, time));
      isInPlace();
      return isKept;
    },
    checkpoint: (fromPages) => {
      const pagesToMove = () => {
        const { log, checkpointed } = walState.get() as { log: number; checkpointed: number };
        return log - checkpointed;
      };
      if (pagesToMove() < fromPages) return 0;
      moveWal.get();
      return pagesToMove();
    },
    dataVersion: () => dataVersion.get()?.data_version as number,
    close: () => connection.close(),
  };
}

type Columns = Record<string, unknown>;

/** The columns of a record, in the order of its cells. */
const COLUMNS = ["kind", "id", "version", "owner_type", "owner_id", "created", "changed", "state"];
const CELLS = COLUMNS.length;
const RECORD = COLUMNS.join(", ");
const columnsOf = (table: string) => COLUMNS.map((name) => `${table}.${name}`).join(", ");
type RecordCells = [string, string, number, Owner["type"], string, number, number, string];

const stateOf = (row: unknown) => (row as RecordCells)[7];

function toRecord(row: unknown): StreamRecord | undefined {
  if (row === undefined) return undefined;
  const [kind, id, version, type, ownerId, created, changed, state] = row as RecordCells;
  return { kind, id, version, owner: { type, id: ownerId }, created, changed, state: JSON.parse(state) };
}

function toEvent(row: Columns): RecordedEvent {
  return {
    cursor: toCursor(row.position as number),
    kind: row.kind as string,
    id: row.id as string,
    version: row.version as number,
    type: row.type as string,
    owner: { type: row.owner_type as Owner["type"], id: row.owner_id as string },
    userId: (row.user_id as string | null) ?? undefined,
    time: row.time as number,
    actor: JSON.parse(row.actor as string),
    data: JSON.parse(row.data as string),
  };
}

function toReceipt(row: Columns): Receipt {
  return {
    key: row.key as string,
    fingerprint: row.fingerprint as string,
    answer: row.answer as Uint8Array,
    expires: row.expires as number,
  };
}
