import { createEmitter } from "./guard/events.ts";
import type { Guard } from "./guard/guard.ts";
import { refuse, type Verdict } from "./guard/verdict.ts";

/** A guard for tests of an app, without a server. */
export interface FakeGuard extends Guard {
  /** From now on the user is refused. Listeners of "locked" are called. */
  lock(userId: string): void;
  unlock(userId: string): void;
  /** Simulates a server that is away: all calls are refused until it is set to false. */
  setStale(isStale: boolean): void;
}

/** Creates a guard that takes each token for the id of its user. */
export function createFakeGuard(): FakeGuard {
  const denied = new Set<string>();
  const { on, emit } = createEmitter();
  let isStale = false;
  let isClosed = false;

  function checkSubject(subject: string): Verdict {
    if (isClosed || isStale) return refuse("UNAVAILABLE");
    return denied.has(subject) ? refuse("USER_DENIED", subject) : { ok: true, identity: { subject } };
  }

  return {
    ready: Promise.resolve(),
    get isFresh() {
      return !isStale && !isClosed;
    },
    get size() {
      return denied.size;
    },
    check: async (token) => (token || isClosed ? checkSubject(token ?? "") : refuse("TOKEN_MISSING")),
    checkSubject,
    isDenied: (userId) => denied.has(userId),
    on,
    lock(userId) {
      if (denied.has(userId)) return;
      denied.add(userId);
      emit("locked", { userId, cause: "locked" });
    },
    unlock(userId) {
      if (denied.delete(userId)) emit("unlocked", { userId });
    },
    setStale(next) {
      if (next === isStale) return;
      isStale = next;
      emit(isStale ? "stale" : "fresh", undefined);
    },
    close() {
      isClosed = true;
    },
  };
}
