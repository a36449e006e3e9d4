import type { DatabaseSync } from "node:sqlite";
import { type Row, toRow } from "../append-row.ts";
import { INDEXED_FIELDS, type Keys, keysOf } from "../indexed-fields.ts";
import type { Append, AppendResult, Receipt } from "../port.ts";
import { prepareReading } from "./connections.ts";

/** An append with the values of its indexed columns. */
export interface KeyedRow extends Row {
  keys: Keys;
  /** The actor's subject. */
  subject: string;
}

/** Serializes an append. Throws a TypeError for a value that is not JSON, or text that not every store can keep. */
export function toKeyedRow(append: Append): KeyedRow {
  return Object.assign(toRow(append), { keys: keysOf(append.state), subject: append.actor.subject });
}

/** The approximate size of its write, UTF-16 code units. */
export function lengthOf({ state, actor, events, receipt }: KeyedRow): number {
  const ofEvents = events.reduce((sum, { data }) => sum + actor.length + data.length, 0);
  return state.length + ofEvents + (receipt?.answer.length ?? 0);
}

/** Writes rows and receipts. Its functions need an exclusive write transaction. */
interface Appender {
  append(row: KeyedRow): AppendResult;
  /** Whether the key had no receipt yet. */
  keep(receipt: Receipt, time: number): boolean;
}

const FIELDS = INDEXED_FIELDS.map(({ column }) => column);

/**
 * Prepares three statements per change: find the stream, insert the event, write the state. None has a RETURNING,
 * because SQLite would create and drop a table each time.
 */
export function prepareAppends(connection: DatabaseSync, instance: string): Appender {
  const streamRow = prepareReading<[rowid: number, version: number, hasKeys: 0 | 1]>(
    connection,
    `SELECT rowid, version, ${FIELDS.map((column) => `${column} IS ?`).join(" AND ")}
    FROM streams WHERE instance = ? AND kind = ? AND id = ?`,
  );
  const insertEvent = connection.prepare(`
    INSERT INTO events (instance, kind, id, version, type, owner_type, owner_id, user_id, time, actor, subject, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const insertStream = connection.prepare(`
    INSERT INTO streams (instance, kind, id, created, version, owner_type, owner_id, changed, state, ${FIELDS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ${FIELDS.map(() => "?")})`);
  const SET = "UPDATE streams SET version = ?, owner_type = ?, owner_id = ?, changed = ?, state = ?";
  const updateStream = connection.prepare(`${SET} WHERE rowid = ?`);
  const updateWithKeys = connection.prepare(
    `${SET}, ${FIELDS.map((column) => `${column} = ?`).join(", ")} WHERE rowid = ?`,
  );
  const version = connection.prepare("SELECT version FROM streams WHERE instance = ? AND kind = ? AND id = ?");
  const withSubject = connection.prepare(
    "SELECT 1 FROM streams WHERE instance = ? AND kind = ? AND subject = ? LIMIT 1",
  );
  const otherHolder = connection.prepare(
    "SELECT 1 FROM claims WHERE instance = ? AND name = ? AND NOT (kind = ? AND id = ?)",
  );
  const addClaim = connection.prepare(
    "INSERT INTO claims (instance, name, kind, id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const removeClaim = connection.prepare("DELETE FROM claims WHERE instance = ? AND name = ? AND kind = ? AND id = ?");
  const receiptAt = connection.prepare("SELECT 1 FROM receipts WHERE instance = ? AND key = ? AND expires > ?");
  const saveReceipt = connection.prepare(
    "INSERT OR REPLACE INTO receipts (instance, key, fingerprint, answer, expires) VALUES (?, ?, ?, ?, ?)",
  );
  const forgetReceipts = connection.prepare(`
    DELETE FROM receipts WHERE (instance, key) IN (
      SELECT instance, key FROM receipts WHERE instance = ? AND expires <= ? LIMIT 2)`);

  /** Each receipt deletes two expired ones, so that they do not pile up. */
  function addReceipt({ key, fingerprint, answer, expires }: Receipt, time: number): void {
    forgetReceipts.run(instance, time);
    saveReceipt.run(instance, key, fingerprint, answer, expires);
  }

  function isAsRequired({ requires, absent }: KeyedRow): boolean {
    const isThere = (other: KeyedRow["requires"][number]) =>
      (version.get(instance, other.kind, other.id)?.version ?? 0) === other.version;
    return requires.every(isThere) && !(absent && withSubject.get(instance, absent.kind, absent.subject));
  }

  return {
    append(row) {
      const { kind, id, expectedVersion, ownerType, ownerId, userId = null, time, actor, subject, state, keys } = row;
      const { claims, receipt } = row;
      if (receipt && receiptAt.get(instance, receipt.key, receipt.now)) return { outcome: "repeated" };
      const [rowid, found = 0, hasKeys] = streamRow.get(...keys, instance, kind, id) ?? [];
      if (found !== expectedVersion || !isAsRequired(row)) return { outcome: "conflict" };
      const claim = claims.add.find((name) => otherHolder.get(instance, name, kind, id) !== undefined);
      if (claim !== undefined) return { outcome: "claimed", claim };
      for (const name of claims.remove) removeClaim.run(instance, name, kind, id);
      for (const name of claims.add) addClaim.run(instance, name, kind, id);

      let next = expectedVersion;
      for (const { type, data } of row.events) {
        next++;
        insertEvent.run(instance, kind, id, next, type, ownerType, ownerId, userId, time, actor, subject, data);
      }
      if (receipt) addReceipt(receipt, receipt.now);
      if (rowid === undefined)
        insertStream.run(instance, kind, id, time, next, ownerType, ownerId, time, state, ...keys);
      else if (hasKeys) updateStream.run(next, ownerType, ownerId, time, state, rowid);
      else updateWithKeys.run(next, ownerType, ownerId, time, state, ...keys, rowid);
      return { outcome: "appended" };
    },
    keep(receipt, time) {
      if (receiptAt.get(instance, receipt.key, time)) return false;
      addReceipt(receipt, time);
      return true;
    },
  };
}
