import { fold } from "../../domain/fold.ts";
import { afterPlace, type Fragment } from "../after-place.ts";
import { INDEXED_FIELDS } from "../indexed-fields.ts";
import type { Filter, OrderPlace, Query, SortKey, SortValue, TextMethod } from "../query.ts";

/** The clauses of a query. The connection must have the functions `fold` and `is_wanted`. */
interface Clauses {
  where: Fragment;
  /** The WHERE of each part of the page, in their order. */
  parts: Fragment[];
  order: Fragment;
}

export function searchClauses(instance: string, query: Query): Clauses {
  const wanted = condition(query.where, 0);
  const direction = query.order.descending ? "DESC" : "ASC";
  const keys = [...query.order.keys.map(sortKey), { sql: "id", values: [] }];
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

function sortKey(key: SortKey): Fragment {
  return "field" in key ? { sql: column(key.field, 0), values: [] } : condition(key.test, 0);
}

/** An expression that is 0 or 1, never NULL, so that NOT is exact. */
function condition(filter: Filter, depth: number): Fragment {
  if ("all" in filter) return join(filter.all, "AND", depth);
  if ("any" in filter) return join(filter.any, "OR", depth);
  if ("not" in filter) {
    const inner = condition(filter.not, depth);
    return { sql: `(NOT ${inner.sql})`, values: inner.values };
  }
  if ("some" in filter) {
    const inner = condition(filter.where, depth + 1);
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

/**
 * The SQL of `fold`, NULL for other values than text. SQLite folds ASCII itself, because a call into JavaScript keeps
 * about 150 bytes until its statement ends: 300 MiB for 98 conditions on 20,000 users.
 */
function foldedSql(field: string): string {
  return `CASE WHEN typeof(${field}) <> 'text' THEN NULL WHEN ${field} GLOB '*[^ -~]*' THEN fold(${field}) ELSE lower(${field}) END`;
}

function text(field: string, method: TextMethod, value: string): Fragment {
  const folded = fold(value);
  switch (method) {
    case "equals_ignore_case":
      return { sql: `((${foldedSql(field)}) IS ?)`, values: [folded] };
    case "starts_with":
      return { sql: `coalesce(instr(${field}, ?) = 1, 0)`, values: [value] };
    case "starts_with_ignore_case":
      return { sql: `coalesce(instr(${foldedSql(field)}, ?) = 1, 0)`, values: [folded] };
    case "contains":
      return { sql: `coalesce(instr(${field}, ?) > 0, 0)`, values: [value] };
    case "contains_ignore_case":
      return { sql: `coalesce(instr(${foldedSql(field)}, ?) > 0, 0)`, values: [folded] };
  }
}

function join(filters: readonly Filter[], operator: "AND" | "OR", depth: number): Fragment {
  const parts = filters.map((filter) => condition(filter, depth));
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
