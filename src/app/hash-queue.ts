import { createFairQueue, createQuota, type FairQueue } from "./fairness.ts";

/** Hashes that may wait in one lane, in all and of one caller; one more is refused at once. */
const MAX_WAITING = 4_000;
const MAX_WAITING_EACH = 300;
/** As many as Node's pool has by itself. */
const SPARE_POOL_THREADS = 4;

/** Hashes and compares passwords, as soon as it is asked. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** Whether the password is the one; `isOutdated` if the hash should be made anew. */
  verify(password: string, hash: string): Promise<{ isRight: boolean; isOutdated: boolean }>;
  /** Costs as much as `verify` with such a hash, or with one of its own, and says nothing. */
  pretend(password: string, like?: string): Promise<void>;
  /** Whether `verify` with such a hash takes so much longer than with one of its own that others would wait for it. */
  isCostly(hash: string): boolean;
}

export interface Turn {
  caller: string;
  /** The user, as the caller names them, whether or not there is such a user. */
  user: string;
  /** It comes from a device that the user has logged in from. */
  isKnownDevice?: boolean;
  /** Takes it out of the queue; what has begun goes on. */
  signal?: AbortSignal;
}

export type HashQueue = ReturnType<typeof createHashQueue>;

/**
 * Hashes as many passwords at once as `threads` says. Callers take turns, and so do the users of one caller. Known
 * devices and costly hashes have lanes of their own beside it, half as wide: a flood of strangers does not stop the
 * first, and the second do not hold up anybody else. Rejects at once with TOO_MANY_REQUESTS when too many wait.
 */
export function createHashQueue({ hasher, threads }: { hasher: PasswordHasher; threads: number }) {
  const width = widths(threads);
  const strangers = createLane(width.strangers);
  const knownDevices = createLane(width.knownDevices);
  const costly = createLane(width.costly);

  function laneOf({ isKnownDevice }: Turn, hash?: string): Lane {
    if (hash !== undefined && hasher.isCostly(hash)) return costly;
    return isKnownDevice ? knownDevices : strangers;
  }

  return {
    hash: (password: string, turn: Turn) => laneOf(turn)(turn, () => hasher.hash(password)),
    verify: (password: string, hash: string, turn: Turn) =>
      laneOf(turn, hash)(turn, () => hasher.verify(password, hash)),
    pretend: (password: string, turn: Turn, like?: string) =>
      laneOf(turn, like)(turn, () => hasher.pretend(password, like)),
  };
}

/** How many passwords are hashed at once at most, in all lanes. */
export function hashesAtOnce(threads: number): number {
  return Object.values(widths(threads)).reduce((sum, width) => sum + width, 0);
}

/** Threads that Node's pool needs: those that hash, and some for files, names of hosts and signatures. */
export function poolSize(threads: number): number {
  return hashesAtOnce(threads) + SPARE_POOL_THREADS;
}

function widths(threads: number) {
  const half = Math.ceil(threads / 2);
  return { strangers: threads, knownDevices: half, costly: half };
}

type Lane = <Result>(turn: Turn, work: () => Promise<Result>) => Promise<Result>;

function createLane(atOnce: number): Lane {
  const places = createQuota({
    total: MAX_WAITING + atOnce,
    each: MAX_WAITING_EACH + atOnce,
    full: "Too many passwords are being checked: try again later.",
  });
  const callersTurn = createFairQueue({ atOnce });
  const usersTurns = new Map<string, { inTurn: FairQueue; jobs: number }>();

  return async ({ caller, user, signal }, work) => {
    const release = places(caller);
    const own = usersTurns.get(caller) ?? { inTurn: createFairQueue({ atOnce }), jobs: 0 };
    usersTurns.set(caller, own);
    own.jobs++;
    try {
      return await own.inTurn(user, () => callersTurn(caller, work, signal), signal);
    } finally {
      release();
      if (--own.jobs === 0) usersTurns.delete(caller);
    }
  };
}
