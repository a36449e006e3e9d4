/** A field of a state for which searches look, and the column that holds it, with an index. */
export interface IndexedField {
  field: `state.${string}`;
  column: string;
  /** Of which the values are that searches find. */
  type: "text" | "number";
}

/** When a lock ends, microseconds since the Unix epoch. */
export const LOCK_END = "state.lock.until";

/**
 * The only place that names them: the schemas, the appends and the searches of both stores are made from it. A change
 * that leaves these fields alone leaves their indexes alone; an index on an expression is written anew with each state.
 */
export const INDEXED_FIELDS = [
  { field: "state.email.address", column: "email", type: "text" },
  { field: LOCK_END, column: "lock_until", type: "number" },
  { field: "state.subject", column: "subject", type: "text" },
  { field: "state.userId", column: "user_id", type: "text" },
] as const satisfies IndexedField[];

export const KEY_COLUMNS: Readonly<Record<string, string>> = Object.fromEntries(
  INDEXED_FIELDS.map(({ field, column }) => [field, column]),
);

/** The values of the fields in a state, in the order of INDEXED_FIELDS. */
export function indexedValues(state: unknown): unknown[] {
  return PATHS.map((path) => path.reduce(stepInto, state));
}

const PATHS = INDEXED_FIELDS.map(({ field }) => field.split(".").slice(1));

function stepInto(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The values of the columns, in their order. */
export type Keys = readonly [email: Key, lockUntil: Key, subject: Key, userId: Key];
type Key = string | number | null;

export function keysOf(state: unknown): Keys {
  const [email, lockUntil, subject, userId] = indexedValues(state);
  return [keyOf(email), keyOf(lockUntil), keyOf(subject), keyOf(userId)];
}

/** As SQLite's json_extract gives the value, which the columns of older files were filled with. */
function keyOf(value: unknown): Key {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : null;
}
