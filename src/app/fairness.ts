import { setImmediate as nextTurn } from "node:timers/promises";
import { DomainError } from "../domain/errors.ts";

/** Takes places for a holder, by default one. Returns a function that releases them; calling it twice is harmless. */
export type Quota = (holder: string, places?: number) => () => void;

/**
 * Limits concurrent use, such as open streams, to `total` places, and to `each` for one holder. A holder is a caller's
 * subject, or the address of a caller without a token. If `each` is Infinity, holders share one limit. Otherwise a
 * holder gets at most half of what the others leave, so that a few never take all (dynamic thresholds: Choudhury and
 * Hahne, 1998). Beyond a limit it throws TOO_MANY_REQUESTS with the text `full`.
 */
export function createQuota({ total, each, full }: { total: number; each: number; full: string }): Quota {
  const held = new Map<string, number>();
  let all = 0;
  return (holder, places = 1) => {
    const own = held.get(holder) ?? 0;
    const free = total - all;
    const isTooMany = each === Number.POSITIVE_INFINITY ? places > free : own + places > Math.min(each, free);
    if (isTooMany) throw new DomainError("TOO_MANY_REQUESTS", full);
    all += places;
    held.set(holder, own + places);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      all -= places;
      const left = (held.get(holder) as number) - places;
      if (left === 0) held.delete(holder);
      else held.set(holder, left);
    };
  };
}

/** Runs work when it is the holder's turn. Aborting the signal before that skips the work. */
export type FairQueue = <Result>(
  holder: string,
  work: () => Promise<Result> | Result,
  signal?: AbortSignal,
) => Promise<Result>;

/**
 * Runs at most `atOnce` jobs concurrently, and at most `atOnceEach` of one holder. The rest wait: holders take turns,
 * and the jobs of one holder run in FIFO order, so a holder with many jobs delays another one's by one. At most
 * `waiting` jobs wait, and at most `waitingEach` of one holder, shared as in a quota. Beyond that it rejects with
 * TOO_MANY_REQUESTS and the text `full`.
 */
export function createFairQueue(limits: {
  atOnce: number;
  atOnceEach?: number;
  waiting?: number;
  waitingEach?: number;
  full?: string;
}): FairQueue {
  const {
    atOnce,
    atOnceEach = atOnce,
    waiting = Infinity,
    waitingEach = waiting,
    full = "Too many calls are waiting.",
  } = limits;
  /** Waiting jobs by holder. The holder with the next turn is first. */
  const queues = new Map<string, Set<() => void>>();
  const running = new Map<string, number>();
  const places = createQuota({ total: waiting, each: waitingEach, full });
  let allRunning = 0;

  function isFree(holder: string): boolean {
    return allRunning < atOnce && (running.get(holder) ?? 0) < atOnceEach;
  }

  function start(holder: string): void {
    allRunning++;
    running.set(holder, (running.get(holder) ?? 0) + 1);
  }

  function end(holder: string): void {
    allRunning--;
    const left = (running.get(holder) as number) - 1;
    if (left === 0) running.delete(holder);
    else running.set(holder, left);
    startNext();
  }

  function startNext(): void {
    for (const [holder, queue] of queues) {
      if (allRunning >= atOnce) return;
      if (!isFree(holder)) continue;
      const [job] = queue;
      // Move the holder to the end, so that each has one turn before any has two.
      queues.delete(holder);
      queues.set(holder, queue);
      job?.();
    }
  }

  function turn(holder: string, signal: AbortSignal | undefined): Promise<void> {
    const release = places(holder);
    const queue = queues.get(holder) ?? new Set();
    queues.set(holder, queue);
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener("abort", onAbort);
        queue.delete(job);
        if (queue.size === 0) queues.delete(holder);
        release();
      };
      const job = () => {
        leave();
        start(holder);
        resolve();
      };
      const onAbort = () => {
        leave();
        reject(signal?.reason);
      };
      queue.add(job);
      signal?.addEventListener("abort", onAbort);
    });
  }

  return async (holder, work, signal) => {
    signal?.throwIfAborted();
    if (!queues.has(holder) && isFree(holder)) start(holder);
    else await turn(holder, signal);
    try {
      return await work();
    } finally {
      end(holder);
    }
  };
}

/** Pauses bulk work: each caller continues in its own event-loop tick, so that other calls are served in between. */
export function createBreather(): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return () => {
    last = last.then(() => nextTurn());
    return last;
  };
}
