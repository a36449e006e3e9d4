import { setTimeout as sleep } from "node:timers/promises";

/**
 * Retries work while it fails temporarily: after `firstMs`, then doubling up to `longestMs`, with jitter of a half.
 * Rejects with the last error if it is not temporary, if the signal is aborted, or if the next attempt would start
 * `patienceMs` after the first failure.
 */
export async function retry<Result>(
  work: (attempt: number) => Promise<Result>,
  options: {
    signal: AbortSignal;
    onFailure(error: unknown, attempt: number): void;
    mayPass?(error: unknown): boolean;
    patienceMs?: number;
    firstMs?: number;
    longestMs?: number;
  },
): Promise<Result> {
  const { signal, onFailure, mayPass = () => true, patienceMs = Infinity, firstMs = 100, longestMs = 5_000 } = options;
  let end: number | undefined;
  for (let attempt = 1, pauseMs = firstMs; ; attempt++, pauseMs = Math.min(2 * pauseMs, longestMs)) {
    try {
      return await work(attempt);
    } catch (error) {
      end ??= performance.now() + patienceMs;
      if (signal.aborted || !mayPass(error) || performance.now() + pauseMs > end) throw error;
      onFailure(error, attempt);
      await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      if (signal.aborted) throw error;
    }
  }
}
