import { fold } from "../../domain/fold.ts";
import { afterPlace, type PlacedKey } from "../after-place.ts";
import { isText } from "../append-row.ts";
import { INDEXED_FIELDS, type IndexedField } from "../indexed-fields.ts";
import { endOf } from "../port.ts";
import type { CountQuery, Counts, Filter, OrderPlace, Query, SortKey, SortValue, TextMethod } from "../query.ts";
import type { Statement } from "./connections.ts";
import { foldedSql } from "./fold.ts";
import { pageOf } from "./page.ts";

/** Adds a value to the statement and returns its placeholder. The SQL itself never has a caller's value. */
type Bind = (value: string | number | boolean) => string;

/** A field as each type, NULL if its value has another type. Fields of indexed-fields.ts are columns. */
interface Field {
  text: string;
  number: string;
  boolean: string;
  /** NULL only if it is absent. */
  any: string;
  /** The sort keys: absent before numbers, numbers before texts. */
  keys: OneKey[];
}

interface OneKey {
  sql: string;
  isNullable: boolean;
  /** The type of its values, so that an index serves a comparison. */
  type: "text" | "bigint" | "float8" | "boolean";
}

/** The indexed columns. They are NULL for values of another type. */
const columnsOf = (type: IndexedField["type"]) =>
  new Map<string, string>(
    INDEXED_FIELDS.filter((one) => one.type === type).map(({ field, column }) => [field, column]),
  );
const TEXTS = columnsOf("text");
const NUMBERS = columnsOf("number");

const COLUMNS = "kind, id, version, owner_type, owner_id, created, changed, state";

/** One statement, so that the page and the total are of one moment. Each row, or a single empty one, has the total. */
export function searchStatement(instance: string, query: Query): Statement {
  const { values, scope } = scopeOf(instance, query.kind);
  const { bind } = scope;
  // `created > 0` is true for every stream. The index by `created` needs this condition (schema.sql).
  const where = `instance = ${scope.instance} AND kind = ${scope.kind} AND created > 0 AND ${condition(query.where, scope)}`;
  const order = orderBy(query, scope);
  const limit = bind(query.limit);
  const parts = (query.after ? partsAfter(query.after, query, scope) : ["true"]).map(
    (part) => `(SELECT ${COLUMNS} FROM streams WHERE ${where} AND ${part} ORDER BY ${order} LIMIT ${limit}
      OFFSET ${bind(query.offset)})`,
  );
  // The parts run one after the other, until the page is full.
  const page = pageOf(`SELECT * FROM (${parts.join(" UNION ALL ")}) AS parts LIMIT ${limit}`, "length(state::text)");
  return {
    text: `
      SELECT ${query.total === false ? "0" : `(SELECT count(*) FROM streams WHERE ${where})`} AS total, page.*
      FROM (SELECT) AS always
      LEFT JOIN (${page}) AS page ON true
      ORDER BY page.place`,
    values,
  };
}

/** One row: the totals, each test's count in arrays, and the top texts as a JSON array of pairs. */
export function countStatement(instance: string, { kind, where, tests, part }: CountQuery): Statement {
  const { values, scope } = scopeOf(instance, kind);
  const wanted = `instance = ${scope.instance} AND kind = ${scope.kind} AND ${condition(where, scope)}`;
  const ofAll = tests.map((test, index) => `${condition(test, scope)} AS test${index}, `);
  const ofPart = part.tests.map((test, index) => `is_part AND ${condition(test, scope)} AS part${index}, `);
  const sums = (name: string, count: number) =>
    `ARRAY[${Array.from({ length: count }, (_, index) => `count(*) FILTER (WHERE ${name}${index})`).join(", ")}]::float8[]`;
  // OFFSET 0 prevents judging the part again for each of its tests.
  return {
    text: `
      WITH found AS MATERIALIZED (
        SELECT is_part, ${ofAll.join("")}${ofPart.join("")}
          CASE WHEN is_part THEN ${fieldOf(part.top.field, 0).text} END AS text
        FROM (SELECT *, ${condition(part.where, scope)} AS is_part FROM streams WHERE ${wanted} OFFSET 0) AS streams
      )
      SELECT count(*) AS total, ${sums("test", tests.length)} AS tests,
        count(*) FILTER (WHERE is_part) AS of_part, ${sums("part", part.tests.length)} AS part_tests,
        (
          SELECT coalesce(json_agg(json_build_array(text, streams) ORDER BY streams DESC, text), '[]') FROM (
            SELECT text, count(*) AS streams FROM found WHERE text IS NOT NULL
            GROUP BY text ORDER BY streams DESC, text LIMIT ${scope.bind(part.top.limit)}
          ) AS most
        ) AS top
      FROM found`,
    values,
  };
}

/** The row of countStatement. */
export interface CountRow {
  total: number;
  tests: number[];
  of_part: number;
  part_tests: number[];
  top: [text: string, count: number][];
}

export function toCounts([row]: readonly CountRow[]): Counts {
  const { total, tests, of_part, part_tests, top } = row as CountRow;
  return {
    total,
    tests,
    part: { total: of_part, tests: part_tests, top: top.map(([text, count]) => ({ text, count })) },
  };
}

/** The values of a statement about the streams of a kind, and the scope of its conditions. */
function scopeOf(instance: string, kind: string): { values: unknown[]; scope: Scope } {
  const values: unknown[] = [];
  const bind: Bind = (value) => `$${values.push(value)}`;
  return { values, scope: { instance: bind(instance), kind: bind(kind), bind, depth: 0 } };
}

/** The condition of each part of the page, in their order. */
function partsAfter({ values, id }: OrderPlace, { order: { keys, descending } }: Query, scope: Scope): string[] {
  const placed = [...keys, { field: "id" }].flatMap((key, index): PlacedKey[] => {
    const value = index < keys.length ? (values[index] ?? null) : id;
    return sortKeys(key, scope).map(({ sql, isNullable, type }) => ({
      key: { sql, values: [] },
      isNullable,
      value: isOfType(value, type) ? { sql: `${scope.bind(toKey(value, type))}::${type}`, values: [] } : null,
    }));
  });
  return afterPlace(placed, descending).map(({ sql }) => sql);
}

/** Whether the key has this value of the field, or else none. */
function isOfType(value: SortValue, type: OneKey["type"]): value is string | number | boolean {
  return value !== null && (type === "text") === (typeof value === "string");
}

/** Among numbers, false sorts as 0 and true as 1. */
const toKey = (value: string | number | boolean, type: OneKey["type"]) => (type === "float8" ? Number(value) : value);

function orderBy({ order: { keys, descending } }: Query, scope: Scope): string {
  const [direction, nulls] = descending ? ["DESC", "NULLS LAST"] : ["ASC", "NULLS FIRST"];
  const sorted = [...keys, { field: "id" }].flatMap((key) => sortKeys(key, scope));
  // Without NULLS FIRST or LAST for columns that are never NULL, an index serves it.
  return sorted.map(({ sql, isNullable }) => `${sql} ${direction}${isNullable ? ` ${nulls}` : ""}`).join(", ");
}

function sortKeys(key: SortKey, scope: Scope): Field["keys"] {
  if ("field" in key) return fieldOf(key.field, 0).keys;
  return [{ sql: `(${condition(key.test, scope)} IS TRUE)`, isNullable: false, type: "boolean" }];
}

/** What a condition is about: the streams of a kind, or the elements at a depth of nested arrays. */
interface Scope {
  /** Placeholders. */
  instance: string;
  kind: string;
  bind: Bind;
  depth: number;
}

/** An expression that is true for matches, and false or NULL for others. */
function condition(filter: Filter, scope: Scope): string {
  const { instance, kind, depth, bind } = scope;
  if ("all" in filter) return join(filter.all, "AND", scope);
  if ("any" in filter) return join(filter.any, "OR", scope);
  if ("rare" in filter) {
    const found = `SELECT id FROM streams WHERE instance = ${instance} AND kind = ${kind} AND ${condition(filter.rare, scope)}`;
    return `(id = ANY (ARRAY(${found})))`;
  }
  if ("claim" in filter) {
    if (!isText(filter.contains)) return "false";
    const found = `SELECT claims.id FROM claims WHERE claims.instance = ${instance}
      AND claims.name >= ${bind(filter.claim)} AND claims.name < ${bind(endOf(filter.claim))}
      AND claims.kind = ${kind} AND strpos(claims.name, ${bind(filter.contains)}) > 0`;
    return `(id = ANY (ARRAY(${found})))`;
  }
  if ("not" in filter) return `(${condition(filter.not, scope)} IS NOT TRUE)`;
  if ("some" in filter) {
    const array = json(filter.some, depth);
    const elements = `CASE json_typeof(${array}) WHEN 'array' THEN ${array} END`;
    const inner = condition(filter.where, { ...scope, depth: depth + 1 });
    return `EXISTS (SELECT FROM json_array_elements(${elements}) AS e${depth + 1}(value) WHERE ${inner})`;
  }
  const field = fieldOf(filter.field, depth);
  if ("exists" in filter) return `(${field.any} IS NOT NULL)`;
  if ("is" in filter) return equals(field, filter.is, bind);
  if ("atMost" in filter) return `(${field.number} <= ${bind(filter.atMost)}::float8)`;
  if ("atLeast" in filter) return `(${field.number} >= ${bind(filter.atLeast)}::float8)`;
  // A storable text sorts after the value if and only if it sorts after the storable part.
  if ("after" in filter) return `(${field.text} > ${bind(storablePart(filter.after))})`;
  if (!isText(filter.value)) return "false";
  return text(field.text, filter.text, filter.value, bind);
}

function equals(field: Field, value: string | number | boolean, bind: Bind): string {
  switch (typeof value) {
    case "string":
      if (!isText(value)) return "false";
      return `(${field.text} = ${bind(value)})`;
    case "number":
      return `(${field.number} = ${bind(value)}::float8)`;
    default:
      return `(${field.boolean} = ${bind(value)}::boolean)`;
  }
}

function text(field: string, method: TextMethod, value: string, bind: Bind): string {
  switch (method) {
    case "equals_ignore_case":
      return `(${foldedSql(field)} = ${bind(fold(value))})`;
    case "starts_with":
      return `starts_with(${field}, ${bind(value)})`;
    case "starts_with_ignore_case":
      return `starts_with(${foldedSql(field)}, ${bind(fold(value))})`;
    case "contains":
      return `(strpos(${field}, ${bind(value)}) > 0)`;
    case "contains_ignore_case":
      return `(strpos(${foldedSql(field)}, ${bind(fold(value))}) > 0)`;
  }
}

function storablePart(value: string): string {
  const [part = ""] = value.split(/\0|\p{Surrogate}/u, 1);
  return part;
}

function join(filters: readonly Filter[], operator: "AND" | "OR", scope: Scope): string {
  if (filters.length === 0) return operator === "AND" ? "true" : "false";
  return `(${filters.map((filter) => condition(filter, scope)).join(` ${operator} `)})`;
}

function fieldOf(field: string, depth: number): Field {
  if (field.startsWith("state.") || field.startsWith("element.")) return jsonField(field, depth);
  const column = steps(field).join("_");
  const isText = column !== "created" && column !== "changed";
  return {
    text: isText ? column : "NULL::text",
    number: isText ? "NULL::float8" : `${column}::float8`,
    boolean: "NULL::boolean",
    any: column,
    keys: [{ sql: column, isNullable: false, type: isText ? "text" : "bigint" }],
  };
}

function jsonField(field: string, depth: number): Field {
  const type = `json_typeof(${json(field, depth)})`;
  const value = json(field, depth, "#>>");
  return {
    text: TEXTS.get(field) ?? `(CASE ${type} WHEN 'string' THEN ${value} END COLLATE "C")`,
    number: NUMBERS.get(field) ?? `CASE ${type} WHEN 'number' THEN (${value})::float8 END`,
    boolean: `CASE ${type} WHEN 'boolean' THEN (${value})::boolean END`,
    any: `(${value})`,
    keys: [
      {
        sql: `(CASE ${type} WHEN 'number' THEN NULL WHEN 'boolean' THEN NULL ELSE ${value} END COLLATE "C")`,
        isNullable: true,
        type: "text",
      },
      {
        sql: `CASE ${type} WHEN 'number' THEN (${value})::float8 WHEN 'boolean' THEN (${value})::boolean::int END`,
        isNullable: true,
        type: "float8",
      },
    ],
  };
}

/** The value of a field, as JSON or by `#>>` as text. */
function json(field: string, depth: number, operator: "#>" | "#>>" = "#>"): string {
  const [start, ...path] = steps(field);
  const base = start === "element" ? `e${depth}.value` : "state";
  return `${base} ${operator} '{${path.join(",")}}'`;
}

/** The steps of a path. Paths come from the program, and nothing else can get into the SQL. */
export function steps(field: string): string[] {
  if (!/^[a-z]+([A-Z][a-z]+)*(\.[a-z]+([A-Z][a-z]+)*)*$/.test(field)) throw new Error(`not a field path: ${field}`);
  return field.split(".");
}
