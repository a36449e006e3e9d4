import { type Row, type RowResult, toRow } from "../append-row.ts";
import { type Keys, keysOf } from "../indexed-fields.ts";
import type { Append } from "../port.ts";

/** An append with the values of the columns that its stream and its events are found by. */
export interface KeyedRow extends Row {
  keys: Keys;
  /** Of the actor. */
  subject: string;
}

/** What few rows have. */
interface Rest {
  /** Those behind the first. */
  events: Row["events"];
  claims: Row["claims"];
  requires: Row["requires"];
  receipt: Row["receipt"];
}

/**
 * Rows on their way to another thread: the cells of all of them, one row behind the other. To clone objects takes four
 * times as long.
 */
export type Batch = (string | number | null | undefined | Rest)[];

/** What became of a row: when its stream was created, if it was appended. */
export type RowAnswer = number | Exclude<RowResult, { outcome: "appended" }>;

/** Throws a TypeError if something in it is no JSON, or no text that every store can keep. */
export function toKeyedRow(append: Append): KeyedRow {
  return Object.assign(toRow(append), { keys: keysOf(append.state), subject: append.actor.subject });
}

/** About how much is written for it, UTF-16 code units. */
export function lengthOf({ state, actor, events, receipt }: KeyedRow): number {
  const ofEvents = events.reduce((sum, { data }) => sum + actor.length + data.length, 0);
  return state.length + ofEvents + (receipt?.answer.length ?? 0);
}

export function toBatch(rows: readonly KeyedRow[]): Batch {
  const batch: Batch = [];
  for (const row of rows) {
    const { kind, id, expectedVersion, userId, time, actor, subject, ownerType, ownerId, state } = row;
    const [first, ...events] = row.events as [Row["events"][0], ...Row["events"]];
    batch.push(kind, id, expectedVersion, userId, time, actor, subject, ownerType, ownerId, state, ...row.keys);
    batch.push(first.type, first.data, row.absent?.kind, row.absent?.subject, restOf(row, events));
  }
  return batch;
}

const CELLS_A_ROW = 19;

export function fromBatch(batch: Batch): KeyedRow[] {
  const rows: KeyedRow[] = [];
  for (let at = 0; at < batch.length; at += CELLS_A_ROW) {
    const rest = (batch[at + 18] as Rest | undefined) ?? NO_REST;
    const [absentKind, absentSubject] = batch.slice(at + 16, at + 18) as (string | undefined)[];
    const first = { type: batch[at + 14] as string, data: batch[at + 15] as string };
    rows.push({
      kind: batch[at] as string,
      id: batch[at + 1] as string,
      expectedVersion: batch[at + 2] as number,
      userId: batch[at + 3] as string | undefined,
      time: batch[at + 4] as number,
      actor: batch[at + 5] as string,
      subject: batch[at + 6] as string,
      ownerType: batch[at + 7] as string,
      ownerId: batch[at + 8] as string,
      state: batch[at + 9] as string,
      keys: batch.slice(at + 10, at + 14) as unknown as Keys,
      events: rest.events.length === 0 ? [first] : [first, ...rest.events],
      claims: rest.claims,
      requires: rest.requires,
      absent: absentKind === undefined ? undefined : { kind: absentKind, subject: absentSubject as string },
      receipt: rest.receipt,
    });
  }
  return rows;
}

const NO_REST: Rest = { events: [], claims: { add: [], remove: [] }, requires: [], receipt: undefined };

function restOf({ claims, requires, receipt }: Row, events: Row["events"]): Rest | undefined {
  const isEmpty = events.length + claims.add.length + claims.remove.length + requires.length === 0 && !receipt;
  return isEmpty ? undefined : { events, claims, requires, receipt };
}
