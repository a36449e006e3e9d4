import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { fromCursor } from "../cursor.ts";
import type { EventFilter, LogQuery } from "../port.ts";
import { type Page, takePage } from "./page.ts";
import { eventsOfUsers } from "./user-log.ts";

/** How many events are looked at in one go where not all of them pass. */
export const MAX_SCANNED = 20_000;

type Row = Record<string, SQLOutputValue>;

/** Conditions that name no users. */
type Elsewhere = Omit<EventFilter, "userIds">;

interface Condition {
  sql: string;
  values: (string | number | bigint)[];
}

/** What a page of the log is made of. */
interface Found {
  /** In the order that was asked for; one more than the limit if there are more. */
  rows: Row[];
  /** The last position that was looked at, or that fits on the page, if that was not the last one of all. */
  bound: number | undefined;
}

/** Finds a page of the log. Nothing else may commit meanwhile. */
export function findEvents(connection: DatabaseSync, instance: string, query: LogQuery): Found {
  const { userIds, ...where } = query.where ?? {};
  return userIds
    ? findOfUsers(connection, instance, { ...query, where }, userIds)
    : findInOrder(connection, instance, { ...query, where });
}

/** In the order of the log, or by an index in each of the scopes in which all must be that passes. */
function findInOrder(connection: DatabaseSync, instance: string, query: LogQuery & { where: Elsewhere }): Found {
  const { from, descending = false, limit, where } = query;
  const { scopes, rest } = conditionsOf(instance, where);
  const behind =
    from === undefined ? [] : [{ sql: `position ${descending ? "<" : ">"} ?`, values: fromCursor(from, 1) }];
  const sign = descending ? -1 : 1;
  const select = (columns: string, conditions: Condition[], tail: Condition) =>
    selectEvents(connection, { columns, conditions, descending, tail });

  const nearest = (positions: (number | undefined)[]) => {
    const known = positions.filter((position) => position !== undefined);
    if (known.length === 0) return undefined;
    return descending ? Math.max(...known) : Math.min(...known);
  };

  const endOfScan = (scope: Condition[]) =>
    select("position", [...scope, ...behind], { sql: "LIMIT 1 OFFSET ?", values: [MAX_SCANNED - 1] })
      .taken.map(positionOf)
      .at(0);
  let bound = rest.length === 0 ? undefined : nearest(scopes.map(endOfScan));
  const rows: Row[] = [];
  for (const scope of scopes) {
    // Behind the place where the page ends for one scope, nothing is needed of the next.
    const within = bound === undefined ? [] : [{ sql: `position ${descending ? ">=" : "<="} ?`, values: [bound] }];
    const page = select("*", [...scope, ...behind, ...within, ...rest], { sql: "LIMIT ?", values: [limit + 1] });
    rows.push(...page.taken);
    bound = nearest([bound, endOf(page)]);
  }
  if (scopes.length === 1) return { rows, bound };
  const inOrder = rows
    .filter((row) => bound === undefined || sign * positionOf(row) <= sign * bound)
    .sort((one, other) => sign * (positionOf(one) - positionOf(other)));
  const { taken, isCut } = takePage(inOrder.slice(0, limit + 1), lengthOf);
  return { rows: taken, bound: endOf({ taken, isCut }) ?? bound };
}

/** Looks at as many as would do if all of them passed, and only if they did not, at more. */
function findOfUsers(
  connection: DatabaseSync,
  instance: string,
  { from, descending = false, limit, where }: LogQuery & { where: Elsewhere },
  userIds: readonly string[],
): Found {
  const behind = from === undefined ? undefined : fromCursor(from, 1)[0];
  const conditions = conditionsWithin(where);
  const tail = { sql: "LIMIT ?", values: [limit + 1] };
  const lookAt = (count: number): Found & { isCut: boolean } => {
    const positions = eventsOfUsers(connection, instance, { userIds, behind, descending, count });
    const these = { sql: "position IN (SELECT value FROM json_each(?))", values: [JSON.stringify(positions)] };
    const page = { columns: "*", conditions: [these, ...conditions], descending, tail };
    const found = selectEvents(connection, page);
    const looked = positions.length < count ? undefined : positions.at(-1);
    return { rows: found.taken, bound: endOf(found) ?? looked, isCut: found.isCut };
  };
  const found = lookAt(limit + 1);
  const isEnough = found.isCut || found.rows.length > limit || found.bound === undefined;
  return isEnough ? found : lookAt(Math.max(MAX_SCANNED, limit + 1));
}

function selectEvents(
  connection: DatabaseSync,
  query: { columns: string; conditions: Condition[]; descending: boolean; tail: Condition },
): Page<Row> {
  const { columns, conditions, descending, tail } = query;
  const statement = connection.prepare(
    // Asked once a statement, which looks at few enough events.
    `SELECT ${columns} FROM events WHERE (SELECT is_wanted()) AND ${conditions.map(({ sql }) => sql).join(" AND ")}
    ORDER BY position ${descending ? "DESC" : "ASC"} ${tail.sql}`,
  );
  return takePage(statement.iterate(...conditions.flatMap(({ values }) => values), ...tail.values), lengthOf);
}

const positionOf = ({ position }: Row) => position as number;

/** Where a page ends on which not all had a place. */
const endOf = ({ taken, isCut }: Page<Row>) => (isCut ? positionOf(taken.at(-1) as Row) : undefined);

/** Of a whole event; a position alone has none. */
const lengthOf = ({ data = "", actor = "" }: Row) => (data as string).length + (actor as string).length;

/** Scopes that an index finds, of which an event must be in one; and what else it must pass. */
export function conditionsOf(instance: string, where: Elsewhere): { scopes: Condition[][]; rest: Condition[] } {
  const { ownerTypes, organizations, actor, ...others } = where;
  // The plus keeps SQLite from an index that knows no more than the instance: the log is in order already.
  const everywhere: Condition = { sql: "+instance = ?", values: [instance] };
  let scopes: Condition[][] = [[everywhere]];
  if (organizations) {
    scopes = [...new Set(organizations)].map((id) => [
      everywhere,
      { sql: "instance = ? AND owner_type = 'org' AND owner_id = ?", values: [instance, id] },
    ]);
  } else if (actor !== undefined) {
    scopes = [[everywhere, { sql: "instance = ? AND subject = ?", values: [instance, actor] }]];
  }
  if (ownerTypes) scopes = scopes.map((scope) => [...scope, among("owner_type", ownerTypes)]);
  return { scopes, rest: conditionsWithin({ ...others, ...(organizations && { actor }) }) };
}

/** What an event must pass, where no index is of use. */
function conditionsWithin(where: Elsewhere): Condition[] {
  const { ownerTypes, organizations, types, actor, since, before } = where;
  const conditions: Condition[] = [];
  if (ownerTypes) conditions.push(among("owner_type", ownerTypes));
  if (organizations) conditions.push({ sql: "owner_type = 'org'", values: [] }, among("+owner_id", organizations));
  if (actor !== undefined) conditions.push({ sql: "+subject = ?", values: [actor] });
  if (types) conditions.push(among("type", types));
  if (since !== undefined) conditions.push({ sql: "time >= ?", values: [since] });
  if (before !== undefined) conditions.push({ sql: "time < ?", values: [before] });
  return conditions;
}

function among(column: string, items: readonly string[]): Condition {
  return { sql: `${column} IN (${items.map(() => "?").join(", ")})`, values: [...items] };
}
