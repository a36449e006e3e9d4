import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { LockoutPolicy, LockoutPolicySchema } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";

/** The values of a policy. Lengths are seconds. */
export interface Values {
  /** 0: wrong passwords never lock. */
  maxAttempts: number;
  window: number;
  lockDuration: number;
  /** 0: until someone unlocks. */
  maxLockDuration: number;
  knownDevicesPass: boolean;
  revealLock: boolean;
}

/** The fields, in the order of the page. */
export const FIELDS = [
  "maxAttempts",
  "window",
  "lockDuration",
  "maxLockDuration",
  "knownDevicesPass",
  "revealLock",
] as const satisfies (keyof Values)[];
export type Field = (typeof FIELDS)[number];

/** The values that a message has. */
export function valuesOf(policy: LockoutPolicy): Partial<Values> {
  const { maxAttempts, window, lockDuration, maxLockDuration, knownDevicesPass, revealLock } = policy;
  return {
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(window && { window: secondsOf(window) }),
    ...(lockDuration && { lockDuration: secondsOf(lockDuration) }),
    ...(maxLockDuration && { maxLockDuration: secondsOf(maxLockDuration) }),
    ...(knownDevicesPass !== undefined && { knownDevicesPass }),
    ...(revealLock !== undefined && { revealLock }),
  };
}

/** The message with these values. */
export function toPolicy({ window, lockDuration, maxLockDuration, ...rest }: Partial<Values>): Message {
  return {
    ...rest,
    ...(window !== undefined && { window: durationOf(window) }),
    ...(lockDuration !== undefined && { lockDuration: durationOf(lockDuration) }),
    ...(maxLockDuration !== undefined && { maxLockDuration: durationOf(maxLockDuration) }),
  };
}

type Message = MessageInitShape<typeof LockoutPolicySchema>;

/** Whole microseconds, which is what the server keeps. */
function secondsOf({ seconds, nanos }: Duration): number {
  return Number(seconds) + Math.round(nanos / 1_000) / 1_000_000;
}

function durationOf(seconds: number): { seconds: bigint; nanos: number } {
  const whole = Math.floor(seconds);
  return { seconds: BigInt(whole), nanos: Math.round((seconds - whole) * 1_000_000) * 1_000 };
}
