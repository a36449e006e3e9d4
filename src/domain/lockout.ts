/** When wrong passwords lock a user, and for how long. Times are microseconds. */
export interface LockoutPolicy {
  /** Wrong passwords within the window that lock; 0 switches automatic locks off. */
  maxAttempts: number;
  window: number;
  /** Length of the first lock; it doubles with each further one since the last good login. */
  lockDuration: number;
  /** Beyond this it does not double; 0: a lock lasts until somebody unlocks. */
  maxLockDuration: number;
  /** A lock that tries from unknown devices caused does not stop a device that the user has logged in from. */
  knownDevicesPass: boolean;
  /** Who has the right password is told that the user is locked. */
  revealLock: boolean;
}

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;

/** Sources: README.md, "What a lock does". */
export const DEFAULT_POLICY: LockoutPolicy = {
  maxAttempts: 5,
  window: 15 * MINUTE,
  lockDuration: MINUTE,
  maxLockDuration: 60 * MINUTE,
  knownDevicesPass: true,
  revealLock: false,
};

/** Wrong passwords in a row after which a lock has no end (NIST SP 800-63B-4, section 3.2.2). */
const MAX_FAILURES_IN_A_ROW = 100;
/** Wrong passwords that are remembered, so that the same one again is not counted. */
const MAX_REMEMBERED = 3;
/** Devices whose wrong passwords are counted apart; beyond it the one that failed longest ago is forgotten. */
const MAX_DEVICES = 20;

/** What is known of wrong passwords since the last good login. */
export interface Attempts {
  /** Times of the wrong passwords since the last lock, by the clock, by device; "" stands for any unknown device. */
  failures: Record<string, number[]>;
  /** How many since the last good login, by device: what strangers did does not lock a known device for good. */
  inARow: Record<string, number>;
  /** Automatic locks. */
  locks: number;
  /** The last wrong passwords, as keyed hashes. */
  remembered: { mac: string; time: number }[];
  /** Right or wrong passwords that were looked at while the user was locked, since he was locked. */
  probes: number;
}

export const NO_ATTEMPTS: Attempts = { failures: {}, inARow: {}, locks: 0, remembered: [], probes: 0 };

/** A wrong password. */
export interface Failure {
  /** Id of the known device that it came from; "" for any other. */
  device: string;
  /** Keyed hash of the password. It is not kept in the log. */
  mac: string;
  /** The policy's window at that time. */
  window: number;
  /** When it was tried, by the clock: the event's own time may be ahead of it. */
  at: number;
}

/**
 * Whether the time is within the window before now. A time that is ahead of now by less than a window counts: another
 * server's clock made it. One that is further ahead was made by a clock that was wrong, and is forgotten.
 */
function isWithin(window: number, then: number, now: number): boolean {
  return Math.abs(now - then) < window;
}

/** Adds a wrong password. What is not within the window is forgotten. */
export function addFailure(attempts: Attempts, { device, mac, window, at }: Failure): Attempts {
  const isRecent = (then: number) => isWithin(window, then, at);
  const failures = Object.entries({ ...attempts.failures, [device]: [...(attempts.failures[device] ?? []), at] })
    .map(([key, times]) => [key, times.filter(isRecent).slice(-MAX_FAILURES_IN_A_ROW)] as const)
    .filter(([, times]) => times.length > 0)
    .sort(([, a], [, b]) => Number(b.at(-1)) - Number(a.at(-1)))
    .slice(0, MAX_DEVICES);
  const { [device]: before = 0, ...others } = attempts.inARow;
  const inARow = [...Object.entries(others), [device, before + 1] as const].slice(-MAX_DEVICES);
  return {
    ...attempts,
    failures: Object.fromEntries(failures),
    inARow: Object.fromEntries(inARow),
    remembered: [...attempts.remembered, { mac, time: at }].filter((one) => isRecent(one.time)).slice(-MAX_REMEMBERED),
  };
}

/** After a lock the count begins anew; what makes the next lock longer stays. */
export function addLock(attempts: Attempts): Attempts {
  return { ...attempts, failures: {}, locks: attempts.locks + 1, probes: 0 };
}

/** Whether this wrong password was tried before, within the window: then it is not counted again. */
export function isRemembered(attempts: Attempts, mac: string, policy: LockoutPolicy, time: number): boolean {
  return attempts.remembered.some((one) => one.mac === mac && isWithin(policy.window, one.time, time));
}

/**
 * The lock that follows from the attempts after a wrong password from this device: until when (undefined: until
 * somebody unlocks), or undefined if there is none.
 */
export function lockAfter(
  attempts: Attempts,
  device: string,
  policy: LockoutPolicy,
  time: number,
): { until: number | undefined } | undefined {
  if (policy.maxAttempts === 0) return undefined;
  if ((attempts.inARow[device] ?? 0) >= MAX_FAILURES_IN_A_ROW) return { until: undefined };
  if ((attempts.failures[device]?.length ?? 0) < policy.maxAttempts) return undefined;
  if (policy.maxLockDuration === 0) return { until: undefined };
  return { until: time + Math.min(policy.lockDuration * 2 ** attempts.locks, policy.maxLockDuration) };
}
