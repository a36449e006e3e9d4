/** Defines when wrong passwords lock a user, and for how long. Times are microseconds. */
export interface LockoutPolicy {
  /** The number of wrong passwords within the window that locks. 0 disables automatic locks. */
  maxAttempts: number;
  window: number;
  /** The length of the first lock. It doubles with each lock since the last successful login. */
  lockDuration: number;
  /** The maximum length of a lock. 0: a lock lasts until someone unlocks the user. */
  maxLockDuration: number;
  /** Whether a lock caused by unknown devices lets in known devices. */
  knownDevicesPass: boolean;
  /** Whether a login with the right password learns that the user is locked. */
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

/** Wrong passwords in a row, from any device, after which a lock does not expire (NIST SP 800-63B-4, section 3.2.2). */
const MAX_FAILURES_IN_A_ROW = 100;
/** The share of them reserved for known devices, so that strangers cannot use up the user's own attempts. */
const KEPT_FOR_DEVICES = 20;
/** The number of wrong passwords that are remembered, so that a repetition does not count. */
const MAX_REMEMBERED = 3;
/** The number of known devices of a user. The device with the oldest login is forgotten first. */
const MAX_DEVICES = 20;

/** The wrong passwords since the last successful login. */
export interface Attempts {
  /**
   * Clock times of the wrong passwords since the last lock that stopped their source: strangers, or all known devices
   * together.
   */
  failures: { strangers: number[]; devices: number[] };
  /** The number since the last successful login, from any device. */
  inARow: number;
  /** The number of automatic locks. */
  locks: number;
  /** The last wrong passwords, as keyed hashes. */
  remembered: { mac: string; time: number }[];
  /** The number of passwords that were compared during the current lock. */
  probes: number;
}

const NO_FAILURES: Attempts["failures"] = { strangers: [], devices: [] };
export const NO_ATTEMPTS: Attempts = { failures: NO_FAILURES, inARow: 0, locks: 0, remembered: [], probes: 0 };

/** A wrong password. */
export interface Failure {
  /** The id of the known device that it came from, or "". */
  device: string;
  /** A keyed hash of the password. It is not kept in the log. */
  mac: string;
  /** The policy's window at that time, microseconds. */
  window: number;
  /** The clock's time. The event's own time may be ahead of it. */
  at: number;
}

/**
 * Whether the time is within the window before now. A time ahead of now by less than a window counts, because servers'
 * clocks differ. A time further ahead came from a wrong clock and is forgotten.
 */
function isWithin(window: number, then: number, now: number): boolean {
  return Math.abs(now - then) < window;
}

/** Adds a wrong password. Forgets those outside of the window. */
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

/** Resets the count of those that the lock stops. Keeps the number of locks, which makes the next one longer. */
export function addLock(attempts: Attempts, stopsDevices: boolean): Attempts {
  const failures = stopsDevices ? NO_FAILURES : { ...attempts.failures, strangers: [] };
  return { ...attempts, failures, locks: attempts.locks + 1, probes: 0 };
}

/** Adds the device of the last login, or moves it to the end. */
export function addDevice(devices: readonly string[], device: string): string[] {
  return [...devices.filter((one) => one !== device), device].slice(-MAX_DEVICES);
}

/** Whether this wrong password was tried within the window, so that it does not count again. */
export function isRemembered(attempts: Attempts, mac: string, policy: LockoutPolicy, time: number): boolean {
  return attempts.remembered.some((one) => one.mac === mac && isWithin(policy.window, one.time, time));
}

/** The number of wrong passwords in a row after which the lock does not expire. */
function inARowAtMost({ isStranger, hasDevices }: Trier, policy: LockoutPolicy): number {
  const kept = isStranger && hasDevices && policy.knownDevicesPass ? KEPT_FOR_DEVICES : 0;
  return MAX_FAILURES_IN_A_ROW - kept;
}

/** The source of a password. */
export interface Trier {
  /** Whether the device is unknown. */
  isStranger: boolean;
  /** Whether the user has any known device. */
  hasDevices: boolean;
}

/**
 * Whether a password may be compared while the user is locked. A wrong one counts, but never as the last in a row: a
 * normal login makes the lock that does not expire.
 */
export function mayProbe({ probes, inARow }: Attempts, trier: Trier, policy: LockoutPolicy): boolean {
  return policy.revealLock && probes < Math.max(policy.maxAttempts, 1) && inARow + 1 < inARowAtMost(trier, policy);
}

/** Counts a password that was compared while the user was locked. */
export function addProbe(attempts: Attempts, isRight: boolean): Attempts {
  return { ...attempts, probes: attempts.probes + 1, inARow: attempts.inARow + (isRight ? 0 : 1) };
}

/** A lock caused by wrong passwords. */
interface FailureLock {
  /** Undefined: until someone unlocks the user. */
  until: number | undefined;
  stopsDevices: boolean;
}

/** The lock that the attempts lead to after a wrong password, if any. */
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
