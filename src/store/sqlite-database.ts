import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cursor, Query, RecordedEvent, SearchResult, StreamRecord } from "./port.ts";
import { StoreRefused } from "./port.ts";
import { migrate } from "./sqlite-schema.ts";
import { searchClauses } from "./sqlite-search.ts";

export const IN_MEMORY = ":memory:";

/** How long a connection waits for another process's write, milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** How long a start waits for the other processes that start, milliseconds. */
const START_TIMEOUT_MS = 20_000;

/** An append whose JSON is text already, so that it crosses threads as it is and a bad value fails its caller alone. */
export interface Row {
  kind: string;
  id: string;
  expectedVersion: number;
  events: readonly { type: string; data: string }[];
  time: number;
  actor: string;
  ownerType: string;
  ownerId: string;
  state: string;
  claims: { add: readonly string[]; remove: readonly string[] };
  requires: readonly { kind: string; id: string; version: number }[];
}

export type RowResult =
  | { outcome: "appended"; created: number }
  | { outcome: "conflict" }
  | { outcome: "claimed"; claim: string };

/** One connection to the file, for one instance. Its methods are synchronous and throw what node:sqlite throws. */
export interface Database {
  appendAll(rows: readonly Row[]): RowResult[];
  load(kind: string, id: string): StreamRecord | undefined;
  loadByClaim(claim: string): StreamRecord | undefined;
  search(query: Query): SearchResult;
  read(after: Cursor | undefined, limit: number): { events: RecordedEvent[]; cursor: Cursor | undefined };
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
  connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
}

/** Opens a connection to a prepared file, or to a new database in memory. */
export function openDatabase(file: string, instance: string): Database {
  const connection = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
  if (file === IN_MEMORY) migrate(connection);
  makeDurable(connection);
  connection.function("fold", { deterministic: true }, (text) =>
    typeof text === "string" ? text.toLowerCase() : null,
  );

  const version = connection.prepare("SELECT version FROM streams WHERE instance = ? AND kind = ? AND id = ?");
  const otherHolder = connection.prepare(
    "SELECT 1 FROM claims WHERE instance = ? AND name = ? AND NOT (kind = ? AND id = ?)",
  );
  const insertEvent = connection.prepare(
    "INSERT INTO events (instance, kind, id, version, type, time, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
  );
  const saveStream = connection.prepare(`
    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (instance, kind, id) DO UPDATE SET
      version = excluded.version, owner_type = excluded.owner_type, owner_id = excluded.owner_id,
      changed = excluded.changed, state = excluded.state
    RETURNING created`);
  const addClaim = connection.prepare(
    "INSERT INTO claims (instance, name, kind, id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const removeClaim = connection.prepare("DELETE FROM claims WHERE instance = ? AND name = ? AND kind = ? AND id = ?");
  const stream = connection.prepare("SELECT * FROM streams WHERE instance = ? AND kind = ? AND id = ?");
  const streamByClaim = connection.prepare(`
    SELECT streams.* FROM claims JOIN streams USING (instance, kind, id)
    WHERE claims.instance = ? AND claims.name = ?`);
  const eventsAfter = connection.prepare(
    "SELECT * FROM events WHERE instance = ? AND position > ? ORDER BY position LIMIT ?",
  );
  const dataVersion = connection.prepare("PRAGMA data_version");

  function append(row: Row): RowResult {
    const isAt = (kind: string, id: string, expected: number) =>
      (version.get(instance, kind, id)?.version ?? 0) === expected;
    const isAsExpected = isAt(row.kind, row.id, row.expectedVersion);
    if (!isAsExpected || !row.requires.every((other) => isAt(other.kind, other.id, other.version))) {
      return { outcome: "conflict" };
    }
    const claim = row.claims.add.find((name) => otherHolder.get(instance, name, row.kind, row.id) !== undefined);
    if (claim !== undefined) return { outcome: "claimed", claim };
    for (const name of row.claims.remove) removeClaim.run(instance, name, row.kind, row.id);
    for (const name of row.claims.add) addClaim.run(instance, name, row.kind, row.id);
    for (const [index, { type, data }] of row.events.entries()) {
      insertEvent.run(instance, row.kind, row.id, row.expectedVersion + index + 1, type, row.time, row.actor, data);
    }
    const next = row.expectedVersion + row.events.length;
    const { kind, id, ownerType, ownerId, time, state } = row;
    const saved = saveStream.get(instance, kind, id, next, ownerType, ownerId, time, time, state);
    return { outcome: "appended", created: saved?.created as number };
  }

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
    appendAll: (rows) => transaction("BEGIN IMMEDIATE", () => rows.map(append)),
    load: (kind, id) => toRecord(stream.get(instance, kind, id)),
    loadByClaim: (claim) => toRecord(streamByClaim.get(instance, claim)),
    search: (query) => {
      const { where, order } = searchClauses(instance, query);
      return transaction("BEGIN", () => {
        const count = connection.prepare(`SELECT count(*) AS total FROM streams WHERE ${where.sql}`);
        const page = connection.prepare(
          `SELECT * FROM streams WHERE ${where.sql} ORDER BY ${order.sql} LIMIT ? OFFSET ?`,
        );
        return {
          total: count.get(...where.values)?.total as number,
          records: page
            .all(...where.values, ...order.values, query.limit, query.offset)
            .map((row) => toRecord(row) as StreamRecord),
        };
      });
    },
    read: (after, limit) => {
      const events = eventsAfter.all(instance, Number(after ?? 0), limit).map(toEvent);
      return { events, cursor: events.at(-1)?.cursor ?? after };
    },
    dataVersion: () => dataVersion.get()?.data_version as number,
    close: () => connection.close(),
  };
}

type Columns = Record<string, unknown>;

function toRecord(row: Columns | undefined): StreamRecord | undefined {
  return (
    row && {
      kind: row.kind as string,
      id: row.id as string,
      version: row.version as number,
      owner: { type: row.owner_type as StreamRecord["owner"]["type"], id: row.owner_id as string },
      created: row.created as number,
      changed: row.changed as number,
      state: JSON.parse(row.state as string),
    }
  );
}

function toEvent(row: Columns): RecordedEvent {
  return {
    cursor: String(row.position),
    kind: row.kind as string,
    id: row.id as string,
    version: row.version as number,
    type: row.type as string,
    time: row.time as number,
    actor: JSON.parse(row.actor as string),
    data: JSON.parse(row.data as string),
  };
}
