import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { batch, signal } from "@preact/signals";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { events, isLoggedOut } from "../core/api.ts";
import { addNewer, addOlder, createTally, MINUTE_MS, MINUTES, type Tally, TYPES, toEntry } from "./tally.ts";

/** The number of events of a page of the log. */
const PAGE = 1_000;
/** Events are collected this long, so that a wave of them costs few redraws, milliseconds. */
const REDRAW_MS = 250;

/** What is counted, in a new box after each change. Undefined before the first page. */
export const counted = signal<{ tally: Tally } | undefined>(undefined);
export const failure = signal<unknown>(undefined);
/** Whether older pages are on their way. */
export const isLoading = signal(false);

let tally = createTally(0);
let running = new AbortController();
let timer: ReturnType<typeof setTimeout> | undefined;

/** Counts the events of the last hour, newest first. A newer call replaces an older one. */
export async function load(): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  const since = Date.now() - MINUTES * MINUTE_MS;
  const fresh = createTally(Date.now());
  tally = fresh;
  batch(() => {
    isLoading.value = true;
    failure.value = undefined;
  });
  try {
    for (let cursor = "", wantsMore = true; wantsMore; ) {
      const page = await events.listEvents(
        { types: [...TYPES], since: timestampFromMs(since), limit: PAGE, cursor },
        { signal: gone },
      );
      if (gone.aborted) return;
      cursor = page.nextCursor;
      const entries = page.events.map(toEntry).filter((entry) => entry !== undefined);
      wantsMore = addOlder(fresh, entries, cursor === "" ? since : undefined);
      counted.value = { tally: fresh };
    }
  } catch (error) {
    if (!gone.aborted && !isLoggedOut(error)) failure.value = error;
  }
  if (!gone.aborted) isLoading.value = false;
}

/** Counts a new event. */
export function hear(event: Event): void {
  const entry = toEntry(event);
  if (!entry) return;
  addNewer(tally, entry);
  timer ??= setTimeout(() => {
    timer = undefined;
    // Before the first page the screen keeps what it has.
    if (counted.value?.tally === tally) counted.value = { tally };
  }, REDRAW_MS);
}

/** Ends what runs when the page is left, and forgets the events. */
export function leave(): void {
  running.abort();
  clearTimeout(timer);
  timer = undefined;
  counted.value = undefined;
  tally = createTally(0);
}
