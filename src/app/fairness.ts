import { setImmediate as nextTurn } from "node:timers/promises";
import { DomainError } from "../domain/errors.ts";

/** Takes places for a holder, one if not said otherwise. Returns how to give them back; calling that twice is harmless. */
export type Quota = (holder: string, places?: number) => () => void;

/**
 * A number of places that are held for a while, such as open streams: `total` in all, and at most `each` for one holder.
 * A holder is a caller's subject, or the address of a caller without a token. Where `each` is Infinity, holders are not
 * told apart. Otherwise a holder has at most half of what the others leave, so that a few never take all (dynamic
 * thresholds: Choudhury and Hahne, 1998). One place too many throws TOO_MANY_REQUESTS with the text `full`.
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

/** Runs work for a holder when it is the holder's turn. Work that its signal aborts before its turn is not run. */
export type FairQueue = <Result>(
  holder: string,
  work: () => Promise<Result> | Result,
  signal?: AbortSignal,
) => Promise<Result>;

/**
 * Runs at most `atOnce` jobs concurrently, and at most `atOnceEach` of one holder. The rest wait: holders take turns,
 * and the jobs of one holder run in FIFO order, so that a holder with a thousand jobs delays another one's by one.
 * At most `waiting` jobs wait, and at most `waitingEach` of one holder, shared as in a quota. One more rejects at once
 * with TOO_MANY_REQUESTS and the text `full`.
 */
export function createFairQueue(limits: {
  atOnce: number;
  atOnceEach?: number;
  waiting?: number;
  waitingEach?: number;
  full?: string;
}): FairQueue {
  const { atOnce, atOnceEach = atOnce, waiting = Infinity, waitingEach = waiting, full = "Too much waits." } = limits;
  /** Jobs that wait, by holder; the holder whose turn it is next comes first. */
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
      // Behind the others: each holder has one turn before any has two.
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

/**
 * A pause for work in bulk that nobody waits for: each caller continues in an event-loop turn of its own, so that
 * everybody else is served between any two of them.
 */
export function createBreather(): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return () => {
    last = last.then(() => nextTurn());
    return last;
  };
}
