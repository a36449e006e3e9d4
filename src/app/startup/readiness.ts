import { setTimeout as sleep } from "node:timers/promises";
import type { EventStore } from "../../store/port.ts";

/** How long a result is reused, milliseconds, because each check writes a little. A full disk shows within a second. */
const READY_MS = 900;

/**
 * Reports whether the store accepts writes. Concurrent calls share one check. `onChange` is called with the error when
 * the store fails, and with undefined when it recovers.
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

/**
 * Returns a function to call when the store has failed. It checks the store about once a second until it is good, so
 * that the log has the failure and the recovery even if nothing probes the server.
 */
export function createRecovery(isGood: () => Promise<boolean>, stopping: AbortSignal): () => void {
  let isChecking = false;
  return () => {
    if (isChecking || stopping.aborted) return;
    isChecking = true;
    void (async () => {
      while (!stopping.aborted && !(await isGood())) {
        await sleep(READY_MS, undefined, { signal: stopping, ref: false }).catch(() => {});
      }
      isChecking = false;
    })();
  };
}
