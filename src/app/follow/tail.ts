import { setImmediate as nextTurn } from "node:timers/promises";
import { retry } from "../../retry.ts";
import type { Cursor, EventStore, RecordedEvent } from "../../store/port.ts";

/** How often the log is looked at without a hint, milliseconds: hints may be missing. */
const POLL_MS = 1_000;
/** Events of one read. */
const PAGE = 1_000;
/** Events that a listener is given at once, which it may then write at once. */
const BATCH = 100;
/** How many events are given away in one turn of the event loop, so that others are served between them. */
const PER_TURN = 500;

/** Takes some events. It must not throw, and must not wait. */
export type Listener = (events: readonly RecordedEvent[]) => void;

/** The end of the log, as a follower sees it. */
export interface Following {
  /** All events up to here have been given to those who were attached. It never goes back. */
  readonly cursor: Cursor;
  /**
   * From now on the listener is given every event behind `cursor`, once, in the order of the log, until the function
   * that comes back is called.
   */
  attach(listener: Listener): () => void;
  /** Follows no longer. Listeners must have been detached. */
  leave(): void;
}

export type Tail = ReturnType<typeof createTail>;

/** From the first follower to the last. */
interface Run {
  followers: number;
  listeners: Set<Listener>;
  cursor: Cursor;
  stop: AbortController;
}

/**
 * One reader of the log for all followers: it reads while somebody follows. Faults of the store go to `onError`, are
 * tried again, and end nothing.
 */
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
    const run: Run = { followers: 0, listeners: new Set(), cursor: await store.head(), stop: new AbortController() };
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
      const { events, hasMore } = await store.read({ from: run.cursor, limit: PAGE });
      await deliver(run, events);
      if (!hasMore) await hintOrPoll();
    };
    while (!signal.aborted) await retry(step, { signal, onFailure: onError }).catch(() => {});
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
    // The last one may have left, and have stopped it, while this one came.
    if (run.stop.signal.aborted) return follow();
    run.followers++;
    return {
      get cursor() {
        return run.cursor;
      },
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
      // Before the first one too: the answer to the call that made the event is sent first.
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
