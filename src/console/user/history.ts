import { batch, type ReadonlySignal, signal } from "@preact/signals";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { events as eventService, isLoggedOut } from "../core/api.ts";
import { onEvent, onGap } from "../core/live.ts";
import { mergeEvents } from "../core/merge-events.ts";

const FIRST_PAGE = 20;
const OLDER_PAGE = 50;

/** The events of one user, newest first. */
export interface History {
  /** Undefined until the first answer. */
  events: ReadonlySignal<readonly Event[] | undefined>;
  hasOlder: ReadonlySignal<boolean>;
  isLoading: ReadonlySignal<boolean>;
  failure: ReadonlySignal<unknown>;
  /** The last event that came live, for screen readers. */
  news: ReadonlySignal<Event | undefined>;
  /** Loads the newest page. Rejects never: see `failure`. */
  load(): Promise<void>;
  loadOlder(): Promise<void>;
  /** Adds new events until the returned function is called. */
  follow(): () => void;
}

/** No types: all. */
export function showHistory(userId: string, types: readonly string[]): History {
  const events = signal<readonly Event[] | undefined>(undefined);
  const next = signal("");
  const hasOlder = signal(false);
  const isLoading = signal(false);
  const failure = signal<unknown>(undefined);
  const news = signal<Event | undefined>(undefined);
  let isClosed = false;

  let running = new AbortController();

  async function page(cursor: string): Promise<void> {
    running.abort();
    running = new AbortController();
    const { signal: gone } = running;
    isLoading.value = true;
    const before = events.value ?? [];
    try {
      const limit = cursor === "" ? FIRST_PAGE : OLDER_PAGE;
      const request = { userIds: [userId], types: [...types], limit, cursor };
      const answer = await eventService.listEvents(request, { signal: gone });
      if (isClosed || gone.aborted) return;
      batch(() => {
        // The newest page replaces what was there, but not what came meanwhile.
        const kept = (events.value ?? []).filter((event) => cursor !== "" || !before.includes(event));
        events.value = mergeEvents(kept, answer.events);
        next.value = answer.nextCursor;
        hasOlder.value = answer.nextCursor !== "";
        failure.value = undefined;
        isLoading.value = false;
      });
    } catch (error) {
      if (isClosed || gone.aborted || isLoggedOut(error)) return;
      failure.value = error;
      isLoading.value = false;
    }
  }

  const load = () => page("");

  return {
    events,
    hasOlder,
    isLoading,
    failure,
    news,
    load,
    async loadOlder() {
      if (!isLoading.value) await page(next.value);
    },
    follow() {
      isClosed = false;
      const forgetEvents = onEvent((event) => {
        if (event.userId !== userId || (types.length > 0 && !types.includes(event.type))) return;
        batch(() => {
          events.value = mergeEvents(events.value ?? [], [event]);
          news.value = event;
        });
      });
      const forgetGaps = onGap(() => void load());
      return () => {
        isClosed = true;
        forgetEvents();
        forgetGaps();
      };
    },
  };
}
