import { batch, type ReadonlySignal, signal } from "@preact/signals";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { events as eventService, isLoggedOut } from "../core/api.ts";
import { onEvent, onGap } from "../core/live.ts";

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

  async function page(cursor: string): Promise<void> {
    if (isLoading.value) return;
    isLoading.value = true;
    try {
      const limit = cursor === "" ? FIRST_PAGE : OLDER_PAGE;
      const answer = await eventService.listEvents({ userIds: [userId], types: [...types], limit, cursor });
      if (isClosed) return;
      batch(() => {
        events.value = merge(events.value ?? [], answer.events);
        next.value = answer.nextCursor;
        hasOlder.value = answer.nextCursor !== "";
        failure.value = undefined;
      });
    } catch (error) {
      if (!isClosed && !isLoggedOut(error)) failure.value = error;
    } finally {
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
    loadOlder: () => page(next.value),
    follow() {
      isClosed = false;
      const forgetEvents = onEvent((event) => {
        if (event.userId !== userId || (types.length > 0 && !types.includes(event.type))) return;
        batch(() => {
          events.value = merge(events.value ?? [], [event]);
          news.value = event;
        });
      });
      const forgetGaps = onGap(() => {
        events.value = [];
        void load();
      });
      return () => {
        isClosed = true;
        forgetEvents();
        forgetGaps();
      };
    },
  };
}

/** Both lists as one, newest first. An event may come by the stream and by a page. */
function merge(some: readonly Event[], more: readonly Event[]): Event[] {
  const byCursor = new Map([...some, ...more].map((event) => [event.cursor, event]));
  return [...byCursor.values()].sort((a, b) => (a.cursor < b.cursor ? 1 : -1));
}
