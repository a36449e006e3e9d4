import { createHashTable } from "./hash-table.ts";
import type { Hasher } from "./siphash.ts";

/**
 * The users who may not act. It keeps hashes of 64 bits with a secret key instead of ids: 1,000,000 users take at most 16
 * MiB. Of the users who are not in a set of a million, one in 2^44 would be taken for another one, which is why no
 * second look-up follows.
 */
export interface DenySet {
  /** Adds the user. `until` is the end of a lock, milliseconds since the Unix epoch. */
  add(userId: string, until?: number): void;
  remove(userId: string): void;
  /** Whether the user is denied at this time, milliseconds since the Unix epoch. */
  has(userId: string, now: number): boolean;
  /** The same for a hash of the set's hasher. */
  hasHash(high: number, low: number, now: number): boolean;
  /** The number of users, with those whose lock has ended and who were not removed yet. */
  readonly size: number;
  /** The memory of the hashes, bytes. */
  readonly bytes: number;
}

/** Creates an empty set. Ids that no user can have are never in it. */
export function createDenySet(hasher: Hasher): DenySet {
  const lasting = createHashTable({ hasEnds: false });
  const timed = createHashTable({ hasEnds: true });

  function hasHash(high: number, low: number, now: number): boolean {
    if (lasting.size > 0 && lasting.find(high, low) >= 0) return true;
    if (timed.size === 0) return false;
    const place = timed.find(high, low);
    return place >= 0 && now < timed.endAt(place);
  }

  return {
    add(userId, until) {
      if (!hasher.hash(userId)) return;
      const { high, low } = hasher;
      const [its, other] = until === undefined ? [lasting, timed] : [timed, lasting];
      other.remove(high, low);
      its.put(high, low, until);
    },
    remove(userId) {
      if (!hasher.hash(userId)) return;
      lasting.remove(hasher.high, hasher.low);
      timed.remove(hasher.high, hasher.low);
    },
    has: (userId, now) => hasher.hash(userId) && hasHash(hasher.high, hasher.low, now),
    hasHash,
    get size() {
      return lasting.size + timed.size;
    },
    get bytes() {
      return lasting.bytes + timed.bytes;
    },
  };
}
