import { createHash } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { IntrospectTokenResponse, SessionService } from "../../../../gen/userlock/v3alpha/session_service_pb.ts";
import type { EventStreams } from "../connection.ts";
import { follow } from "./follow.ts";
import type { ServerClock } from "./server-clock.ts";

/** The user of an open session. */
export interface Session {
  userId: string;
  username: string;
  /** Milliseconds since the Unix epoch. */
  expires: number;
}

/** Which sessions are open. */
export interface Sessions {
  /**
   * The session of a token, or undefined if it is not open. `isCached` allows an answer that is a few seconds old, or
   * for which an earlier call waits. Without it, the server is asked anew. Rejects if the server does not answer.
   */
  find(token: string, isCached: boolean): Promise<Session | undefined>;
  /** Forgets what is known of a user's sessions. */
  forget(userId: string): void;
  forgetAll(): void;
}

/** How the token of each session begins, as the server makes it. */
export const SESSION_PREFIX = "userlock_session_";

/** The types of events that can end a session of their user. */
const ENDING = [
  "session.ended",
  "user.deactivated",
  "user.deleted",
  "user.locked",
  "user.password_changed",
  "user.sessions_ended",
];

/** The number of tokens that wait for the server's answer at once. */
const MAX_ASKING = 1_000;

interface Cached {
  session: Session;
  /** When it is introspected again, on the monotonic clock. */
  end: number;
}

interface Asking {
  answer: Promise<Session | undefined>;
  /** Set if something happened meanwhile that may have ended the session. */
  isOutdated: boolean;
}

/**
 * Introspects tokens of sessions, and keeps the answers of open ones for `cacheMs`. An answer is kept only while the
 * stream of events is open, and goes with any event that can end the session. So a session that ended elsewhere is
 * refused as soon as its event arrives, and after `cacheMs` in any case.
 */
export function createSessions(
  clients: { sessions: Client<typeof SessionService>; events: Pick<EventStreams, "watchEvents"> },
  options: {
    cacheMs: number;
    maxCached: number;
    timeoutMs: number;
    clock: ServerClock;
    signal: AbortSignal;
    silenceMs?: number | undefined;
  },
): Sessions {
  const { cacheMs, maxCached, timeoutMs, clock, signal } = options;
  /** By the SHA-256 of the token, least recently used first. */
  const cache = new Map<string, Cached>();
  const keysOf = new Map<string, Set<string>>();
  const asking = new Set<Asking>();
  /** Of the questions about each token the last one. */
  const last = new Map<string, Asking>();
  let isWatching = false;

  function drop(key: string): void {
    const known = cache.get(key);
    if (!known) return;
    cache.delete(key);
    const { userId } = known.session;
    const keys = keysOf.get(userId);
    keys?.delete(key);
    if (keys?.size === 0) keysOf.delete(userId);
  }

  function keep(key: string, session: Session): void {
    drop(key);
    cache.set(key, { session, end: performance.now() + cacheMs });
    const keys = keysOf.get(session.userId) ?? new Set();
    keysOf.set(session.userId, keys.add(key));
    if (cache.size > maxCached) drop(cache.keys().next().value as string);
  }

  function cached(key: string): Session | undefined {
    const known = cache.get(key);
    if (!known) return undefined;
    if (performance.now() >= known.end || clock.now() >= known.session.expires) {
      drop(key);
      return undefined;
    }
    cache.delete(key);
    cache.set(key, known);
    return known.session;
  }

  /** Whose the answers will be is not known yet, so an event of any user outdates them. */
  function outdateAnswers(): void {
    for (const each of asking) each.isOutdated = true;
  }

  function forget(userId: string): void {
    for (const key of [...(keysOf.get(userId) ?? [])]) drop(key);
    outdateAnswers();
  }

  function forgetAll(): void {
    cache.clear();
    keysOf.clear();
    outdateAnswers();
  }

  async function ask(token: string): Promise<Session | undefined> {
    const answer = await clients.sessions.introspectToken({ token }, { timeoutMs, signal, onHeader: clock.observe });
    return answer.active ? sessionOf(answer) : undefined;
  }

  void follow({
    async read(stop, alive) {
      for await (const { event } of clients.events.watchEvents({ types: ENDING }, { signal: stop })) {
        alive();
        isWatching = true;
        if (event) forget(event.userId);
      }
    },
    onEnd() {
      isWatching = false;
      forgetAll();
    },
    signal,
    silenceMs: options.silenceMs,
  });

  return {
    async find(token, isCached) {
      const key = createHash("sha256").update(token).digest("base64url");
      const known = isCached ? cached(key) : undefined;
      if (known) return known;
      const running = isCached ? last.get(key) : undefined;
      // What an event has outdated may be older than this call.
      if (running && !running.isOutdated) return running.answer;
      if (asking.size >= MAX_ASKING) throw new Error("too many tokens wait for the server's answer");
      const mine: Asking = { answer: ask(token), isOutdated: !isWatching };
      asking.add(mine);
      last.set(key, mine);
      try {
        const session = await mine.answer;
        if (session && !mine.isOutdated && isWatching) keep(key, session);
        return session;
      } finally {
        asking.delete(mine);
        if (last.get(key) === mine) last.delete(key);
      }
    },
    forget,
    forgetAll,
  };
}

function sessionOf({ sub, username, exp }: IntrospectTokenResponse): Session {
  return { userId: sub, username, expires: Number(exp) * 1_000 };
}
