import { DomainError } from "../domain/errors.ts";

/** The longest delay of setTimeout, milliseconds. A later deadline counts as no deadline. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A signal that ends calls, and its error. */
export type End = readonly [signal: AbortSignal, reason: () => unknown];

/** Rejects at the deadline or at one of the ends, even if the work ignores its signal. */
export function withDeadline<Result>(
  timeoutMs: number | undefined,
  ends: readonly End[],
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const isSet = timeoutMs !== undefined && !(timeoutMs > MAX_TIMER_MS);
    const timer = isSet ? setTimeout(() => end(timeIsUp()), Math.max(timeoutMs, 0)) : undefined;
    const listeners = ends.map(([signal, reason]) => {
      const onEnd = () => end(reason());
      signal.addEventListener("abort", onEnd);
      return () => signal.removeEventListener("abort", onEnd);
    });
    const forget = () => {
      clearTimeout(timer);
      for (const forgetEnd of listeners) forgetEnd();
    };
    const end = (reason: unknown) => {
      forget();
      controller.abort(reason);
      reject(reason);
    };
    const ended = ends.find(([signal]) => signal.aborted);
    if (isSet && timeoutMs <= 0) return end(timeIsUp());
    if (ended) return end(ended[1]());
    // A handler may throw synchronously, which must not leave the timer behind.
    const started = async () => work(controller.signal);
    started().finally(forget).then(resolve, reject);
  });
}

function timeIsUp(): DomainError {
  return new DomainError(
    "DEADLINE_EXCEEDED",
    "The deadline has passed. A change may or may not have been made. Retry it with the same Idempotency-Key.",
  );
}
