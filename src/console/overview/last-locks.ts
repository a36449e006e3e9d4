import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";

/** The types of events that `lastLocks` reads. */
export const LOCK_TYPES = ["user.locked", "user.unlocked", "user.deleted"];

/** A lock, and what ended it. */
export interface PastLock {
  event: Event;
  /** An unlock, a deletion, or a lock that replaced this one. Undefined: the user is still locked. */
  end: Event | undefined;
}

/** The last locks, newest first, from events of `LOCK_TYPES`, newest first. */
export function lastLocks(events: readonly Event[], most: number): PastLock[] {
  const locks: PastLock[] = [];
  const ends = new Map<string, Event>();
  for (const event of events) {
    if (event.type === "user.locked") {
      if (locks.length < most) locks.push({ event, end: ends.get(event.userId) });
    }
    ends.set(event.userId, event);
  }
  return locks;
}
