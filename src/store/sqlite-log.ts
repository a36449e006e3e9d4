import { fromCursor } from "./cursor.ts";
import type { LogQuery } from "./port.ts";

/** The WHERE, ORDER BY and LIMIT of a page of the log, with their parameters. Throws INVALID_REQUEST for a bad cursor. */
export function logClause(
  instance: string,
  { from, descending, limit, where = {} }: LogQuery,
): { sql: string; values: (string | number | bigint)[] } {
  const conditions = ["instance = ?"];
  const values: (string | number | bigint)[] = [instance];
  const add = (condition: string, ...more: typeof values) => {
    conditions.push(condition);
    values.push(...more);
  };
  const oneOf = (column: string, allowed: readonly string[] | undefined) => {
    if (allowed) add(`${column} IN (${allowed.map(() => "?").join(", ")})`, ...allowed);
  };

  if (from !== undefined) add(`position ${descending ? "<" : ">"} ?`, ...fromCursor(from, 1));
  oneOf("owner_type", where.ownerTypes);
  if (where.organizations) add("owner_type = 'org'");
  oneOf("owner_id", where.organizations);
  oneOf("user_id", where.userIds);
  oneOf("type", where.types);
  if (where.actor !== undefined) add("json_extract(actor, '$.subject') = ?", where.actor);
  if (where.since !== undefined) add("time >= ?", where.since);
  if (where.before !== undefined) add("time < ?", where.before);
  return {
    sql: `WHERE ${conditions.join(" AND ")} ORDER BY position ${descending ? "DESC" : "ASC"} LIMIT ?`,
    values: [...values, limit],
  };
}
