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
  /** A caller with the right password learns that the user is locked. */
  revealLock: boolean;
}

const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;

/** Sources: docs/concepts.md, "Automatic locks". */
export const DEFAULT_POLICY: LockoutPolicy = {
  maxAttempts: 5,
  window: 15 * MINUTE,
  lockDuration: MINUTE,
  maxLockDuration: 60 * MINUTE,
  knownDevicesPass: true,
  revealLock: false,
};

/** Wrong passwords in a row, from wherever, after which a lock has no end (NIST SP 800-63B-4, section 3.2.2). */
const MAX_FAILURES_IN_A_ROW = 100;
/** How many of them are kept for known devices: strangers cannot use up the owner's own tries. */
const KEPT_FOR_DEVICES = 20;
/** Wrong passwords that are remembered, so that the same one again is not counted. */
const MAX_REMEMBERED = 3;
/** Known devices of a user; beyond it the one that logged in longest ago is forgotten. */
const MAX_DEVICES = 20;

/** What is known of wrong passwords since the last good login. */
export interface Attempts {
  /**
   * Clock times of the wrong passwords since the last lock that stopped their source: strangers, or known devices, which
   * count together.
   */
  failures: { strangers: number[]; devices: number[] };
  /** How many since the last good login, from wherever. */
  inARow: number;
  /** Automatic locks. */
  locks: number;
  /** The last wrong passwords, as keyed hashes. */
  remembered: { mac: string; time: number }[];
  /** Right or wrong passwords that were compared during the present lock. */
  probes: number;
}

const NO_FAILURES: Attempts["failures"] = { strangers: [], devices: [] };
export const NO_ATTEMPTS: Attempts = { failures: NO_FAILURES, inARow: 0, locks: 0, remembered: [], probes: 0 };

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
  const recent = (times: number[]) => times.filter(isRecent).slice(-MAX_FAILURES_IN_A_ROW);
  const { strangers, devices } = attempts.failures;
  return {
    ...attempts,
    failures: {
      strangers: recent(device === "" ? [...strangers, at] : strangers),
      devices: recent(device === "" ? devices : [...devices, at]),
    },
    inARow: attempts.inARow + 1,
    remembered: [...attempts.remembered, { mac, time: at }].filter((one) => isRecent(one.time)).slice(-MAX_REMEMBERED),
  };
}

/** After a lock the count of those that it stops begins anew; what makes the next lock longer stays. */
export function addLock(attempts: Attempts, stopsDevices: boolean): Attempts {
  const failures = stopsDevices ? NO_FAILURES : { ...attempts.failures, strangers: [] };
  return { ...attempts, failures, locks: attempts.locks + 1, probes: 0 };
}

/** Adds a device from which the user has just logged in, or makes it the last one. */
export function addDevice(devices: readonly string[], device: string): string[] {
  return [...devices.filter((one) => one !== device), device].slice(-MAX_DEVICES);
}

/** Whether this wrong password was tried before, within the window: then it is not counted again. */
export function isRemembered(attempts: Attempts, mac: string, policy: LockoutPolicy, time: number): boolean {
  return attempts.remembered.some((one) => one.mac === mac && isWithin(policy.window, one.time, time));
}

/** Wrong passwords in a row after which the lock has no end. */
function inARowAtMost({ isStranger, hasDevices }: Trier, policy: LockoutPolicy): number {
  const kept = isStranger && hasDevices && policy.knownDevicesPass ? KEPT_FOR_DEVICES : 0;
  return MAX_FAILURES_IN_A_ROW - kept;
}

/** Where a password comes from. */
export interface Trier {
  /** From no known device. */
  isStranger: boolean;
  /** Whether the user has any known device. */
  hasDevices: boolean;
}

/**
 * Whether a password may be looked at while the user is locked: a wrong one counts among those in a row, the last of
 * which is left to a login that locks for good.
 */
export function mayProbe({ probes, inARow }: Attempts, trier: Trier, policy: LockoutPolicy): boolean {
  return policy.revealLock && probes < Math.max(policy.maxAttempts, 1) && inARow + 1 < inARowAtMost(trier, policy);
}

/** Counts a password that was looked at while the user was locked. */
export function addProbe(attempts: Attempts, isRight: boolean): Attempts {
  return { ...attempts, probes: attempts.probes + 1, inARow: attempts.inARow + (isRight ? 0 : 1) };
}

/** A lock that wrong passwords make. */
interface FailureLock {
  /** Undefined: until somebody unlocks. */
  until: number | undefined;
  stopsDevices: boolean;
}

/** The lock that follows from the attempts after a wrong password, if there is one. */
export function lockAfter(
  { failures, inARow, locks }: Attempts,
  trier: Trier,
  policy: LockoutPolicy,
  time: number,
): FailureLock | undefined {
  if (policy.maxAttempts === 0) return undefined;
  const stopsDevices = !trier.isStranger || inARow >= MAX_FAILURES_IN_A_ROW;
  if (inARow >= inARowAtMost(trier, policy)) return { until: undefined, stopsDevices };
  if ((trier.isStranger ? failures.strangers : failures.devices).length < policy.maxAttempts) return undefined;
  if (policy.maxLockDuration === 0) return { until: undefined, stopsDevices };
  return { until: time + Math.min(policy.lockDuration * 2 ** locks, policy.maxLockDuration), stopsDevices };
}
