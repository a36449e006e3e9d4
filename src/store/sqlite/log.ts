import type { DatabaseSync } from "node:sqlite";
import type { Owner } from "../../domain/access.ts";
import { fromCursor, toCursor } from "../cursor.ts";
import { takePage } from "../limits.ts";
import { type Cursor, type EventFilter, LOG_START, type LogPage, type LogQuery, type RecordedEvent } from "../port.ts";
import { prepareReading } from "./connections.ts";

/** The maximum number of events that a filtered read examines. */
export const MAX_SCANNED = 20_000;

const PLACE = "position, time";
const COLUMNS = `${PLACE}, kind, id, version, type, owner_type, owner_id, user_id, actor, data`;

/** Where an event is, and its time, by which its cursor differs from that of another log. */
type Place = [position: number, time: number];

type EventRow = [
  ...Place,
  kind: string,
  id: string,
  version: number,
  type: string,
  ownerType: Owner["type"],
  ownerId: string,
  userId: string | null,
  actor: string,
  data: string,
];

interface Condition {
  sql: string;
  values: (string | number | bigint)[];
}

/** Reads the log of an instance. Its functions need a transaction. */
interface LogReader {
  read(query: LogQuery): LogPage;
  head(): Cursor;
  /** Whether there is an event at the position, of this time. */
  has(position: bigint, time: bigint): boolean;
}

export function prepareLog(connection: DatabaseSync, instance: string): LogReader {
  const last = prepareReading<Place>(connection, `SELECT ${PLACE} FROM events ORDER BY position DESC LIMIT 1`);
  const timeAt = prepareReading<[time: number]>(connection, "SELECT time FROM events WHERE position = ?");

  function head(): Cursor {
    const place = last.get();
    return place ? toCursor(...place) : LOG_START;
  }

  const has = (position: bigint, time: bigint) => timeAt.get(position)?.[0] === Number(time);

  function select<Row extends readonly unknown[]>(columns: string, conditions: Condition[], tail: Condition) {
    const where = conditions.map(({ sql }) => sql).join(" AND ");
    // `is_wanted` runs once per statement, which examines few enough events.
    const sql = `SELECT ${columns} FROM events WHERE (SELECT is_wanted()) AND ${where} ${tail.sql}`;
    const values = [...conditions, tail].flatMap((part) => part.values);
    return prepareReading<Row>(connection, sql).iterate(...values);
  }

  /** Reads in log order, or by an index in each scope. Matching events are in at least one scope. */
  function read({ from, descending = false, limit, where = {} }: LogQuery): LogPage {
    const { scopes, rest } = conditionsOf(instance, where);
    const [sign, direction, behind, upTo] = descending ? [-1, "DESC", "<", ">="] : [1, "ASC", ">", "<="];
    const start = from === undefined ? [] : [{ sql: `position ${behind} ?`, values: fromCursor(from, 2).slice(0, 1) }];
    const order = `ORDER BY position ${direction}`;
    const nearest = (...places: (Place | undefined)[]) =>
      places.filter((place) => place !== undefined).sort(([one], [other]) => sign * (one - other))[0];

    /** The last event that is examined, if not all are. */
    let bound: Place | undefined;
    if (rest.length > 0) {
      for (const scope of scopes) {
        const tail = { sql: `${order} LIMIT 1 OFFSET ?`, values: [MAX_SCANNED - 1] };
        const [last] = select<Place>(PLACE, [...scope, ...start], tail);
        bound = nearest(bound, last);
      }
    }
    let rows: EventRow[] = [];
    for (const scope of scopes) {
      const within = bound === undefined ? [] : [{ sql: `position ${upTo} ?`, values: [bound[0]] }];
      const tail = { sql: `${order} LIMIT ?`, values: [limit + 1] };
      const found = select<EventRow>(COLUMNS, [...scope, ...start, ...within, ...rest], tail);
      const { taken, isCut } = takePage(found, lengthOf);
      // Events after the end of one scope's page are not needed from the others.
      if (isCut || taken.length > limit) bound = nearest(bound, placeOf(taken.at(-1)));
      rows.push(...taken);
    }
    if (scopes.length > 1) {
      rows = rows.filter(([position]) => bound === undefined || sign * position <= sign * bound[0]);
      rows.sort(([one], [other]) => sign * (one - other));
      const { taken, isCut } = takePage(rows.slice(0, limit + 1), lengthOf);
      if (isCut) bound = placeOf(taken.at(-1));
      rows = taken;
    }

    const events = rows.slice(0, limit).map(toEvent);
    if (rows.length > limit) return { events, cursor: events.at(-1)?.cursor ?? head(), hasMore: true };
    if (bound !== undefined) return { events, cursor: toCursor(...bound), hasMore: true };
    return { events, cursor: descending ? LOG_START : head(), hasMore: false };
  }

  return { read, head, has };
}

/** Splits a filter into scopes that have an index (events match one of them), and the other conditions. */
export function conditionsOf(instance: string, where: EventFilter): { scopes: Condition[][]; rest: Condition[] } {
  const { ownerTypes, organizations, userIds, types, actor, since, before } = where;
  // The plus prevents an index on the instance alone, because the log is in order already.
  const everywhere: Condition = { sql: "+instance = ?", values: [instance] };
  const shared = ownerTypes ? [everywhere, among("owner_type", ownerTypes)] : [everywhere];
  const scopesOf = (sql: string, ids: readonly string[]) =>
    [...new Set(ids)].map((id) => [...shared, { sql: `instance = ? AND ${sql} = ?`, values: [instance, id] }]);

  let scopes: Condition[][] = [shared];
  const rest: Condition[] = [];
  if (userIds) scopes = scopesOf("user_id", userIds);
  else if (organizations) scopes = scopesOf("owner_type = 'org' AND owner_id", organizations);
  else if (actor !== undefined) scopes = scopesOf("subject", [actor]);

  if (userIds && organizations) rest.push({ sql: "owner_type = 'org'", values: [] }, among("+owner_id", organizations));
  if ((userIds || organizations) && actor !== undefined) rest.push({ sql: "+subject = ?", values: [actor] });
  if (types) rest.push(among("type", types));
  if (since !== undefined) rest.push({ sql: "time >= ?", values: [since] });
  if (before !== undefined) rest.push({ sql: "time < ?", values: [before] });
  return { scopes, rest };
}

function among(column: string, items: readonly string[]): Condition {
  return { sql: `${column} IN (${items.map(() => "?").join(", ")})`, values: [...items] };
}

const lengthOf = ([, , , , , , , , , actor, data]: EventRow) => actor.length + data.length;

const placeOf = (row: EventRow | undefined): Place | undefined => row && [row[0], row[1]];

function toEvent(row: EventRow): RecordedEvent {
  const [position, time, kind, id, version, type, ownerType, ownerId, userId, actor, data] = row;
  return {
    cursor: toCursor(position, time),
    kind,
    id,
    version,
    type,
    owner: { type: ownerType, id: ownerId },
    userId: userId ?? undefined,
    time,
    actor: JSON.parse(actor),
    data: JSON.parse(data),
  };
}
