import { type Entry, MINUTE_MS, MINUTES, type Tally } from "./tally.ts";

/** What counts as now, minutes. */
export const RECENT = 10;

export interface Minute {
  /** When it begins, milliseconds since the Unix epoch. */
  start: number;
  failures: number;
  locks: number;
  /** Whether every failure of it is counted. */
  isCounted: boolean;
}

/** A user or a network with failures. */
interface Row {
  failures: number;
  /** The last failure, milliseconds since the Unix epoch. */
  last: number;
}

export interface UserRow extends Row {
  id: string;
  /** The number of networks that the failures came from. */
  networks: number;
  /** The lock that is in force, as far as the last hour tells. */
  lock: "" | "manual" | "passwords";
}

export interface NetworkRow extends Row {
  /** "" if the address is not known. */
  network: string;
  /** The number of users that it failed for. */
  users: number;
}

export interface Summary {
  /** Oldest first, the present one last. */
  minutes: Minute[];
  /** The last `RECENT` minutes. */
  recent: {
    failures: number;
    /** The number in an equally long time before. Undefined if it is not known. */
    usual: number | undefined;
    /** The number of users that wrong passwords locked. */
    lockedUsers: number;
    /** Those with failures, the most first. */
    users: UserRow[];
    networks: NetworkRow[];
  };
  /** The locks of the hour. `endless` of `passwords` last until someone unlocks. */
  locks: { manual: number; passwords: number; endless: number };
  /** The number of users that a lock by wrong passwords stops now. */
  standing: number;
  users: UserRow[];
  networks: NetworkRow[];
}

/**
 * Counts the last hour. The rows are those of one network if it is given. `now` is in milliseconds since the Unix epoch.
 */
export function summarize(tally: Tally, now: number, network?: string): Summary {
  // The clocks of the server and of the browser differ.
  const end = Math.max(now, tally.entries.at(-1)?.at ?? 0);
  const lastMinute = Math.floor(end / MINUTE_MS);
  const hour = tally.entries.filter(({ at }) => at >= (lastMinute - MINUTES + 1) * MINUTE_MS);
  const recent = hour.filter(({ at }) => at > end - RECENT * MINUTE_MS);
  const standing = locksInForce(hour, end);
  const locks = hour.filter(({ kind }) => kind === "lock");
  const byPasswords = locks.filter(({ cause }) => cause === "passwords");
  const minutes = minutesOf(tally, lastMinute, locks);
  return {
    minutes,
    recent: {
      failures: recent.filter(isFailure).length,
      usual: usualOf(minutes),
      lockedUsers: new Set(recent.filter(({ cause }) => cause === "passwords").map(({ userId }) => userId)).size,
      users: usersOf(recent, standing),
      networks: networksOf(recent),
    },
    locks: {
      manual: locks.length - byPasswords.length,
      passwords: byPasswords.length,
      endless: byPasswords.filter(({ until }) => until === undefined).length,
    },
    standing: [...standing.values()].filter(({ cause }) => cause === "passwords").length,
    users: usersOf(network === undefined ? hour : hour.filter((entry) => entry.network === network), standing),
    networks: networksOf(hour),
  };
}

const isFailure = ({ kind }: Entry) => kind === "failure";

/** The last hour by minute, of which `lastMinute` since the Unix epoch is the last one. */
export function minutesOf({ failures, countedSince }: Tally, lastMinute: number, locks: readonly Entry[]): Minute[] {
  const byMinute = Map.groupBy(locks, ({ at }) => Math.floor(at / MINUTE_MS));
  return Array.from({ length: MINUTES }, (_, index) => {
    const minute = lastMinute - MINUTES + 1 + index;
    return {
      start: minute * MINUTE_MS,
      failures: failures.get(minute) ?? 0,
      locks: byMinute.get(minute)?.length ?? 0,
      isCounted: (minute + 1) * MINUTE_MS > countedSince,
    };
  });
}

/** The median minute before the recent ones, because a wave must not make itself usual. */
function usualOf(minutes: readonly Minute[]): number | undefined {
  const before = minutes.slice(0, -RECENT - 1).filter(({ isCounted }) => isCounted);
  if (before.length < RECENT) return undefined;
  const sorted = before.map(({ failures }) => failures).toSorted((a, b) => a - b);
  return (sorted[Math.floor(sorted.length / 2)] as number) * RECENT;
}

/** The locks of users that are in force. A later lock replaces an earlier one. */
function locksInForce(entries: readonly Entry[], now: number): ReadonlyMap<string, Entry> {
  const found = new Map<string, Entry>();
  for (const entry of entries) {
    if (entry.kind === "lock") found.set(entry.userId, entry);
    if (entry.kind === "unlock") found.delete(entry.userId);
  }
  for (const [id, { until }] of found) if (until !== undefined && until <= now) found.delete(id);
  return found;
}

const byFailures = (a: Row, b: Row) => b.failures - a.failures || b.last - a.last;
const rowOf = (entries: readonly Entry[]): Row => ({ failures: entries.length, last: (entries.at(-1) as Entry).at });
const differing = (entries: readonly Entry[], key: "userId" | "network") =>
  new Set(entries.map((one) => one[key])).size;

function usersOf(entries: readonly Entry[], locks: ReadonlyMap<string, Entry>): UserRow[] {
  return [...Map.groupBy(entries.filter(isFailure), ({ userId }) => userId)]
    .map(([id, own]) => ({
      id,
      ...rowOf(own),
      networks: differing(own, "network"),
      lock: locks.get(id)?.cause ?? ("" as const),
    }))
    .sort(byFailures);
}

function networksOf(entries: readonly Entry[]): NetworkRow[] {
  return [...Map.groupBy(entries.filter(isFailure), ({ network }) => network)]
    .map(([network, own]) => ({ network, ...rowOf(own), users: differing(own, "userId") }))
    .sort(byFailures);
}
