import { setTimeout as sleep } from "node:timers/promises";
import { hasReason } from "../../domain/errors.ts";
import { USERLOCK } from "../../domain/identifier.ts";
import { user } from "../../domain/user.ts";
import type { EventStore } from "../../store/port.ts";
import type { Query } from "../../store/query.ts";
import { type Execute, systemCaller } from "../execute.ts";

/** How often expired locks are searched, milliseconds. */
const SWEEP_MS = 250;
/** The number of locks that are ended at once. */
const BATCH = 200;

/**
 * Appends `user.unlocked` with the cause `expired` for each expired lock, within a second, until the signal is aborted.
 * A lock ends by the clock even without this. Several processes may run it: the store lets one of them win.
 */
export async function expireLocks(parts: {
  store: EventStore;
  execute: Execute;
  clock: () => number;
  signal: AbortSignal;
  onError(error: unknown): void;
  sweepMs?: number;
}): Promise<void> {
  const { store, execute, clock, signal, onError, sweepMs = SWEEP_MS } = parts;
  const caller = systemCaller(USERLOCK, signal);
  while (!signal.aborted) {
    try {
      const query: Query = {
        kind: user.kind,
        where: { field: "state.lock.until", atMost: clock() },
        order: { keys: [{ field: "state.lock.until" }], descending: false },
        offset: 0,
        limit: BATCH,
        total: false,
      };
      const { records, isCut } = await store.search(query, { isLookUp: true });
      await Promise.all(
        records.map(({ id }) =>
          execute(user, { id, command: { type: "expire_lock" }, permission: "user.write" }, caller).catch((error) => {
            // A user that was deleted meanwhile has no lock.
            if (!hasReason(error, user.notFound)) throw error;
          }),
        ),
      );
      if (isCut || records.length === BATCH) continue;
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
    await sleep(sweepMs, undefined, { signal }).catch(() => {});
  }
}
