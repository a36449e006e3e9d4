import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCause } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { networkOf } from "./network.ts";

/** The types of events that tell of an attack. */
export const TYPES = ["user.login_failed", "user.lock_probed", "user.locked", "user.unlocked"] as const;

export const MINUTE_MS = 60_000;
/** The page shows the last hour. */
export const MINUTES = 60;
const HOUR_MS = MINUTES * MINUTE_MS;
/** The number of events that are kept. It bounds memory during an attack. */
export const MOST = 10_000;
/** Old events go in blocks, because each removal moves the rest. */
const SLACK = 500;

/** What is kept of an event. Times are milliseconds since the Unix epoch. */
export interface Entry {
  cursor: string;
  at: number;
  kind: "failure" | "lock" | "unlock";
  userId: string;
  /** The network of the caller, or "". */
  network: string;
  /** Of a lock. */
  cause?: "manual" | "passwords";
  /** When the lock ends. Not set: when someone unlocks. */
  until?: number;
}

/** The events of the last hour that tell of an attack. Times are milliseconds since the Unix epoch. */
export interface Tally {
  /** Oldest first. */
  entries: Entry[];
  /** Since when every event is kept. */
  keptSince: number;
  /** Failures by minute since the epoch. They outlast the entries. */
  failures: Map<number, number>;
  /** Since when every failure is counted. */
  countedSince: number;
}

export function createTally(now: number): Tally {
  return { entries: [], keptSince: now, failures: new Map(), countedSince: now };
}

/** What the page keeps of an event. Undefined for an event of another type. */
export function toEntry({ cursor, type, time, userId, address, change }: Event): Entry | undefined {
  if (!time) return undefined;
  const entry = { cursor, at: timestampMs(time), userId, network: networkOf(address) };
  if (type === "user.login_failed" || type === "user.lock_probed") return { ...entry, kind: "failure" };
  if (type === "user.locked" && change.case === "lock") {
    const { cause, until } = change.value;
    return {
      ...entry,
      kind: "lock",
      cause: cause === LockCause.MANUAL ? "manual" : "passwords",
      ...(until && { until: timestampMs(until) }),
    };
  }
  return type === "user.unlocked" ? { ...entry, kind: "unlock" } : undefined;
}

/** Adds a new event. The oldest ones give way. */
export function addNewer(tally: Tally, entry: Entry): void {
  const { entries } = tally;
  // A stream that resumes may repeat an event.
  if (entries.length > 0 && entry.cursor <= (entries.at(-1) as Entry).cursor) return;
  entries.push(entry);
  count(tally, entry);
  const isOld = (at: number) => at <= entry.at - HOUR_MS;
  if (entries.length >= MOST + SLACK) {
    entries.splice(0, entries.length - MOST);
    tally.keptSince = (entries[0] as Entry).at;
  } else if (entries[SLACK] && isOld(entries[SLACK].at)) {
    entries.splice(0, SLACK);
  }
  for (const minute of tally.failures.keys()) if (isOld((minute + 1) * MINUTE_MS)) tally.failures.delete(minute);
}

/**
 * Adds a page of older events, newest first. `since` is the time from which the log has no more of them, if the page is
 * the last one. Returns whether more may be added.
 */
export function addOlder(tally: Tally, page: readonly Entry[], since?: number): boolean {
  const first = tally.entries[0]?.cursor;
  const older = page.filter(({ cursor }) => first === undefined || cursor < first);
  const taken = older.slice(0, Math.max(0, MOST - tally.entries.length));
  tally.entries.unshift(...taken.toReversed());
  for (const entry of taken) count(tally, entry);
  const isWhole = taken.length === older.length && since !== undefined;
  tally.keptSince = isWhole ? since : (tally.entries[0]?.at ?? tally.keptSince);
  tally.countedSince = tally.keptSince;
  return tally.entries.length < MOST && since === undefined;
}

function count({ failures }: Tally, { kind, at }: Entry): void {
  if (kind !== "failure") return;
  const minute = Math.floor(at / MINUTE_MS);
  failures.set(minute, (failures.get(minute) ?? 0) + 1);
}
