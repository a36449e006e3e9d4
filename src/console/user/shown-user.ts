import { Code, ConnectError } from "@connectrpc/connect";
import { batch, type ReadonlySignal, signal } from "@preact/signals";
import type { Session } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { isLoggedOut, sessions as sessionService, users } from "../core/api.ts";
import { onEvent, onGap } from "../core/live.ts";
import { can } from "../core/session.ts";

/** Changes are collected this long, so that a wave of events costs one refresh, milliseconds. */
const REFRESH_MS = 50;
const FIRST_SESSIONS = 20;
const MOST_SESSIONS = 1_000;

/** A user with their open sessions, kept up to date by events. */
export interface ShownUser {
  id: string;
  /** Undefined until the first answer, and if there is no such user. */
  user: ReadonlySignal<GetUser | undefined>;
  isMissing: ReadonlySignal<boolean>;
  failure: ReadonlySignal<unknown>;
  /** The newest sessions, and the number of all. Undefined without the permission. */
  sessions: ReadonlySignal<{ newest: readonly Session[]; total: number } | undefined>;
  load(): Promise<void>;
  loadMoreSessions(): void;
  /** Loads again soon. For changes that no event tells, as without event.read. */
  refresh(): void;
  /** Follows the events until the returned function is called. */
  follow(): () => void;
}

export function showUser(id: string): ShownUser {
  const user = signal<GetUser | undefined>(undefined);
  const isMissing = signal(false);
  const failure = signal<unknown>(undefined);
  const sessions = signal<{ newest: readonly Session[]; total: number } | undefined>(undefined);
  let limit = FIRST_SESSIONS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOutdated = false;
  let isClosed = false;

  async function load(): Promise<void> {
    const newestFirst = { id, query: { limit, desc: true } };
    const [found, opened] = await Promise.allSettled([
      users.getUser({ id }),
      can("session.read") ? sessionService.listSessions(newestFirst) : undefined,
    ]);
    if (isClosed) return;
    batch(() => {
      failure.value = undefined;
      if (found.status === "fulfilled") {
        user.value = found.value.user;
        isMissing.value = false;
      } else if (ConnectError.from(found.reason).code === Code.NotFound) {
        user.value = undefined;
        isMissing.value = true;
        return;
      } else if (!isLoggedOut(found.reason)) failure.value = found.reason;
      if (opened.status === "rejected") {
        if (!isLoggedOut(opened.reason)) failure.value ??= opened.reason;
      } else if (opened.value) {
        sessions.value = { newest: opened.value.result, total: Number(opened.value.details?.totalResult ?? 0) };
      }
    });
  }

  function refresh(): void {
    isOutdated = true;
    // The timer is kept while a refresh runs: what happens meanwhile costs one more.
    timer ??= setTimeout(async () => {
      isOutdated = false;
      await load();
      timer = undefined;
      if (isOutdated && !isClosed) refresh();
    }, REFRESH_MS);
  }

  return {
    id,
    user,
    isMissing,
    failure,
    sessions,
    load,
    refresh,
    loadMoreSessions() {
      limit = MOST_SESSIONS;
      void load();
    },
    follow() {
      isClosed = false;
      const forgetEvents = onEvent(({ userId }) => {
        if (userId === id) refresh();
      });
      const forgetGaps = onGap(refresh);
      return () => {
        isClosed = true;
        forgetEvents();
        forgetGaps();
        clearTimeout(timer);
        timer = undefined;
      };
    },
  };
}
