import type { Owner } from "../../domain/access.ts";
import { takePage } from "../limits.ts";
import {
  type AppendResult,
  type Cursor,
  endOf,
  type HoldersPage,
  type HoldersQuery,
  type Link,
  type LinkedRecord,
  type LogPage,
  type LogQuery,
  type Receipt,
  type SearchResult,
  type StreamRecord,
} from "../port.ts";
import type { CountQuery, Counts, Query } from "../query.ts";
import { type KeyedRow, prepareAppends } from "./append.ts";
import { openConnection, prepareReading } from "./connections.ts";
import { prepareLog } from "./log.ts";
import { checkPlace, type Place } from "./place.ts";
import { countStatement, path, searchClauses } from "./search.ts";

/** The key of the receipt that `prove` writes. No call can have it. */
const PROOF_KEY = "userlock: proof of writing";
const PROOF_BYTES = 8_192;

/** One connection, for one instance. Its methods are synchronous and throw what node:sqlite throws. */
export interface Database {
  appendAll(rows: readonly KeyedRow[]): AppendResult[];
  load(kind: string, id: string): StreamRecord | undefined;
  loadByClaim(claim: string): StreamRecord | undefined;
  loadByClaimWith(claim: string, link: Link): LinkedRecord | undefined;
  holders(query: HoldersQuery): HoldersPage;
  /** Runs reads as of one moment. */
  inOneTransaction<Result>(read: () => Result): Result;
  search(query: Query): SearchResult;
  count(query: CountQuery): Counts;
  read(query: LogQuery): LogPage;
  head(): Cursor;
  /** Whether the log has an event at the position, of this time. */
  has(position: bigint, time: bigint): boolean;
  loadReceipt(key: string, time: number): Receipt | undefined;
  keep(receipt: Receipt, time: number): boolean;
  /** Writes about as much as a change, over its last write. */
  prove(): void;
  /**
   * Moves pages from the WAL into the file if it has at least `fromPages`, without waiting for locks. Returns the
   * number of remaining pages.
   */
  checkpoint(fromPages: number): number;
  /** Changes when another connection has committed. */
  dataVersion(): number;
  close(): void;
}

/**
 * Opens a prepared file or a new in-memory database. Throws if the files are not those of the `place`. Searches and
 * reads fail once `isUnwanted` returns true.
 */
export function openDatabase(
  file: string,
  instance: string,
  { place, isUnwanted = () => false }: { place?: Place; isUnwanted?: () => boolean } = {},
): Database {
  const isInPlace = () => place && checkPlace(file, place);
  isInPlace();
  const connection = openConnection(file, isUnwanted);

  const appender = prepareAppends(connection, instance);
  const log = prepareLog(connection, instance);
  const stream = prepareReading<StreamRow>(
    connection,
    `SELECT ${RECORD} FROM streams WHERE instance = ? AND kind = ? AND id = ?`,
  );
  const streamByClaim = prepareReading<StreamRow>(
    connection,
    `SELECT ${RECORD} FROM claims JOIN streams USING (instance, kind, id)
    WHERE claims.instance = ? AND claims.name = ?`,
  );
  const streamByClaimWith = prepareReading<[...StreamRow, ...(StreamRow | NoRow)]>(
    connection,
    `SELECT ${columnsOf("one")}, ${columnsOf("other")}
    FROM claims JOIN streams AS one USING (instance, kind, id)
    LEFT JOIN streams AS other ON other.instance = claims.instance AND other.kind = ?
      AND other.id = CASE json_type(one.state, ?) WHEN 'text' THEN json_extract(one.state, ?) END
    WHERE claims.instance = ? AND claims.name = ?`,
  );
  const receiptAt = prepareReading<[key: string, fingerprint: string, answer: Uint8Array, expires: number]>(
    connection,
    "SELECT key, fingerprint, answer, expires FROM receipts WHERE instance = ? AND key = ? AND expires > ?",
  );
  const proof = connection.prepare(`
    INSERT INTO receipts (instance, key, fingerprint, answer, expires) VALUES (?, ?, '', randomblob(?), ?)
    ON CONFLICT (instance, key) DO UPDATE SET answer = excluded.answer`);
  // The number of pages in the WAL, and how many of them are in the file already.
  const walState = prepareReading<[busy: number, log: number, checkpointed: number]>(
    connection,
    "PRAGMA wal_checkpoint(NOOP)",
  );
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

  return {
    appendAll: (rows) => {
      const results = transaction("BEGIN IMMEDIATE", () => rows.map(appender.append));
      isInPlace();
      return results;
    },
    prove: () => {
      proof.run(instance, PROOF_KEY, PROOF_BYTES, Number.MAX_SAFE_INTEGER);
      isInPlace();
    },
    inOneTransaction: (read) => transaction("BEGIN", read),
    load: (kind, id) => {
      const row = stream.get(instance, kind, id);
      return row && toRecord(row);
    },
    loadByClaim: (claim) => {
      const row = streamByClaim.get(instance, claim);
      return row && toRecord(row);
    },
    loadByClaimWith: (claim, { kind, field }) => {
      const at = path(field);
      const row = streamByClaimWith.get(kind, at, at, instance, claim);
      if (!row) return undefined;
      const [, , , , , , , , ...other] = row;
      return { record: toRecord(row), other: other[0] === null ? undefined : toRecord(other) };
    },
    holders: ({ prefix, after = prefix, limit, only }) => {
      const state = only ? `json_object(${only.map(fieldOf).join(", ")})` : "state";
      // The order of the tables makes SQLite begin with the range of claims.
      const page = prepareReading<[...StreamRow, claim: string]>(
        connection,
        `SELECT ${headOf("streams")}, ${state}, claims.name FROM claims CROSS JOIN streams USING (instance, kind, id)
        WHERE claims.instance = ? AND claims.name > ? AND claims.name < ? ORDER BY claims.name LIMIT ?`,
      );
      const rows = page.iterate(instance, after, endOf(prefix), limit);
      const { taken, isCut } = takePage(rows, ([, , , , , , , state]) => state.length);
      const holders = taken.map((row) => {
        const [, , , , , , , , claim] = row;
        return { claim, record: toRecord(row) };
      });
      return { holders, hasMore: isCut || taken.length === limit };
    },
    search: (query) => {
      const { where, parts, order } = searchClauses(instance, query);
      /** Reads a part only once those before it are read. */
      function* rowsOf(): Iterable<StreamRow> {
        let left = query.limit;
        for (const part of parts) {
          const page = prepareReading<StreamRow>(
            connection,
            `SELECT ${RECORD} FROM streams WHERE ${part.sql} ORDER BY ${order.sql} LIMIT ? OFFSET ?`,
          );
          for (const row of page.iterate(...part.values, ...order.values, left, query.offset)) {
            yield row;
            left--;
          }
          if (left === 0) return;
        }
      }
      return transaction("BEGIN", () => {
        const count = () => connection.prepare(`SELECT count(*) AS total FROM streams WHERE ${where.sql}`);
        const { taken, isCut } = takePage(rowsOf(), ([, , , , , , , state]) => state.length);
        const total = query.total === false ? 0 : Number(count().get(...where.values)?.total);
        return { total, records: taken.map(toRecord), isCut };
      });
    },
    count: (query) => {
      const { sql, values } = countStatement(instance, query);
      const row = prepareReading<[total: number, ofPart: number, top: string, ...tests: number[]]>(connection, sql);
      const [total, ofPart, top, ...tests] = row.get(...values) ?? [0, 0, "[]"];
      const ofAll = query.tests.length;
      return {
        total,
        tests: tests.slice(0, ofAll),
        part: { total: ofPart, tests: tests.slice(ofAll), top: toTop(JSON.parse(top)) },
      };
    },
    read: (query) => transaction("BEGIN", () => log.read(query)),
    head: log.head,
    has: log.has,
    loadReceipt: (key, time) => {
      const row = receiptAt.get(instance, key, time);
      if (!row) return undefined;
      const [, fingerprint, answer, expires] = row;
      return { key, fingerprint, answer, expires };
    },
    keep: (receipt, time) => {
      const isKept = transaction("BEGIN IMMEDIATE", () => appender.keep(receipt, time));
      isInPlace();
      return isKept;
    },
    checkpoint: (fromPages) => {
      const pagesToMove = () => {
        const [, pages, moved] = walState.get() ?? [0, 0, 0];
        return pages - moved;
      };
      if (pagesToMove() < fromPages) return 0;
      moveWal.get();
      return pagesToMove();
    },
    dataVersion: () => Number(dataVersion.get()?.data_version),
    close: () => connection.close(),
  };
}

/** The columns of a record, in the order of StreamRow. */
const HEAD = ["kind", "id", "version", "owner_type", "owner_id", "created", "changed"];
const RECORD = [...HEAD, "state"].join(", ");
const headOf = (table: string) => HEAD.map((name) => `${table}.${name}`).join(", ");
const columnsOf = (table: string) => `${headOf(table)}, ${table}.state`;

/** A field of a state as the name and the value of an object. */
function fieldOf(field: string): string {
  const at = path(field);
  return `'${at.slice("$.".length)}', state -> '${at}'`;
}

type StreamRow = [
  kind: string,
  id: string,
  version: number,
  ownerType: Owner["type"],
  ownerId: string,
  created: number,
  changed: number,
  state: string,
];

function toTop(pairs: [text: string, count: number][]): Counts["part"]["top"] {
  return pairs.map(([text, count]) => ({ text, count }));
}

/** The row that a LEFT JOIN returns without a match. */
type NoRow = [kind: null, ...unknown[]];

function toRecord(row: readonly [...StreamRow, ...unknown[]]): StreamRecord {
  const [kind, id, version, type, ownerId, created, changed, state] = row;
  return { kind, id, version, owner: { type, id: ownerId }, created, changed, state: JSON.parse(state) };
}
