import { createFairQueue, createQuota, type FairQueue } from "./fairness.ts";

/** The number of hashes that may wait in one lane, in all and per caller. */
const MAX_WAITING = 4_000;
const MAX_WAITING_EACH = 300;
/** The default size of Node's pool. */
const SPARE_POOL_THREADS = 4;

/** Hashes and compares passwords without a queue. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** Whether the password is right, and whether its hash should be replaced. */
  verify(password: string, hash: string): Promise<{ isRight: boolean; isOutdated: boolean }>;
  /** Takes as long as `verify` with a hash like this one, by default with one of its own. */
  pretend(password: string, like?: string): Promise<void>;
  /** Whether `verify` with this hash takes so long that it would delay others. */
  isCostly(hash: string): boolean;
}

export interface Turn {
  caller: string;
  /** The user as the caller named them, existing or not. */
  user: string;
  /** The device is known: the user has logged in from it. */
  isKnownDevice?: boolean;
  /** Removes it from the queue. It does not stop a hash that has begun. */
  signal?: AbortSignal;
}

export type HashQueue = ReturnType<typeof createHashQueue>;

/**
 * Hashes at most `threads` passwords at once. Callers take turns, and so do the users of one caller. Known devices and
 * costly hashes have their own lanes, half as wide, so that a flood of strangers or of costly hashes delays nobody
 * else. Rejects with TOO_MANY_REQUESTS if too many wait.
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

/** The maximum number of concurrent hashes in all lanes. */
export function hashesAtOnce(threads: number): number {
  return Object.values(widths(threads)).reduce((sum, width) => sum + width, 0);
}

/** The number of threads that Node's pool needs: for hashes, and some for files, host names and signatures. */
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
    full: "Too many passwords are being checked. Try again later.",
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
