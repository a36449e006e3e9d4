/** A field of a state for which searches look, and the column that holds it, with an index. */
export interface IndexedField {
  field: `state.${string}`;
  column: string;
  /** Of which the values are that searches find. */
  type: "text" | "number";
  /** In which order streams with the same value are read. */
  order: readonly ("created" | "id")[];
  /** Whether all streams of a kind are sorted by it. */
  isSortKey: boolean;
}

/**
 * The only place that names them: the schemas, the appends and the searches of both stores are made from it. A change
 * that leaves these fields alone leaves their indexes alone; an index on an expression is written anew with each state.
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

/** As SQLite's json_extract gives the value, by which all other fields are searched. */
function keyOf(value: unknown): Key {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : null;
}
