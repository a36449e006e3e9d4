import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { fromCursor } from "./cursor.ts";
import type { EventFilter, LogQuery } from "./port.ts";

/** How many events are looked at in one go where not all of them pass. */
export const MAX_SCANNED = 20_000;

type Row = Record<string, SQLOutputValue>;

interface Condition {
  sql: string;
  values: (string | number | bigint)[];
}

/** What a page of the log is made of. */
interface Found {
  /** In the order that was asked for; one more than the limit if there are more. */
  rows: Row[];
  /** The last position that was looked at, if that was not the last one of all. */
  bound: number | undefined;
}

/**
 * Finds a page of the log: in the order of the log, or by an index in each of the scopes in which all must be that
 * passes. Nothing else may commit meanwhile.
 */
export function findEvents(connection: DatabaseSync, instance: string, query: LogQuery): Found {
  const { from, descending = false, limit, where = {} } = query;
  const { scopes, rest } = conditionsOf(instance, where);
  const direction = descending ? "DESC" : "ASC";
  const behind =
    from === undefined ? [] : [{ sql: `position ${descending ? "<" : ">"} ?`, values: fromCursor(from, 1) }];
  const select = (columns: string, conditions: Condition[], tail: Condition): Row[] =>
    connection
      .prepare(
        `SELECT ${columns} FROM events WHERE ${conditions.map(({ sql }) => sql).join(" AND ")}
        ORDER BY position ${direction} ${tail.sql}`,
      )
      .all(...conditions.flatMap(({ values }) => values), ...tail.values);
  const nearest = (positions: number[]) => (descending ? Math.max(...positions) : Math.min(...positions));

  let bound: number | undefined;
  if (rest.length > 0) {
    const ends = scopes.flatMap((scope) =>
      select("position", [...scope, ...behind], { sql: "LIMIT 1 OFFSET ?", values: [MAX_SCANNED - 1] }),
    );
    if (ends.length > 0) bound = nearest(ends.map(({ position }) => position as number));
  }
  const within = bound === undefined ? [] : [{ sql: `position ${descending ? ">=" : "<="} ?`, values: [bound] }];
  const rows = scopes.flatMap((scope) =>
    select("*", [...scope, ...behind, ...within, ...rest], { sql: "LIMIT ?", values: [limit + 1] }),
  );
  if (scopes.length > 1) {
    const sign = descending ? -1 : 1;
    rows.sort((one, other) => sign * ((one.position as number) - (other.position as number)));
  }
  return { rows: rows.slice(0, limit + 1), bound };
}

/** Scopes that an index finds, of which an event must be in one; and what else it must pass. */
export function conditionsOf(instance: string, where: EventFilter): { scopes: Condition[][]; rest: Condition[] } {
  const { ownerTypes, organizations, userIds, types, actor, since, before } = where;
  const list = (items: readonly string[]) => `(${items.map(() => "?").join(", ")})`;
  const among = (column: string, items: readonly string[]) => ({
    sql: `${column} IN ${list(items)}`,
    values: [...items],
  });

  const rest: Condition[] = [];
  // The plus keeps SQLite from an index that knows no more than the instance: the log is in order already.
  const everywhere: Condition = { sql: "+instance = ?", values: [instance] };
  let scopes: Condition[][] = [[everywhere]];
  const ofOrganization = (id: string): Condition => ({
    sql: "instance = ? AND owner_type = 'org' AND owner_id = ?",
    values: [instance, id],
  });
  if (userIds) {
    scopes = [[everywhere, ofUsers(instance, userIds)]];
  } else if (organizations) {
    scopes = [...new Set(organizations)].map((id) => [everywhere, ofOrganization(id)]);
  } else if (actor !== undefined) {
    scopes = [[everywhere, ofActor(instance, actor)]];
  }
  if (userIds && organizations) rest.push({ sql: "owner_type = 'org'", values: [] }, among("+owner_id", organizations));
  if ((userIds || organizations) && actor !== undefined) rest.push({ sql: "subject IS ?", values: [actor] });
  if (types) rest.push(among("type", types));
  if (since !== undefined) rest.push({ sql: "time >= ?", values: [since] });
  if (before !== undefined) rest.push({ sql: "time < ?", values: [before] });
  if (ownerTypes) scopes = scopes.map((scope) => [...scope, among("owner_type", ownerTypes)]);
  return { scopes, rest };
}

function ofActor(instance: string, subject: string): Condition {
  return { sql: "instance = ? AND subject = ?", values: [instance, subject] };
}

/** Their own events, by the chain of each that goes back from the last one, and those of their sessions. */
function ofUsers(instance: string, ids: readonly string[]): Condition {
  const list = `(${ids.map(() => "?").join(", ")})`;
  return {
    sql: `position IN (
      WITH RECURSIVE own (position) AS (
        SELECT last_event FROM streams WHERE instance = ? AND kind = 'user' AND id IN ${list}
        UNION ALL
        SELECT events.previous FROM own JOIN events USING (position) WHERE events.previous IS NOT NULL)
      SELECT position FROM own
      UNION ALL
      SELECT position FROM events WHERE instance = ? AND kind <> 'user' AND user_id IN ${list})`,
    values: [instance, ...ids, instance, ...ids],
  };
}
