import type { EventStore } from "../../store/port.ts";

/**
 * How long an answer about the store is good for, milliseconds: many may ask, and each look writes a little. A full disk
 * shows within a second.
 */
const READY_MS = 900;

/**
 * Whether the store can be written. One look serves all who ask during it and for a while after. `onChange` is called
 * with the error when the store can no longer be written, and with undefined when it can again.
 */
export function createReadiness(
  store: Pick<EventStore, "check">,
  onChange: (error: unknown) => void,
): () => Promise<boolean> {
  let wasGood = true;
  let latest: { isGood: Promise<boolean>; until: number } | undefined;

  async function look(): Promise<boolean> {
    const error: unknown = await store.check().catch((cause) => cause);
    const isGood = error === undefined;
    if (isGood !== wasGood) onChange(error);
    wasGood = isGood;
    return isGood;
  }

  return () => {
    if (latest && performance.now() < latest.until) return latest.isGood;
    const current = { isGood: look(), until: Number.POSITIVE_INFINITY };
    latest = current;
    void current.isGood.then(() => {
      current.until = performance.now() + READY_MS;
    });
    return current.isGood;
  };
}
