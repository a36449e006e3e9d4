import { fromCursor } from "./cursor.ts";
import type { LogQuery } from "./port.ts";

/** The WHERE, ORDER BY and LIMIT of a page of the log, with their parameters. Throws INVALID_REQUEST for a bad cursor. */
export function logClause(
  instance: string,
  { from, descending, limit, where = {} }: LogQuery,
): { sql: string; values: (string | number | bigint)[] } {
  // The plus keeps SQLite from an index that knows no more than the instance: the log is in order already.
  const conditions = ["+instance = ?"];
  const values: (string | number | bigint)[] = [instance];
  const add = (condition: string, ...more: typeof values) => {
    conditions.push(condition);
    values.push(...more);
  };
  const list = (items: readonly string[]) => `(${items.map(() => "?").join(", ")})`;

  if (from !== undefined) add(`position ${descending ? "<" : ">"} ?`, ...fromCursor(from, 1));
  if (where.ownerTypes) add(`owner_type IN ${list(where.ownerTypes)}`, ...where.ownerTypes);
  if (where.organizations) {
    const ids = where.organizations;
    add(`instance = ? AND owner_type = 'org' AND owner_id IN ${list(ids)}`, instance, ...ids);
  }
  if (where.userIds) {
    const ids = where.userIds;
    const own = `instance = ? AND kind = 'user' AND id IN ${list(ids)}`;
    const others = `instance = ? AND kind <> 'user' AND user_id IN ${list(ids)}`;
    add(`((${own}) OR (${others}))`, instance, ...ids, instance, ...ids);
  }
  if (where.types) add(`type IN ${list(where.types)}`, ...where.types);
  if (where.actor !== undefined) add("instance = ? AND json_extract(actor, '$.subject') = ?", instance, where.actor);
  if (where.since !== undefined) add("time >= ?", where.since);
  if (where.before !== undefined) add("time < ?", where.before);
  return {
    sql: `WHERE ${conditions.join(" AND ")} ORDER BY position ${descending ? "DESC" : "ASC"} LIMIT ?`,
    // One more tells whether there is more.
    values: [...values, descending ? limit + 1 : limit],
  };
}
