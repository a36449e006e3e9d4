import { fold } from "../../domain/fold.ts";
import { afterPlace, type Fragment } from "../after-place.ts";
import { INDEXED_FIELDS } from "../indexed-fields.ts";
import { endOf } from "../port.ts";
import type { CountQuery, Filter, OrderPlace, Query, SortKey, SortValue, TextMethod } from "../query.ts";

/** The clauses of a query. The connection must have the functions `fold` and `is_wanted`. */
interface Clauses {
  where: Fragment;
  /** The WHERE of each part of the page, in their order. */
  parts: Fragment[];
  order: Fragment;
}

export function searchClauses(instance: string, query: Query): Clauses {
  const scope = { instance, kind: query.kind, depth: 0 };
  const wanted = condition(query.where, scope);
  const direction = query.order.descending ? "DESC" : "ASC";
  const keys = [...query.order.keys.map((key) => sortKey(key, scope)), { sql: "id", values: [] }];
  const where = {
    sql: `instance = ? AND kind = ? AND is_wanted() AND ${wanted.sql}`,
    values: [instance, query.kind, ...wanted.values],
  };
  return {
    where,
    parts: query.after ? partsAfter(query.after, keys, query).map((part) => and(where, part)) : [where],
    order: {
      sql: keys.map((key) => `${key.sql} ${direction}`).join(", "),
      values: keys.flatMap((key) => key.values),
    },
  };
}

/** One row: the total, the part's total, the top texts as a JSON array of pairs, then each test and test of the part. */
export function countStatement(instance: string, { kind, where, tests, part }: CountQuery): Fragment {
  const scope = { instance, kind, depth: 0 };
  const wanted = condition(where, scope);
  const isPart = condition(part.where, scope);
  const text = column(part.top.field, 0);
  const inPart = { sql: "is_part", values: [] };
  const counted = [
    ...tests.map((test) => condition(test, scope)),
    ...part.tests.map((test) => and(inPart, condition(test, scope))),
  ];
  // OFFSET 0 prevents judging the part again for each of its tests.
  return {
    sql: `
      WITH found AS MATERIALIZED (
        SELECT is_part, ${counted.map(({ sql }, index) => `${sql} AS test${index}, `).join("")}
          CASE WHEN is_part AND typeof(${text}) = 'text' THEN ${text} END AS text
        FROM (
          SELECT rowid AS rowid, *, ${isPart.sql} AS is_part
          FROM streams WHERE instance = ? AND kind = ? AND is_wanted() AND ${wanted.sql} LIMIT -1 OFFSET 0
        ) AS streams
      )
      SELECT count(*), coalesce(sum(is_part), 0), (
        SELECT json_group_array(json_array(text, streams)) FROM (
          SELECT text, count(*) AS streams FROM found WHERE text IS NOT NULL
          GROUP BY text ORDER BY streams DESC, text LIMIT ?
        )
      ) ${counted.map((_, index) => `, coalesce(sum(test${index}), 0)`).join("")}
      FROM found`,
    values: [
      ...[...counted, isPart].flatMap(({ values }) => values),
      ...[instance, kind, ...wanted.values, part.top.limit],
    ],
  };
}

/** The condition of each part of the page, in their order. */
function partsAfter({ values, id }: OrderPlace, keys: readonly Fragment[], { order }: Query): Fragment[] {
  const placed = keys.map((key, index) => ({
    key,
    isNullable: isNullable(order.keys[index]),
    value: placeholder(index < order.keys.length ? (values[index] ?? null) : id),
  }));
  return afterPlace(placed, order.descending);
}

const placeholder = (value: SortValue): Fragment | null =>
  value === null ? null : { sql: "?", values: [typeof value === "boolean" ? Number(value) : value] };

/** Whether the field of a key may be absent. */
const isNullable = (key: SortKey | undefined) => key !== undefined && "field" in key && key.field.startsWith("state.");

const and = (one: Fragment, other: Fragment): Fragment => ({
  sql: `${one.sql} AND ${other.sql}`,
  values: [...one.values, ...other.values],
});

function sortKey(key: SortKey, scope: Scope): Fragment {
  return "field" in key ? { sql: column(key.field, 0), values: [] } : condition(key.test, scope);
}

/** What a condition is about: the streams of a kind, or the elements at a depth of nested arrays. */
interface Scope {
  instance: string;
  kind: string;
  depth: number;
}

/** An expression that is 0 or 1, never NULL, so that NOT is exact. */
function condition(filter: Filter, scope: Scope): Fragment {
  const { instance, kind, depth } = scope;
  if ("all" in filter) return join(filter.all, "AND", scope);
  if ("any" in filter) return join(filter.any, "OR", scope);
  if ("rare" in filter) {
    const inner = condition(filter.rare, scope);
    // Such a scan takes about as long as its calls of is_wanted, so only every 64th row makes one.
    const isWanted = "(rowid % 64 <> 0 OR is_wanted())";
    const found = `SELECT rowid FROM streams WHERE instance = ? AND kind = ? AND ${isWanted} AND ${inner.sql}`;
    return { sql: `(rowid IN (${found}))`, values: [instance, kind, ...inner.values] };
  }
  if ("claim" in filter) {
    // The order of the tables makes SQLite begin with the range of claims.
    const found = `SELECT holder.rowid FROM claims CROSS JOIN streams AS holder USING (instance, kind, id)
      WHERE claims.instance = ? AND claims.name >= ? AND claims.name < ? AND claims.kind = ?
        AND instr(claims.name, ?) > 0`;
    const values = [instance, filter.claim, endOf(filter.claim), kind, filter.contains];
    return { sql: `(rowid IN (${found}))`, values };
  }
  if ("not" in filter) {
    const inner = condition(filter.not, scope);
    return { sql: `(NOT ${inner.sql})`, values: inner.values };
  }
  if ("some" in filter) {
    const inner = condition(filter.where, { ...scope, depth: depth + 1 });
    const array = `json_each(${depth === 0 ? "state" : `e${depth}.value`}, '${path(filter.some)}')`;
    return { sql: `EXISTS (SELECT 1 FROM ${array} AS e${depth + 1} WHERE ${inner.sql})`, values: inner.values };
  }
  const field = column(filter.field, depth);
  if ("exists" in filter) return { sql: `(${field} IS NOT NULL)`, values: [] };
  if ("is" in filter) {
    // With IS alone, SQLite would not use a partial index.
    const value = typeof filter.is === "boolean" ? Number(filter.is) : filter.is;
    return { sql: `(${field} IS NOT NULL AND ${field} = ?)`, values: [value] };
  }
  if ("atMost" in filter) return number(field, "<=", filter.atMost);
  if ("after" in filter) return { sql: `(typeof(${field}) = 'text' AND ${field} > ?)`, values: [filter.after] };
  if ("atLeast" in filter) return number(field, ">=", filter.atLeast);
  return text(field, filter.text, filter.value);
}

/** SQLite compares texts with numbers, too. With coalesce it would not use an index. */
function number(field: string, operator: "<=" | ">=", value: number): Fragment {
  return { sql: `(${field} IS NOT NULL AND typeof(${field}) <> 'text' AND ${field} ${operator} ?)`, values: [value] };
}

function text(field: string, method: TextMethod, value: string): Fragment {
  switch (method) {
    case "equals_ignore_case":
      return ignoringCase(field, (folded) => `${folded} = ?`, value);
    case "starts_with":
      return { sql: `coalesce(instr(${field}, ?) = 1, 0)`, values: [value] };
    case "starts_with_ignore_case":
      return ignoringCase(field, (folded) => `instr(${folded}, ?) = 1`, value);
    case "contains":
      return { sql: `coalesce(instr(${field}, ?) > 0, 0)`, values: [value] };
    case "contains_ignore_case":
      return ignoringCase(field, (folded) => `instr(${folded}, ?) > 0`, value);
  }
}

/**
 * A comparison with the folded text. SQLite folds ASCII itself, because a call into JavaScript keeps about 150 bytes
 * until its statement ends: 300 MiB for 98 conditions on 20,000 users. What excludes most rows comes first, and CASE
 * would take twice as long.
 */
function ignoringCase(field: string, compare: (folded: string) => string, value: string): Fragment {
  const ascii = `${compare(`lower(${field})`)} AND octet_length(${field}) = length(${field})`;
  const other = `octet_length(${field}) <> length(${field}) AND ${compare(`fold(${field})`)}`;
  const folded = fold(value);
  return { sql: `(typeof(${field}) = 'text' AND (${ascii} OR ${other}))`, values: [folded, folded] };
}

function join(filters: readonly Filter[], operator: "AND" | "OR", scope: Scope): Fragment {
  const parts = filters.map((filter) => condition(filter, scope));
  // A bare 1 or 0 would be a column number in an ORDER BY.
  if (parts.length === 0) return { sql: operator === "AND" ? "(1 = 1)" : "(1 = 0)", values: [] };
  return { sql: balanced(parts, operator), values: parts.flatMap((part) => part.values) };
}

/** Joins by halves, because SQLite accepts expressions up to a depth of 1,000, and `a OR b OR c` is nested. */
function balanced(parts: Fragment[], operator: "AND" | "OR"): string {
  if (parts.length <= 1) return parts[0]?.sql ?? "";
  const half = parts.length >> 1;
  return `(${balanced(parts.slice(0, half), operator)} ${operator} ${balanced(parts.slice(half), operator)})`;
}

function column(field: string, depth: number): string {
  if (field.startsWith("element.")) return `json_extract(e${depth}.value, '${path(field)}')`;
  const indexed = INDEXED_FIELDS.find((one) => one.field === field);
  if (indexed) return indexed.column;
  if (field.startsWith("state.")) return `json_extract(state, '${path(field)}')`;
  return path(field).slice("$.".length).replace(".", "_");
}

/** The JSON path of a program's field, such as `$.email.address` for `state.email.address`. */
export function path(field: string): string {
  if (!/^[a-z]+([A-Z][a-z]+)*(\.[a-z]+([A-Z][a-z]+)*)*$/.test(field)) throw new Error(`not a field path: ${field}`);
  return `$.${field.replace(/^(state|element)\./, "")}`;
}
