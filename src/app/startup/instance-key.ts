import { type EventStore, StoreRefused } from "../../store/port.ts";

/** Not one that a caller's could be: theirs begin with who called. */
const KEY = "userlock: key of the instance";
const NEVER = Number.MAX_SAFE_INTEGER;

/**
 * Holds all servers of a store to one key of the instance, for with another one they would not know each other's device
 * tokens and wrong passwords. The first one leaves the fingerprint of its key; rejects with StoreRefused where there is
 * another one, and with STORE_UNAVAILABLE.
 *
 * It is a receipt, for that is what the store keeps once for all servers without an event: the key is no change of
 * anything that the log tells of, and who has lost it deletes one row.
 */
export async function ensureSameKey(parts: {
  store: EventStore;
  clock: () => number;
  fingerprint: string;
}): Promise<void> {
  const { store, clock, fingerprint } = parts;
  const now = clock();
  const isFirst = await store.keep({ key: KEY, fingerprint, answer: new Uint8Array(), expires: NEVER }, now);
  if (isFirst || (await store.loadReceipt(KEY, now))?.fingerprint === fingerprint) return;
  throw new StoreRefused("The store was made with another key: give all servers the same USERLOCK_SECRET_KEY.");
}
