import { invalidField } from "../domain/errors.ts";
import { fromCursor, toCursor } from "./cursor.ts";
import { type Cursor, type EventFilter, LOG_START, type LogPage, type LogQuery, type RecordedEvent } from "./port.ts";
import type { Statement } from "./postgres-connection.ts";
import { isText } from "./row.ts";

/**
 * The log is ordered by transaction, and within one by position. Transactions end in another order than they began, so
 * only what is older than every transaction that still runs is shown: nothing can come in before it any more. Of
 * position, which is never 0, the indexes ask that it be said (postgres-steps.ts).
 */
const IS_SETTLED = `position > 0 AND tx < (SELECT ahead FROM log_offsets WHERE instance = $1)
  + pg_snapshot_xmin(pg_current_snapshot())::text::bigint`;

const LAST = `
  SELECT tx, position FROM events WHERE instance = $1 AND ${IS_SETTLED} ORDER BY tx DESC, position DESC LIMIT 1`;

const MAX_TX = 2n ** 63n - 1n;
const MAX_POSITION = 2n ** 31n - 1n;

export interface LastRow {
  tx: number;
  position: number;
}

/** A page, each row with the end of the log; if the page is empty, one row with that alone. */
export interface PageRow {
  last_tx: number | null;
  last_position: number | null;
  tx: number | null;
  position: number;
  kind: string;
  id: string;
  version: number;
  type: string;
  time: number;
  owner_type: RecordedEvent["owner"]["type"];
  owner_id: string;
  user_id: string | null;
  actor: RecordedEvent["actor"];
  data: object;
}

export const headStatement = (instance: string): Statement => ({ name: "head", text: LAST, values: [instance] });

export const toHead = ([last]: LastRow[]): Cursor => (last ? toCursor(last.tx, last.position) : LOG_START);

/** Throws INVALID_REQUEST for a cursor that is none. */
export function pageStatement(instance: string, { from, descending, limit, where }: LogQuery): Statement {
  const values: unknown[] = [instance];
  const bind = (value: unknown) => `$${values.push(value)}`;
  const conditions = ["instance = $1", IS_SETTLED, ...filterConditions(where ?? {}, bind)];
  if (from !== undefined) {
    const [tx, position] = toPlace(from);
    const compare = descending ? "<" : ">";
    conditions.push(`(tx, position) ${compare} (${bind(tx)}::bigint, ${bind(position)}::integer)`);
  }
  const direction = descending ? "DESC" : "ASC";
  // One more than asked for tells whether there is more.
  const rows = bind(descending ? limit + 1 : limit);
  return {
    text: `
      SELECT last.tx AS last_tx, last.position AS last_position, page.*
      FROM (SELECT) AS always
      LEFT JOIN (${LAST}) AS last ON true
      LEFT JOIN (
        SELECT tx, position, kind, id, version, type, time, owner_type, owner_id, user_id, actor, data FROM events
        WHERE ${conditions.join(" AND ")}
        ORDER BY tx ${direction}, position ${direction} LIMIT ${rows}
      ) AS page ON true
      ORDER BY page.tx ${direction}, page.position ${direction}`,
    values,
  };
}

function filterConditions(where: EventFilter, bind: (value: unknown) => string): string[] {
  const conditions: string[] = [];
  const among = (column: string, wanted: readonly string[] | undefined) => {
    const values = wanted?.filter(isText);
    if (values?.length === 1) conditions.push(`${column} = ${bind(values[0])}`);
    else if (values) conditions.push(`${column} = ANY (${bind(values)}::text[])`);
  };
  among("owner_type", where.ownerTypes);
  if (where.organizations) conditions.push("owner_type = 'org'");
  among("owner_id", where.organizations);
  among("user_id", where.userIds);
  among("type", where.types);
  if (where.actor !== undefined && !isText(where.actor)) conditions.push("false");
  else if (where.actor !== undefined) {
    const subject = bind(where.actor);
    conditions.push(`left(actor ->> 'subject', 200) COLLATE "C" = left(${subject}, 200)`);
    conditions.push(`actor ->> 'subject' = ${subject}`);
  }
  if (where.since !== undefined) conditions.push(`time >= ${bind(where.since)}::bigint`);
  if (where.before !== undefined) conditions.push(`time < ${bind(where.before)}::bigint`);
  return conditions;
}

export function toPage(rows: PageRow[], { from, descending, limit }: LogQuery): LogPage {
  const found = rows.flatMap((row) => (row.tx === null ? [] : [toEvent(row)]));
  const events = found.slice(0, limit);
  if (descending) return { events, cursor: found.length > limit ? (events.at(-1)?.cursor ?? from) : undefined };

  const start = from ?? LOG_START;
  if (events.length === limit) return { events, cursor: events.at(-1)?.cursor ?? start };
  const { last_tx, last_position } = rows[0] as PageRow;
  const end = last_tx === null ? LOG_START : toCursor(last_tx, last_position as number);
  return { events, cursor: end > start ? end : start };
}

function toEvent(row: PageRow): RecordedEvent {
  return {
    cursor: toCursor(row.tx as number, row.position),
    kind: row.kind,
    id: row.id,
    version: row.version,
    type: row.type,
    time: row.time,
    owner: { type: row.owner_type, id: row.owner_id },
    userId: row.user_id ?? undefined,
    actor: row.actor,
    data: row.data,
  };
}

function toPlace(from: Cursor): [tx: bigint, position: bigint] {
  const [tx, position] = fromCursor(from, 2) as [bigint, bigint];
  // No larger ones can be asked for, and there are none.
  if (tx > MAX_TX || position > MAX_POSITION) throw invalidField("after", "is no cursor of this log");
  return [tx, position];
}
