import type { DatabaseSync } from "node:sqlite";
import type { Receipt } from "../port.ts";
import type { KeyedRow, RowAnswer } from "./batch.ts";

/** Writes rows and receipts. Its functions must run within a transaction that nobody else can write in. */
export interface Appender {
  append(row: KeyedRow): RowAnswer;
  /** Whether there was no receipt under its key yet. */
  keep(receipt: Receipt, time: number): boolean;
}

/** What a stream's next change needs of it, as the statement `streamRow` below finds it. */
type StreamRow = [row: number, version: number, created: number, lastEvent: number, hasKeys: 0 | 1];

/**
 * Prepares three statements a change: where is the stream, its event, its new state. None of them has a RETURNING,
 * for which SQLite makes and drops a table each time.
 */
export function prepareAppends(connection: DatabaseSync, instance: string): Appender {
  const streamRow = connection.prepare(`
    SELECT rowid, version, created, last_event,
      email IS ? AND lock_until IS ? AND subject IS ? AND user_id IS ?
    FROM streams WHERE instance = ? AND kind = ? AND id = ?`);
  streamRow.setReturnArrays(true);
  const insertEvent = connection.prepare(`
    INSERT INTO events (instance, kind, id, version, type, owner_type, owner_id, user_id, time, actor, subject, data,
      previous)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const insertStream = connection.prepare(`
    INSERT INTO streams (instance, kind, id, created, version, owner_type, owner_id, changed, state, last_event,
      email, lock_until, subject, user_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const SET = "UPDATE streams SET version = ?, owner_type = ?, owner_id = ?, changed = ?, state = ?, last_event = ?";
  const updateStream = connection.prepare(`${SET} WHERE rowid = ?`);
  const updateWithKeys = connection.prepare(
    `${SET}, email = ?, lock_until = ?, subject = ?, user_id = ? WHERE rowid = ?`,
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

  /** Each receipt takes two with it that have expired, so that they do not pile up. */
  function addReceipt({ key, fingerprint, answer, expires }: Receipt, time: number): void {
    forgetReceipts.run(instance, time);
    saveReceipt.run(instance, key, fingerprint, answer, expires);
  }

  /** Returns its position, which is the next event's `previous`. */
  function addEvent(row: KeyedRow, version: number, type: string, data: string, previous: number | null): number {
    const { kind, id, ownerType, ownerId, userId = null, time, actor, subject } = row;
    return insertEvent.run(
      instance,
      kind,
      id,
      version,
      type,
      ownerType,
      ownerId,
      userId,
      time,
      actor,
      subject,
      data,
      previous,
    ).lastInsertRowid as number;
  }

  function append(row: KeyedRow): RowAnswer {
    const { kind, id, expectedVersion, ownerType, ownerId, time, state, keys, absent, receipt } = row;
    if (receipt && receiptAt.get(instance, receipt.key, receipt.now)) return { outcome: "repeated" };
    const found = streamRow.get(...keys, instance, kind, id) as unknown as StreamRow | undefined;
    const isThere = (other: (typeof row.requires)[0]) =>
      (version.get(instance, other.kind, other.id)?.version ?? 0) === other.version;
    if ((found?.[1] ?? 0) !== expectedVersion || !row.requires.every(isThere)) return { outcome: "conflict" };
    if (absent && withSubject.get(instance, absent.kind, absent.subject)) return { outcome: "conflict" };
    const claim = row.claims.add.find((name) => otherHolder.get(instance, name, kind, id) !== undefined);
    if (claim !== undefined) return { outcome: "claimed", claim };
    for (const name of row.claims.remove) removeClaim.run(instance, name, kind, id);
    for (const name of row.claims.add) addClaim.run(instance, name, kind, id);

    let next = expectedVersion;
    let last = found ? found[3] : null;
    for (const { type, data } of row.events) {
      next++;
      last = addEvent(row, next, type, data, last);
    }
    if (receipt) addReceipt(receipt, receipt.now);
    if (!found) {
      insertStream.run(instance, kind, id, time, next, ownerType, ownerId, time, state, last, ...keys);
      return time;
    }
    const [rowid, , created, , hasKeys] = found;
    if (hasKeys) updateStream.run(next, ownerType, ownerId, time, state, last, rowid);
    else updateWithKeys.run(next, ownerType, ownerId, time, state, last, ...keys, rowid);
    return created;
  }

  return {
    append,
    keep(receipt, time) {
      if (receiptAt.get(instance, receipt.key, time)) return false;
      addReceipt(receipt, time);
      return true;
    },
  };
}
