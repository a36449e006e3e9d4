/** When a lock ends, microseconds since the Unix epoch. */
export const LOCK_END = "state.lock.until";

/**
 * The fields of a state that have a column of their own, with an index: a change that leaves them alone then leaves
 * their indexes alone, too. An index on an expression is written anew with each state.
 */
export const KEY_COLUMNS = {
  "state.email.address": "email",
  [LOCK_END]: "lock_until",
  "state.subject": "subject",
  "state.userId": "user_id",
} as const;

/** The values of the columns, in their order. */
export type Keys = readonly [email: Key, lockUntil: Key, subject: Key, userId: Key];
type Key = string | number | null;

export function keysOf(state: unknown): Keys {
  const { email, lock, subject, userId } = (state ?? {}) as Record<string, unknown>;
  return [keyOf(fieldOf(email, "address")), keyOf(fieldOf(lock, "until")), keyOf(subject), keyOf(userId)];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** As SQLite's json_extract gives the value, which the columns of older files were filled with. */
function keyOf(value: unknown): Key {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : null;
}
