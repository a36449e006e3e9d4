import { setImmediate as nextTurn } from "node:timers/promises";
import { hasReason } from "../../domain/errors.ts";
import { retry } from "../../retry.ts";
import { type Cursor, type EventStore, type RecordedEvent, StoreUnavailable } from "../../store/port.ts";

/** How often the log is read without a hint, milliseconds. Hints may be missing. */
const POLL_MS = 1_000;
/** Events of one read. */
const PAGE = 1_000;
/** The number of events that a listener gets at once, and may write at once. */
const BATCH = 100;
/** The number of events delivered in one event-loop tick, so that other calls are served in between. */
const PER_TURN = 500;

/** Receives events. It must not throw or wait. */
export type Listener = (events: readonly RecordedEvent[]) => void;

/** The end of the log, as a follower sees it. */
export interface Following {
  /** All events up to here were delivered to attached listeners. It never goes back. */
  readonly cursor: Cursor;
  /** When the last read began that reached the end of the log, by the monotonic clock, milliseconds. */
  readonly readAt: number;
  /** Aborts with STORE_UNAVAILABLE once the log has lost events that were delivered, after a restore or a failover. */
  readonly signal: AbortSignal;
  /**
   * From now on the listener gets every event after `cursor`, once, in log order, until the returned function is
   * called.
   */
  attach(listener: Listener): () => void;
  /** Stops following. Detach listeners first. */
  leave(): void;
}

export type Tail = ReturnType<typeof createTail>;

/** From the first follower to the last. */
interface Run {
  followers: number;
  listeners: Set<Listener>;
  cursor: Cursor;
  readAt: number;
  stop: AbortController;
}

/** Reads the log once for all followers, while there are any. Store errors go to `onError` and are retried. */
export function createTail({
  store,
  onError,
  pollMs = POLL_MS,
}: {
  store: EventStore;
  onError(error: unknown): void;
  pollMs?: number;
}) {
  let current: Promise<Run> | undefined;

  async function start(): Promise<Run> {
    const readAt = performance.now();
    const cursor = await store.head();
    const run: Run = { followers: 0, listeners: new Set(), cursor, readAt, stop: new AbortController() };
    void read(run);
    return run;
  }

  async function read(run: Run): Promise<void> {
    const { signal } = run.stop;
    let isHinted = false;
    let wake = () => {};
    const forget = store.onAppend(() => {
      isHinted = true;
      wake();
    });
    const hintOrPoll = () =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pollMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (isHinted || signal.aborted) wake();
      });
    signal.addEventListener("abort", () => {
      forget();
      wake();
    });

    const step = async () => {
      isHinted = false;
      const began = performance.now();
      const { events, hasMore } = await store.read({ from: run.cursor, limit: PAGE });
      await deliver(run, events);
      if (hasMore) return;
      run.readAt = began;
      await hintOrPoll();
    };
    const mayPass = (error: unknown) => !hasReason(error, "INVALID_REQUEST");
    while (!signal.aborted) {
      await retry(step, { signal, mayPass, onFailure: onError }).catch((error) => {
        if (signal.aborted || mayPass(error)) return;
        // The next follower begins at the log's new end.
        current = undefined;
        run.stop.abort(new StoreUnavailable(error));
      });
    }
  }

  /** Rejects with STORE_UNAVAILABLE if the end of the log cannot be found. */
  async function follow(): Promise<Following> {
    current ??= start();
    const starting = current;
    const end = () => {
      if (current === starting) current = undefined;
    };
    const run = await starting.catch((error) => {
      end();
      throw error;
    });
    // The last follower may have stopped the run in the meantime.
    if (run.stop.signal.aborted) return follow();
    run.followers++;
    return {
      get cursor() {
        return run.cursor;
      },
      get readAt() {
        return run.readAt;
      },
      signal: run.stop.signal,
      attach(listener) {
        run.listeners.add(listener);
        return () => run.listeners.delete(listener);
      },
      leave() {
        if (--run.followers > 0) return;
        run.stop.abort();
        end();
      },
    };
  }

  return { follow };
}

async function deliver(run: Run, events: readonly RecordedEvent[]): Promise<void> {
  let given = 0;
  for (let start = 0; start < events.length; start += BATCH) {
    const batch = events.slice(start, start + BATCH);
    // Listeners attached during the loop are visited last; detached ones are skipped.
    for (const listener of run.listeners) {
      // Also before the first one, so that the answer to the call that made the event is sent first.
      if (given % PER_TURN < batch.length) {
        await nextTurn();
        if (run.stop.signal.aborted) return;
      }
      if (run.listeners.has(listener)) listener(batch);
      given += batch.length;
    }
    run.cursor = (batch.at(-1) as RecordedEvent).cursor;
  }
}
