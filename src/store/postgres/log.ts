import { isText } from "../append-row.ts";
import { fromCursor, notOfThisLog, toCursor } from "../cursor.ts";
import { type Cursor, type EventFilter, LOG_START, type LogPage, type LogQuery, type RecordedEvent } from "../port.ts";
import type { Statement } from "./connections.ts";
import { isCut, type OnPage, pageOf } from "./page.ts";

/** Always true. The log's partial indexes need this condition (schema.sql). */
const IN_ORDER = "position > 0";

const PLACE = "batch, position, time";

/** Batches commit in the order of their numbers (schema.sql), so no event is added before the last one. */
const LAST = `
  SELECT ${PLACE} FROM events WHERE instance = $1 AND ${IN_ORDER} ORDER BY batch DESC, position DESC LIMIT 1`;

/** A row if the log has the event of a cursor: at its place, with its time. */
const hasPlace = ({ batch, position, time }: Place, bind: Bind): string => `
  SELECT FROM events WHERE instance = $1 AND ${IN_ORDER}
    AND batch = ${bind(batch)}::bigint AND position = ${bind(position)}::integer AND time = ${bind(time)}::bigint`;

const MAX_BIGINT = 2n ** 63n - 1n;
const MAX_INTEGER = 2n ** 31n - 1n;

export interface LastRow {
  batch: number;
  position: number;
  time: number;
}

/** The maximum number of events that a filtered read examines. */
const MAX_SCANNED = 20_000;

/** The number of rows of a first attempt. A page of the longest events has no more. */
const FIRST_ROWS = 64;

export interface EventRow {
  batch: number;
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

type RunQuery = <Row extends object>(statement: Statement) => Promise<Row[]>;

export const headStatement = (instance: string): Statement => ({ name: "head", text: LAST, values: [instance] });

export const toHead = ([last]: LastRow[]): Cursor => (last ? cursorOf(last) : LOG_START);

/**
 * Reads a page in log order, or by an index in the scope of all matching events. Rejects with INVALID_REQUEST for an
 * cursor of another log, such as one that was restored, or that went on without its last commits after a failover.
 */
export async function readPage(run: RunQuery, instance: string, query: LogQuery): Promise<LogPage> {
  const { from, descending = false, limit, where = {} } = query;
  const direction = descending ? "DESC" : "ASC";
  const place = from === undefined ? undefined : toPlace(from);

  /** Selects matching or all events of the scope up to `bound`. */
  function select<Row extends object>(
    columns: string,
    which: "passing" | "all",
    bound: LastRow | undefined,
    page: Page,
  ) {
    const values: unknown[] = [instance];
    const bind: Bind = (value) => `$${values.push(value)}`;
    const compare = (operator: string, { batch, position }: Place | LastRow) =>
      `(batch, position) ${operator} (${bind(batch)}::bigint, ${bind(position)}::integer)`;
    const { scope, conditions, rest } = conditionsOf(where, bind);
    const all = ["instance = $1", IN_ORDER, ...conditions];
    if (place) all.push(compare(descending ? "<" : ">", place));
    if (place && !isStart(place)) all.push(`EXISTS (${hasPlace(place, bind)})`);
    if (bound) all.push(compare(descending ? ">=" : "<=", bound));
    if (which === "passing") all.push(...rest());
    const order = (of: string) => `ORDER BY ${of}batch ${direction}, ${of}position ${direction}`;
    const limit = bind(page.limit);
    const rows = `
      SELECT found.* FROM ${scope} CROSS JOIN LATERAL (
        SELECT ${columns} FROM events WHERE ${all.join(" AND ")}
        ${order("")} LIMIT ${limit} OFFSET ${bind(page.offset)}
      ) AS found ${order("found.")} LIMIT ${limit}`;
    const text = columns === COLUMNS ? pageOf(rows, "length(data::text) + length(actor::text)") : rows;
    return run<Row>({ text, values });
  }

  // Read before the page, so that the page has every matching event up to there.
  let end = from ?? LOG_START;
  if (descending) end = LOG_START;
  else if (query.where) end = toHead(await run<LastRow>(headStatement(instance)));
  let bound: LastRow | undefined;
  if (isNarrow(where)) [bound] = await select<LastRow>(PLACE, "all", undefined, { limit: 1, offset: MAX_SCANNED - 1 });
  const first = (count: number) => select<EventRow & OnPage>(COLUMNS, "passing", bound, { limit: count, offset: 0 });
  let rows = await first(Math.min(limit + 1, FIRST_ROWS));
  if (rows.length === FIRST_ROWS && rows.length <= limit) rows = await first(limit + 1);

  // An empty page does not show whether the cursor is of this log.
  if (place && !isStart(place) && rows.length === 0) {
    const values: unknown[] = [instance];
    const text = hasPlace(place, (value) => `$${values.push(value)}`);
    if ((await run({ text, values })).length === 0) throw notOfThisLog();
  }
  const events = rows.slice(0, limit).map(toEvent);
  if (rows.length > limit || isCut(rows)) return { events, cursor: events.at(-1)?.cursor ?? end, hasMore: true };
  if (bound) return { events, cursor: cursorOf(bound), hasMore: true };
  // The page may have events after this end, and none before it is missing.
  const last = events.at(-1)?.cursor ?? end;
  return { events, cursor: !descending && last > end ? last : end, hasMore: false };
}

const COLUMNS = "batch, position, time, kind, id, version, type, owner_type, owner_id, user_id, actor, data";

type Bind = (value: unknown) => string;
type Place = Record<keyof LastRow, bigint>;
const isStart = ({ batch }: Place): boolean => batch === 0n;
type Page = { limit: number; offset: number };

/** Whether the filter excludes events of its scope. */
function isNarrow({ organizations, userIds, types, actor, since, before }: EventFilter): boolean {
  const scopes = [userIds, organizations, actor].filter((scope) => scope !== undefined);
  return scopes.length > 1 || [types, since, before].some((condition) => condition !== undefined);
}

/** Splits a filter into scopes that have an index, the condition of a scope, and the other conditions. */
function conditionsOf(where: EventFilter, bind: Bind): { scope: string; conditions: string[]; rest(): string[] } {
  const { ownerTypes, organizations, userIds, types, actor, since, before } = where;
  const texts = (wanted: readonly string[]) => `${bind(wanted.filter(isText))}::text[]`;
  const each = (wanted: readonly string[]) => `(SELECT DISTINCT unnest(${texts(wanted)})) AS scope(id)`;

  let scope = "(SELECT) AS everywhere";
  const conditions: string[] = [];
  if (userIds) {
    scope = each(userIds);
    conditions.push("user_id = scope.id");
  } else if (organizations) {
    scope = each(organizations);
    conditions.push("owner_type = 'org'", "owner_id = scope.id");
  } else if (actor !== undefined) conditions.push(...ofActor(actor, bind));
  if (ownerTypes) conditions.push(`owner_type = ANY (${texts(ownerTypes)})`);
  return {
    scope,
    conditions,
    rest() {
      const rest: string[] = [];
      if (userIds && organizations) rest.push("owner_type = 'org'", `owner_id = ANY (${texts(organizations)})`);
      if ((userIds || organizations) && actor !== undefined) rest.push(...ofActor(actor, bind));
      if (types) rest.push(`type = ANY (${texts(types)})`);
      if (since !== undefined) rest.push(`time >= ${bind(since)}::bigint`);
      if (before !== undefined) rest.push(`time < ${bind(before)}::bigint`);
      return rest;
    },
  };
}

/** The index has only the first 200 characters of a subject. */
function ofActor(actor: string, bind: Bind): string[] {
  if (!isText(actor)) return ["false"];
  const subject = bind(actor);
  return [`left(actor ->> 'subject', 200) COLLATE "C" = left(${subject}, 200)`, `actor ->> 'subject' = ${subject}`];
}

function toEvent(row: EventRow): RecordedEvent {
  return {
    cursor: cursorOf(row),
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

const cursorOf = ({ batch, position, time }: LastRow): Cursor => toCursor(batch, position, time);

function toPlace(from: Cursor): Place {
  const [batch = 0n, position = 0n, time = 0n] = fromCursor(from, 3);
  // The columns hold no larger numbers.
  if (batch > MAX_BIGINT || position > MAX_INTEGER || time > MAX_BIGINT) throw notOfThisLog();
  return { batch, position, time };
}
