/** A field of a state that searches use, with its indexed column. */
export interface IndexedField {
  field: `state.${string}`;
  column: string;
  /** The type of values that searches compare. */
  type: "text" | "number";
  /** The order of streams with equal values. */
  order: readonly ("created" | "id")[];
  /** Whether searches sort all streams of a kind by it. */
  isSortKey: boolean;
}

/**
 * The schemas, appends and searches of both stores are generated from this list. A change that leaves these fields
 * alone writes no index of them, unlike an index on an expression, which is written with each state.
 */
export const INDEXED_FIELDS = [
  { field: "state.email.address", column: "email", type: "text", order: ["id"], isSortKey: true },
  { field: "state.lock.until", column: "lock_until", type: "number", order: ["id"], isSortKey: false },
  { field: "state.subject", column: "subject", type: "text", order: ["id"], isSortKey: false },
  { field: "state.userId", column: "user_id", type: "text", order: ["created", "id"], isSortKey: false },
] as const satisfies IndexedField[];

/** The values of the fields in a state, in the order of INDEXED_FIELDS. */
export function indexedValues(state: unknown): unknown[] {
  return PATHS.map((path) => path.reduce(stepInto, state));
}

const PATHS = INDEXED_FIELDS.map(({ field }) => field.split(".").slice(1));

function stepInto(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The values of SQLite's columns, in the order of INDEXED_FIELDS. */
export type Keys = readonly Key[];
type Key = string | number | null;

export function keysOf(state: unknown): Keys {
  return indexedValues(state).map(keyOf);
}

/** The value as SQLite's json_extract returns it, which searches of other fields use. */
function keyOf(value: unknown): Key {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : null;
}
