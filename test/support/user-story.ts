import type { Occasion } from "../../src/domain/aggregate.ts";
import { DEFAULT_POLICY, type LockoutPolicy } from "../../src/domain/lockout.ts";
import { type CheckedLogin, type UserCommand, user } from "../../src/domain/user.ts";
import type { User, UserEvent } from "../../src/domain/user-state.ts";

/** The start of every story, in microseconds since the Unix epoch. */
export const START = 1_764_000_000_000_000;
/** The time `seconds` after the start. */
export const timeAt = (seconds: number) => START + Math.round(seconds * 1_000_000);

export const HASH = "hash of the right password";
export const PHONE = "phone";
export const LAPTOP = "laptop";

/** A step of a story, `at` seconds after the start. The password of a login is already compared. */
export type Step = { at: number; as?: string } & (
  | { command: UserCommand }
  | { login: Pick<CheckedLogin, "isRight" | "device" | "newDevice" | "mac">; comparedWith?: string }
);

export const wrong = (at: number, password = `wrong at ${at}`, device = ""): Step => ({
  at,
  login: { isRight: false, device, mac: password },
});
export const right = (at: number, device = ""): Step => ({ at, login: { isRight: true, device, mac: "right" } });
/** A successful login that makes the device known. */
export const from = (at: number, newDevice: string): Step => ({
  at,
  login: { isRight: true, device: "", newDevice, mac: "right" },
});
/** The logins that make two devices known. */
export const KNOWN_DEVICES = [from(0, PHONE), from(0, LAPTOP)];
export const command = (at: number, one: UserCommand, as = "operator"): Step => ({ at, command: one, as });
export const lock = (at: number, end: { until?: number; duration?: number } = {}) =>
  command(at, { type: "lock", reason: "fraud", note: "", ...end });
export const unlock = (at: number) => command(at, { type: "unlock" });
export const setPassword = (at: number, hash = HASH) =>
  command(at, { type: "set_password", hash, changeRequired: false });
/** `count` different wrong passwords, one each second. */
export const wrongs = (count: number, from: number, device = "") =>
  Array.from({ length: count }, (_, index) => wrong(from + index, undefined, device));

/** The outcome of a story: the final user, the time of the last event, and the events of the last step. */
export interface Ending {
  state: User;
  changed: number;
  events: UserEvent[];
}

/**
 * Runs the story of an active user with a password. The clock may go back between two steps, and the events stay in
 * order. Throws the error of a refused step.
 */
export function tell(steps: readonly Step[], policy: Partial<LockoutPolicy> = {}): Ending {
  const create: UserCommand = {
    type: "create",
    id: "ann",
    owner: { type: "instance", id: "default" },
    profile: {},
    usernames: [],
    password: { hash: HASH, changeRequired: false },
  };
  let ending: Ending = follow(undefined, create, { time: START, actor: { subject: "operator" } });
  for (const step of steps) {
    const occasion = { time: timeAt(step.at), actor: { subject: step.as ?? "login page" } };
    const one: UserCommand =
      "command" in step
        ? step.command
        : {
            type: "record_login",
            login: {
              ...step.login,
              comparedWith: step.comparedWith ?? (ending.state.password?.hash as string),
              policy: { ...DEFAULT_POLICY, ...policy },
            },
          };
    ending = follow(ending, one, occasion);
  }
  return ending;
}

function follow(before: Ending | undefined, one: UserCommand, occasion: Occasion): Ending {
  const events = user.decide(before?.state, one, occasion);
  const time = Math.max(occasion.time, before?.changed ?? 0);
  let state = before?.state;
  for (const event of events) state = user.evolve(state, event, { ...occasion, time });
  return { state: state as User, changed: events.length > 0 ? time : (before?.changed ?? 0), events };
}

/** An event in a few words, with times in seconds after the start. */
export function inWords(event: UserEvent): string {
  if (event.type === "user.unlocked") return event.data.cause === "expired" ? "expired" : "unlocked";
  if (event.type !== "user.locked") return event.type.replace("user.", "");
  const { cause, until, knownDevicesPass, devicesUntil } = event.data;
  const inSeconds = (time: number) => `until ${(time - START) / 1_000_000}`;
  const end = until === undefined ? "without end" : inSeconds(until);
  if (cause === "manual") return `locked by hand ${end}`;
  const ofDevices = devicesUntil === undefined ? "" : `, ${inSeconds(devicesUntil)} for devices`;
  return `locked ${end} for ${knownDevicesPass ? "strangers" : "all"}${ofDevices}`;
}

/** The events of the story's last step, in words. */
export const endingInWords = (steps: readonly Step[], policy?: Partial<LockoutPolicy>) =>
  tell(steps, policy).events.map(inWords);
