import { batch, signal } from "@preact/signals";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { events as eventService, isLoggedOut } from "../core/api.ts";
import { mergeEvents } from "../core/merge-events.ts";
import { type Question, requestOf } from "./question.ts";

/** The number of events of a page. */
const PAGE = 100;
/** New events are collected this long, so that a wave of them costs one change of the page, milliseconds. */
const COLLECT_MS = 50;
/** The most new events that wait. If more come, the list is loaded again to show them. */
export const MOST_WAITING = 1_000;
/** A list to which new events are added has at most so many. Older ones are loaded again on demand. */
const MOST_LIVE = 1_000;

/** The events that are shown, newest first. Undefined until the first answer. */
export const shown = signal<readonly Event[] | undefined>(undefined);
/** New events that are not shown yet, newest first. */
export const waiting = signal<readonly Event[]>([]);
export const hasOlder = signal(false);
export const isLoading = signal(false);
export const failure = signal<unknown>(undefined);

let running = new AbortController();
let next = "";
let arrived: Event[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Loads the newest events of a question. It replaces what is shown and what waits. */
export async function load(question: Question): Promise<void> {
  discard();
  await loadPage(question, "");
}

/** Loads the events that are older than those that are shown. */
export async function loadOlder(question: Question): Promise<void> {
  if (!isLoading.value) await loadPage(question, next);
}

async function loadPage(question: Question, cursor: string): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  isLoading.value = true;
  try {
    const request = { ...requestOf(question, Date.now()), limit: PAGE, cursor };
    const { events, nextCursor } = await eventService.listEvents(request, { signal: gone });
    if (gone.aborted) return;
    batch(() => {
      shown.value = cursor === "" ? events : mergeEvents(shown.value ?? [], events);
      next = nextCursor;
      hasOlder.value = nextCursor !== "";
      failure.value = undefined;
      isLoading.value = false;
    });
  } catch (error) {
    if (gone.aborted || isLoggedOut(error)) return;
    failure.value = error;
    isLoading.value = false;
  }
}

/** Adds a new event that matches. It waits if `isReading`, because rows must not move under the eyes. */
export function arrive(event: Event, isReading: () => boolean): void {
  arrived.push(event);
  timer ??= setTimeout(settle, COLLECT_MS, isReading);
}

function settle(isReading: () => boolean): void {
  // The page that is on its way may have them.
  timer = isLoading.value ? setTimeout(settle, COLLECT_MS, isReading) : undefined;
  if (timer !== undefined) return;
  waiting.value = mergeEvents(arrived, waiting.value).slice(0, MOST_WAITING);
  arrived = [];
  if (!isReading() && waiting.value.length < MOST_WAITING) showWaiting();
}

/** Shows the events that wait. Not for `MOST_WAITING` of them, because some are missing then. */
export function showWaiting(): void {
  batch(() => {
    const all = mergeEvents(waiting.value, shown.value ?? []);
    waiting.value = [];
    shown.value = all.slice(0, MOST_LIVE);
    if (all.length > MOST_LIVE) {
      next = shown.value.at(-1)?.cursor ?? "";
      hasOlder.value = true;
    }
  });
}

/** Forgets new events that are not shown yet. */
export function discard(): void {
  clearTimeout(timer);
  timer = undefined;
  arrived = [];
  waiting.value = [];
}
