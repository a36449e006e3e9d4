import { setTimeout as sleep } from "node:timers/promises";
import { pauseBefore } from "../retry.ts";
import { callSafely } from "./events.ts";

/** The server sends a message every 15 seconds. A stream that is silent for longer is dead, milliseconds. */
export const SILENCE_MS = 20_000;
const PAUSES = { firstMs: 100, longestMs: 5_000 };

/**
 * Keeps a stream open until the signal is aborted: opens it again after a pause that grows with each failure in a row.
 * `read` reads one stream to its end, and calls `alive` for each message. `onEnd` gets the error that ended it.
 */
export async function follow(options: {
  read(signal: AbortSignal, alive: () => void): Promise<void>;
  onEnd(error: unknown): void;
  signal: AbortSignal;
  silenceMs?: number | undefined;
}): Promise<void> {
  const { read, onEnd, signal, silenceMs = SILENCE_MS } = options;
  for (let failures = 1; !signal.aborted; failures++) {
    const stop = new AbortController();
    const onStop = () => stop.abort(signal.reason);
    signal.addEventListener("abort", onStop);
    const timer = setTimeout(() => stop.abort(new Error("the stream is silent")), silenceMs).unref();
    let error: unknown;
    try {
      await read(stop.signal, () => {
        failures = 0;
        timer.refresh();
      });
    } catch (cause) {
      error = cause;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onStop);
      // Closes a stream that was left early.
      stop.abort();
    }
    if (signal.aborted) return;
    callSafely(onEnd, error);
    await sleep(pauseBefore(failures + 1, PAUSES), undefined, { signal, ref: false }).catch(() => {});
  }
}
