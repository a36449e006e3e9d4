import { setTimeout as sleep } from "node:timers/promises";

/** How often, and how long after each other, a call is made again. */
export interface RetryOptions {
  /** The number of times that a call is made, 5 by default. 1 means no retries. */
  attempts?: number;
  /** The longest first pause, milliseconds, 100 by default. It doubles with each attempt. */
  firstMs?: number;
  /** The longest pause, milliseconds, 2,000 by default. */
  longestMs?: number;
}

/** The pause before an attempt, with jitter of a half. The first attempt is 1. */
export function pauseBefore(attempt: number, { firstMs = 100, longestMs = 2_000 }: RetryOptions = {}): number {
  const longest = Math.min(firstMs * 2 ** Math.max(attempt - 2, 0), longestMs);
  return longest * (0.5 + Math.random() / 2);
}

/**
 * Does the work until it succeeds, fails for good, or has used up its attempts or its time. `remainingMs` is the time
 * left for an attempt. Rejects with the last error.
 */
export async function retry<Result>(
  work: (remainingMs: number | undefined) => Promise<Result>,
  options: RetryOptions & {
    /** The time for all attempts and pauses. */
    timeoutMs: number | undefined;
    signal?: AbortSignal | undefined;
    mayPass(error: unknown): boolean;
    /** The pause that the server asks for. */
    pauseOf?(error: unknown): number | undefined;
  },
): Promise<Result> {
  const { attempts = 5, timeoutMs, signal, mayPass, pauseOf } = options;
  const end = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(timeoutMs === undefined ? undefined : Math.max(Math.ceil(end - performance.now()), 1));
    } catch (error) {
      if (attempt >= attempts || signal?.aborted || !mayPass(error)) throw error;
      const pauseMs = Math.max(pauseBefore(attempt + 1, options), pauseOf?.(error) ?? 0);
      if (performance.now() + pauseMs >= end) throw error;
      await sleep(pauseMs, undefined, signal && { signal }).catch(() => {});
      if (signal?.aborted) throw error;
    }
  }
}
