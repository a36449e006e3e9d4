import type { Owner } from "./access.ts";
import type { Actor, Occasion } from "./aggregate.ts";
import { fold } from "./fold.ts";
import { USERLOCK } from "./identifier.ts";
import { type Attempts, addDevice, addFailure, addLock, addProbe, type Failure, NO_ATTEMPTS } from "./lockout.ts";

export interface Username {
  id: string;
  name: string;
  /** Unique in the owning organization only, not in the whole instance. */
  organizationSpecific: boolean;
}

interface Email {
  address: string;
  verified: boolean;
}

interface Phone {
  number: string;
  verified: boolean;
}

export interface Lock {
  cause: "manual" | "password_failures";
  /** Short code. */
  reason: string;
  note: string;
  /** Subject of who locked. */
  by: string;
  /** By the clock, microseconds since the Unix epoch. */
  since: number;
  /** When it ends by itself, microseconds since the Unix epoch; absent if it does not. */
  until?: number;
  /** A device that the user has logged in from is not stopped. */
  knownDevicesPass?: true;
  /** Until when it stops known devices all the same, microseconds since the Unix epoch. */
  devicesUntil?: number;
}

export interface Password {
  /** In PHC form, or in that of bcrypt. It is not kept in the log. */
  hash: string;
  /** Microseconds since the Unix epoch. */
  changed: number;
  changeRequired: boolean;
}

/** What a caller can set about a user beside the user names. */
export interface Profile {
  schemaId?: string;
  schemaType?: string;
  data?: Record<string, unknown>;
  email?: Email;
  phone?: Phone;
}

/** A user has two axes, lifecycle and lock, and neither moves the other. */
export interface User extends Profile {
  id: string;
  owner: Owner;
  lifecycle: "active" | "inactive" | "deleted";
  lock?: Lock;
  usernames: Username[];
  password?: Password;
  attempts?: Attempts;
  /** Counts what ends all sessions at once; a session is open only in the epoch that it was opened in. */
  epoch?: number;
  /** The one session that is open though the epoch has moved on: the user's own new password was set by it. */
  keptSession?: string;
  /** Ids of the known devices: those that the user has logged in from, the last one at the end. */
  devices?: string[];
}

export type UserEvent =
  | {
      type: "user.created";
      data: {
        id: string;
        owner: Owner;
        profile: Profile;
        usernames: Username[];
        password?: Pick<Password, "hash" | "changeRequired">;
      };
    }
  | { type: "user.patched"; data: { profile: Profile } }
  | { type: "user.locked"; data: Omit<Lock, "by"> }
  | { type: "user.unlocked"; data: { cause: "manual" | "expired" } }
  | { type: "user.activated"; data: object }
  | { type: "user.deactivated"; data: object }
  | { type: "user.deleted"; data: object }
  | { type: "user.username_added"; data: { username: Username } }
  | { type: "user.username_removed"; data: { usernameId: string } }
  | {
      type: "user.password_changed";
      data: Pick<Password, "hash" | "changeRequired"> & {
        /** What it was set by, and does not end with the others. */
        keeps?: { session: string; device?: string };
      };
    }
  | { type: "user.password_rehashed"; data: { hash: string } }
  /** From a known device, or from one that is known from now on, if any. */
  | { type: "user.login_succeeded"; data: { device: string; newDevice?: string } }
  | { type: "user.login_failed"; data: Failure }
  /** A password was looked at while the user was locked. */
  | { type: "user.lock_probed"; data: { isRight: boolean } }
  | { type: "user.sessions_ended"; data: object };

/**
 * Whether the user may act by a token. A lock by wrong passwords does not matter: a stranger can cause it.
 */
export function mayAct(user: User, time: number): boolean {
  return user.lifecycle === "active" && lockOf(user, time)?.cause !== "manual";
}

/** The lock at this time: undefined once its end has passed, whether or not the log says so already. */
export function lockOf({ lock }: User, time: number): Lock | undefined {
  return lock?.until !== undefined && lock.until <= time ? undefined : lock;
}

/** Whether a session is still open after all that ended the sessions of the user at once. */
export function isKept({ epoch = 0, keptSession }: User, session: { id: string; epoch: number }): boolean {
  return session.epoch === epoch || session.id === keptSession;
}

/** Whether the lock stops known devices, too, at this time. */
export function stopsDevices({ knownDevicesPass, devicesUntil }: Lock, time: number): boolean {
  return !knownDevicesPass || (devicesUntil !== undefined && time < devicesUntil);
}

/** The device if it is known; "" for any other, such as one that was ended or forgotten. */
export function knownDevice({ devices }: User, device: string): string {
  return devices?.includes(device) ? device : "";
}

/** Placeholder for a log without its first event. It is the system's, so no grant reaches it. */
const NOBODY: User = { id: "", owner: { type: "system", id: "" }, lifecycle: "deleted", usernames: [] };

/** The user after the event. Never throws. */
export function evolve(state: User | undefined, event: UserEvent, { time, actor }: Occasion): User {
  if (event.type === "user.created") {
    const { id, owner, profile, usernames, password } = event.data;
    return {
      id,
      owner,
      lifecycle: "active",
      usernames,
      ...profile,
      ...(password && { password: { ...password, changed: time } }),
    };
  }
  const before = state ?? NOBODY;
  const attempts = before.attempts ?? NO_ATTEMPTS;
  switch (event.type) {
    case "user.patched":
      return { ...before, ...event.data.profile };
    case "user.locked": {
      const lock = lockOfEvent(event.data, actor);
      if (lock.cause === "manual") return { ...withoutDevices(withoutSessions(before)), lock };
      return { ...withoutSessions(before), lock, attempts: addLock(attempts, stopsDevices(lock, lock.since)) };
    }
    case "user.unlocked": {
      const { lock: _ended, attempts: counted, ...rest } = before;
      return event.data.cause === "expired" && counted ? { ...rest, attempts: { ...counted, probes: 0 } } : rest;
    }
    case "user.activated":
      return { ...before, lifecycle: "active" };
    case "user.deactivated":
      return { ...withoutDevices(withoutSessions(before)), lifecycle: "inactive" };
    case "user.deleted":
      return { id: before.id, owner: before.owner, lifecycle: "deleted", usernames: [], epoch: nextEpoch(before) };
    case "user.username_added":
      return { ...before, usernames: [...before.usernames, event.data.username] };
    case "user.username_removed":
      return { ...before, usernames: before.usernames.filter(({ id }) => id !== event.data.usernameId) };
    case "user.password_changed": {
      const { keeps, ...password } = event.data;
      const { attempts: _counted, ...rest } = withoutDevices(withoutSessions(before, keeps?.session), keeps?.device);
      return { ...rest, password: { ...password, changed: time } };
    }
    case "user.password_rehashed":
      return { ...before, ...(before.password && { password: { ...before.password, hash: event.data.hash } }) };
    case "user.login_succeeded": {
      const { attempts: _counted, ...rest } = before;
      const device = event.data.device || event.data.newDevice;
      return { ...rest, ...(device && { devices: addDevice(before.devices ?? [], device) }) };
    }
    case "user.login_failed":
      return { ...before, attempts: addFailure(attempts, event.data) };
    case "user.lock_probed":
      return { ...before, attempts: addProbe(attempts, event.data.isRight) };
    case "user.sessions_ended":
      return withoutDevices(withoutSessions(before));
    default:
      // An event of a newer version.
      return before;
  }
}

const nextEpoch = ({ epoch = 0 }: User) => epoch + 1;

/** Ends all sessions, or all but one. */
function withoutSessions(before: User, kept?: string): User {
  const { keptSession: _before, ...rest } = before;
  return { ...rest, epoch: nextEpoch(before), ...(kept !== undefined && { keptSession: kept }) };
}

/** Ends all device tokens, or those of all devices but one. */
function withoutDevices({ devices = [], ...rest }: User, kept?: string): User {
  return kept !== undefined && devices.includes(kept) ? { ...rest, devices: [kept] } : rest;
}

/** The lock that an event `user.locked` has made. */
export function lockOfEvent(data: (UserEvent & { type: "user.locked" })["data"], actor: Actor): Lock {
  return { ...data, by: data.cause === "manual" ? actor.subject : USERLOCK };
}

/**
 * Hashes of passwords, right or wrong, and addresses are in the state as long as they are needed, and never in the log,
 * which outlives the user.
 */
export function logged(event: UserEvent): UserEvent {
  switch (event.type) {
    case "user.created": {
      const { profile, password, ...data } = event.data;
      const blank = password && { password: { ...password, hash: "" } };
      return { ...event, data: { ...data, profile: withoutAddresses(profile), ...blank } };
    }
    case "user.patched":
      return { ...event, data: { profile: withoutAddresses(event.data.profile) } };
    case "user.password_changed":
    case "user.password_rehashed":
      return { ...event, data: { ...event.data, hash: "" } } as UserEvent;
    case "user.login_failed":
      return { ...event, data: { ...event.data, mac: "" } };
    default:
      return event;
  }
}

function withoutAddresses({ email, phone, ...profile }: Profile): Profile {
  return {
    ...profile,
    ...(email && { email: { ...email, address: "" } }),
    ...(phone && { phone: { ...phone, number: "" } }),
  };
}

/**
 * The claim under which a login name is held: within the organization, or in the whole instance where none is named.
 */
export function loginNameClaim(loginName: string, organization: string | undefined): string {
  // Quoted, for both the id and the name may have any of the characters that could part them.
  const place = organization === undefined ? "" : `@${JSON.stringify(organization)}`;
  return `username${place}:${fold(loginName)}`;
}

/**
 * What a user name claims. One of the whole instance is claimed within the user's organization, too: there a login name
 * belongs to one user, whichever kind it is and in whichever order names are given.
 */
export function claimsOf({ name, organizationSpecific }: Username, owner: Owner): string[] {
  const inInstance = organizationSpecific ? [] : [loginNameClaim(name, undefined)];
  return owner.type === "org" ? [...inInstance, loginNameClaim(name, owner.id)] : inInstance;
}
