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
  /** A short code. */
  reason: string;
  note: string;
  /** The subject of the caller that locked. */
  by: string;
  /** The clock's time, microseconds since the Unix epoch. */
  since: number;
  /** When it expires, microseconds since the Unix epoch. Absent if it does not expire. */
  until?: number;
  /** Known devices are not stopped. */
  knownDevicesPass?: true;
  /** Until when it stops known devices anyway, microseconds since the Unix epoch. */
  devicesUntil?: number;
}

export interface Password {
  /** In PHC or bcrypt form. It is not kept in the log. */
  hash: string;
  /** Microseconds since the Unix epoch. */
  changed: number;
  changeRequired: boolean;
}

/** The fields of a user that callers set, except user names. */
export interface Profile {
  schemaId?: string;
  schemaType?: string;
  data?: Record<string, unknown>;
  email?: Email;
  phone?: Phone;
}

/** A user has two independent axes: lifecycle and lock. */
export interface User extends Profile {
  id: string;
  owner: Owner;
  lifecycle: "active" | "inactive" | "deleted";
  lock?: Lock;
  usernames: Username[];
  password?: Password;
  attempts?: Attempts;
  /** The number of times that all sessions were ended. A session is open only in the epoch in which it was opened. */
  epoch?: number;
  /** The one session that survived the last end of all sessions: the user's own new password was set by it. */
  keptSession?: string;
  /** Ids of the known devices, from which the user has logged in. The last login is at the end. */
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
        /** The session and device that set it, which do not end. */
        keeps?: { session: string; device?: string };
      };
    }
  | { type: "user.password_rehashed"; data: { hash: string } }
  /** `device` is a known device or "". `newDevice` becomes known. */
  | { type: "user.login_succeeded"; data: { device: string; newDevice?: string } }
  | { type: "user.login_failed"; data: Failure }
  /** A password was compared while the user was locked. */
  | { type: "user.lock_probed"; data: { isRight: boolean } }
  | { type: "user.sessions_ended"; data: object };

/** Why a user may not act by a token, and until when, microseconds since the Unix epoch. Absent: without end. */
export interface Denial {
  cause: "locked" | "inactive" | "deleted";
  until?: number;
}

/**
 * What denies the user at this time. Undefined if they may act by a token. A lock by wrong passwords does not matter,
 * because strangers can cause it.
 */
export function denialOf(user: User, time: number): Denial | undefined {
  if (user.lifecycle !== "active") return { cause: user.lifecycle };
  const lock = lockOf(user, time);
  if (lock?.cause !== "manual") return undefined;
  return { cause: "locked", ...(lock.until !== undefined && { until: lock.until }) };
}

/** Whether the user may act by a token. */
export function mayAct(user: User, time: number): boolean {
  return denialOf(user, time) === undefined;
}

/** The lock at this time. Undefined once it has expired, even if the log has no event of it yet. */
export function lockOf({ lock }: User, time: number): Lock | undefined {
  return lock?.until !== undefined && lock.until <= time ? undefined : lock;
}

/** Whether a session survived all events that ended the user's sessions. */
export function isKept({ epoch = 0, keptSession }: User, session: { id: string; epoch: number }): boolean {
  return session.epoch === epoch || session.id === keptSession;
}

/** Whether the lock stops known devices at this time, too. */
export function stopsDevices({ knownDevicesPass, devicesUntil }: Lock, time: number): boolean {
  return !knownDevicesPass || (devicesUntil !== undefined && time < devicesUntil);
}

/** The device if it is known, else "". */
export function knownDevice({ devices }: User, device: string): string {
  return devices?.includes(device) ? device : "";
}

/** Placeholder for a stream whose creation event is missing. The system owns it, so no grant reaches it. */
const MISSING: User = { id: "", owner: { type: "system", id: "" }, lifecycle: "deleted", usernames: [] };

/** The user after the event, fresh or recorded. Never throws. */
export function evolve(state: User | undefined, given: UserEvent, { time, actor }: Occasion): User {
  const event = withoutDenial(given);
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
  const before = state ?? MISSING;
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

/** The lock that a `user.locked` event made. */
export function lockOfEvent(data: (UserEvent & { type: "user.locked" })["data"], actor: Actor): Lock {
  return { ...data, by: data.cause === "manual" ? actor.subject : USERLOCK };
}

/** The data of a recorded event, with what denied the user after it. */
export interface Recorded {
  denied?: Denial;
}

/**
 * The event for the log: with what denies the user after it, and without password hashes and addresses. The state keeps
 * them while they are needed, but the log outlives the user.
 */
export function logged(event: UserEvent, after: User, { time }: Occasion): UserEvent {
  const bare = withoutSecrets(event);
  const denied = denialOf(after, time);
  return denied ? ({ ...bare, data: { ...bare.data, denied } satisfies Recorded } as UserEvent) : bare;
}

/** The event without what a record adds. */
function withoutDenial(event: UserEvent): UserEvent {
  if (!("denied" in event.data)) return event;
  const { denied: _after, ...data } = event.data;
  return { ...event, data } as UserEvent;
}

function withoutSecrets(event: UserEvent): UserEvent {
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

/** The prefix of the claims of denied users, by which they are found. The user's id follows. */
export const DENIED = "denied:";

/** The claim of a user who is denied, or was until a lock expired that has no event of its end yet. */
export function deniedClaims({ id, lifecycle, lock }: User): string[] {
  return lifecycle !== "active" || lock?.cause === "manual" ? [DENIED + id] : [];
}

/** The prefix of the claims of user names. They end with the folded name. */
export const LOGIN_NAMES = "username";

/** The claim of a login name: within the organization, or in the whole instance if none is named. */
export function loginNameClaim(loginName: string, organization: string | undefined): string {
  // Quoted, because the id and the name may contain the separators.
  const place = organization === undefined ? "" : `@${JSON.stringify(organization)}`;
  return `${LOGIN_NAMES}${place}:${fold(loginName)}`;
}

/**
 * The claims of a user name. A name of the whole instance is also claimed within the user's organization, so that there
 * it belongs to one user.
 */
export function claimsOf({ name, organizationSpecific }: Username, owner: Owner): string[] {
  const inInstance = organizationSpecific ? [] : [loginNameClaim(name, undefined)];
  return owner.type === "org" ? [...inInstance, loginNameClaim(name, owner.id)] : inInstance;
}
