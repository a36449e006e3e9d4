import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { isLoggedOut } from "../core/api.ts";
import { onEvent, onGap } from "../core/live.ts";

/** What the first of a wave of events waits, so that the others are in the same answer, milliseconds. */
const COLLECT_MS = 50;

/** What a part of the page has loaded. */
export interface Loaded<Value> {
  /** Undefined until the first answer. */
  value: ReadonlySignal<Value | undefined>;
  failure: ReadonlySignal<unknown>;
  reload(): void;
}

/**
 * Loads a part of the page, and loads it again after events of these types, but at most once in `paceMs`. Such a part is
 * as true as the server, however many events come.
 */
export function useLoaded<Value>(
  load: (signal: AbortSignal) => Promise<Value>,
  { types, paceMs }: { types: readonly string[]; paceMs: number },
): Loaded<Value> {
  const value = useSignal<Value | undefined>(undefined);
  const failure = useSignal<unknown>(undefined);
  const running = useRef(new AbortController());

  async function run(): Promise<void> {
    running.current.abort();
    running.current = new AbortController();
    const { signal } = running.current;
    try {
      const answer = await load(signal);
      if (signal.aborted) return;
      value.value = answer;
      failure.value = undefined;
    } catch (error) {
      if (!signal.aborted && !isLoggedOut(error)) failure.value = error;
    }
  }

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last = performance.now();
    void run();
    const forgetEvents = onEvent(({ type }) => {
      if (!types.includes(type)) return;
      timer ??= setTimeout(
        () => {
          timer = undefined;
          last = performance.now();
          void run();
        },
        Math.max(COLLECT_MS, last + paceMs - performance.now()),
      );
    });
    const forgetGaps = onGap(() => void run());
    return () => {
      forgetEvents();
      forgetGaps();
      clearTimeout(timer);
      running.current.abort();
    };
  }, []);

  return { value, failure, reload: () => void run() };
}
