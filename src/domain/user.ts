import type { Owner, OwnSession } from "./access.ts";
import type { Aggregate, Occasion } from "./aggregate.ts";
import { DomainError, invalidField, type Reason } from "./errors.ts";
import { isSystemSubject } from "./identifier.ts";
import {
  addFailure,
  isRemembered,
  type LockoutPolicy,
  lockAfter,
  mayProbe,
  NO_ATTEMPTS,
  type Trier,
} from "./lockout.ts";
import {
  claimsOf,
  evolve,
  isKept,
  knownDevice,
  type Lock,
  lockOf,
  logged,
  type Password,
  type Profile,
  stopsDevices,
  type User,
  type UserEvent,
  type Username,
} from "./user-state.ts";

export const MAX_USERNAMES = 20;
/** How far off the end of a lock may be, microseconds: 10 years. */
const MAX_LOCK = 10 * 366 * 24 * 3_600 * 1_000_000;

export type UserCommand =
  | {
      type: "create";
      id: string;
      owner: Owner;
      profile: Profile;
      usernames: Username[];
      password?: Pick<Password, "hash" | "changeRequired">;
    }
  | { type: "patch"; profile: Profile }
  /** At most one of until (a time) and duration, microseconds. */
  | { type: "lock"; reason: string; note: string; until?: number; duration?: number }
  | { type: "unlock" }
  /** Puts into the log what the clock has done. */
  | { type: "expire_lock" }
  | { type: "activate" }
  | { type: "deactivate" }
  | { type: "delete" }
  | { type: "add_username"; username: Username }
  | { type: "remove_username"; usernameId: string }
  | {
      type: "set_password";
      hash: string;
      changeRequired: boolean;
      /** The user's own, by which the password is set: it does not end with the others. */
      session?: OwnSession;
      /** The user at the time of the proof of the old password; absent if none was needed. */
      provenBy?: Pick<User, "epoch" | "password">;
    }
  /** The same password under a new hash. */
  | { type: "rehash_password"; hash: string; replaced: string }
  | { type: "record_login"; login: CheckedLogin }
  | { type: "end_sessions" };

/** A login whose password was compared with a hash. */
export interface CheckedLogin {
  isRight: boolean;
  /** The hash that it was compared with. */
  comparedWith: string;
  /** Id of the device whose token came with it; "" without one. The device may have been ended since. */
  device: string;
  /** Id of the device as which it is known from now on, if it is known as none; absent if it is not to be known. */
  newDevice?: string;
  /** Keyed hash of the password that was tried. */
  mac: string;
  policy: LockoutPolicy;
}

export const user: Aggregate<User, UserCommand, UserEvent> = {
  kind: "user",
  notFound: "USER_NOT_FOUND",
  toSee: "user.read",
  decide,
  evolve,
  owner: (state) => state.owner,
  claims: (state) => [...new Set(state.usernames.flatMap((username) => claimsOf(username, state.owner)))],
  isGone: (state) => state.lifecycle === "deleted",
  userId: (state) => state.id,
  logged,
};

function decide(state: User | undefined, command: UserCommand, occasion: Occasion): UserEvent[] {
  if (command.type === "create") {
    if (state !== undefined) refuse("USER_ALREADY_EXISTS", command.id, "The id was used before: choose another one.");
    if (isSystemSubject(command.id)) {
      throw invalidField("user.user_id", "marks an actor of userlock's own: choose another one");
    }
    const { type: _create, ...data } = command;
    checkUsernames(data.usernames, data.owner, data.id);
    return [{ type: "user.created", data }];
  }
  if (state === undefined || user.isGone(state)) {
    // The user was deleted while the password was compared: the login fails, and says no more.
    if (state && (command.type === "record_login" || command.type === "rehash_password")) return [];
    throw new DomainError("USER_NOT_FOUND", "There is no such user.");
  }

  if (!state.lock || lockOf(state, occasion.time)) return decideOn(state, command, occasion);
  // The lock has ended by the clock: the log has it before anything else.
  const expired: UserEvent = { type: "user.unlocked", data: { cause: "expired" } };
  return [expired, ...decideOn(evolve(state, expired, occasion), command, occasion)];
}

function decideOn(state: User, command: Exclude<UserCommand, { type: "create" }>, occasion: Occasion): UserEvent[] {
  switch (command.type) {
    case "patch": {
      const profile = changes(state, command.profile);
      return Object.keys(profile).length === 0 ? [] : [{ type: "user.patched", data: { profile } }];
    }
    case "lock": {
      if (occasion.actor.subject === state.id) {
        refuse("SELF_LOCK", state.id, "Nobody can lock themselves: let somebody else do it.");
      }
      if (state.lock?.cause === "manual") {
        refuse("USER_ALREADY_LOCKED", state.id, "The user is locked already: unlock the user first.");
      }
      const { reason, note } = command;
      const until = laterEnd({ until: endOf(command, occasion.time) }, state.lock);
      return [
        {
          type: "user.locked",
          data: { cause: "manual", reason, note, since: occasion.time, ...(until !== undefined && { until }) },
        },
      ];
    }
    case "unlock":
      if (!state.lock) refuse("USER_NOT_LOCKED", state.id, "The user is not locked: there is nothing to unlock.");
      return [{ type: "user.unlocked", data: { cause: "manual" } }];
    case "expire_lock":
      return [];
    case "activate":
      if (state.lifecycle !== "inactive") refuse("USER_NOT_INACTIVE", state.id, "The user is active already.");
      return [{ type: "user.activated", data: {} }];
    case "deactivate":
      if (state.lifecycle === "inactive") refuse("USER_ALREADY_INACTIVE", state.id, "The user is inactive already.");
      return [{ type: "user.deactivated", data: {} }];
    case "delete":
      return [{ type: "user.deleted", data: {} }];
    case "add_username":
      checkUsernames([...state.usernames, command.username], state.owner, state.id);
      return [{ type: "user.username_added", data: { username: command.username } }];
    case "remove_username":
      if (!state.usernames.some(({ id }) => id === command.usernameId)) {
        refuse("USERNAME_NOT_FOUND", state.id, "The user has no user name with this id.");
      }
      return [{ type: "user.username_removed", data: { usernameId: command.usernameId } }];
    case "set_password": {
      const { type: _set, provenBy, session, ...data } = command;
      // The user was locked, or got another password, since the proof.
      const isSame = provenBy?.epoch === state.epoch && provenBy?.password?.changed === state.password?.changed;
      if (provenBy && !isSame) {
        throw new DomainError("LOGIN_FAILED", "The user was locked, or got another password, in the meantime.");
      }
      // A session that has ended meanwhile is not brought back.
      const kept = session && isKept(state, session) ? session : undefined;
      const keeps = kept && { session: kept.id, ...(kept.device !== undefined && { device: kept.device }) };
      return [{ type: "user.password_changed", data: { ...data, ...(keeps && { keeps }) } }];
    }
    case "rehash_password":
      if (state.password?.hash !== command.replaced) return [];
      return [{ type: "user.password_rehashed", data: { hash: command.hash } }];
    case "record_login":
      return decideLogin(state, command.login, occasion.time);
    case "end_sessions":
      return [{ type: "user.sessions_ended", data: {} }];
  }
}

/** Decides anew what `admit` said before the password was compared, for much may have happened since. */
function decideLogin(state: User, login: CheckedLogin, time: number): UserEvent[] {
  const { isRight, comparedWith, newDevice, mac, policy } = login;
  // Nothing follows from a comparison with a password that is no longer the user's.
  if (comparedWith !== state.password?.hash) return [];
  switch (admit(state, login, time)) {
    case "refuse":
      return [];
    case "probe":
      return [{ type: "user.lock_probed", data: { isRight } }];
    case "check":
      break;
  }
  const device = knownDevice(state, login.device);
  if (isRight) {
    const isNew = device === "" && newDevice !== undefined;
    return [{ type: "user.login_succeeded", data: { device, ...(isNew && { newDevice }) } }];
  }

  // Where the policy makes no difference between devices, all tries are counted together.
  const counter = policy.knownDevicesPass ? device : "";
  const failed: UserEvent = {
    type: "user.login_failed",
    data: { device: counter, mac, window: policy.window, at: time },
  };
  const attempts = addFailure(state.attempts ?? NO_ATTEMPTS, failed.data);
  const lock = lockAfter(attempts, trierOf(state, counter), policy, time);
  if (!lock) return [failed];
  // The lock of strangers that stands goes on for them: that of known devices ends by itself.
  const standing = lockOf(state, time);
  const until = laterEnd(lock, standing);
  const devicesUntil = standing && lock.until !== until ? lock.until : undefined;
  const locked: UserEvent = {
    type: "user.locked",
    data: {
      cause: "password_failures",
      reason: "password-failures",
      note: "",
      since: time,
      ...(until !== undefined && { until }),
      ...((!lock.stopsDevices || devicesUntil !== undefined) && { knownDevicesPass: true }),
      ...(devicesUntil !== undefined && { devicesUntil }),
    },
  };
  return [failed, locked];
}

function trierOf({ devices }: User, device: string): Trier {
  return { isStranger: device === "", hasDevices: devices !== undefined };
}

/**
 * What may be done with a login before its password is compared with the hash: "check" it; "refuse" it unseen; or
 * "probe" it, which only reveals the lock to a caller with the right password.
 */
export function admit(
  state: User,
  { device, mac, policy }: Pick<CheckedLogin, "device" | "mac" | "policy">,
  time: number,
): "check" | "probe" | "refuse" {
  if (state.lifecycle !== "active" || !state.password) return "refuse";
  const attempts = state.attempts ?? NO_ATTEMPTS;
  const lock = lockOf(state, time);
  const known = policy.knownDevicesPass ? knownDevice(state, device) : "";
  if (lock && (known === "" || stopsDevices(lock, time))) {
    return mayProbe(attempts, trierOf(state, known), policy) ? "probe" : "refuse";
  }
  return isRemembered(attempts, mac, policy, time) ? "refuse" : "check";
}

function laterEnd(lock: { until: number | undefined }, standing: Lock | undefined): number | undefined {
  if (!standing) return lock.until;
  if (lock.until === undefined || standing.until === undefined) return undefined;
  return Math.max(lock.until, standing.until);
}

/** When a lock that is made at this time ends. Throws INVALID_REQUEST for an end that no lock can have. */
export function endOf({ until, duration }: { until?: number; duration?: number }, time: number): number | undefined {
  const end = until ?? (duration === undefined ? undefined : time + duration);
  const field = until === undefined ? "duration" : "until";
  if (end !== undefined && end <= time) throw invalidField(field, "must be in the future");
  if (end !== undefined && end > time + MAX_LOCK) throw invalidField(field, "must be within 10 years");
  return end;
}

function checkUsernames(usernames: Username[], owner: Owner, id: string): void {
  if (usernames.length > MAX_USERNAMES) {
    refuse("TOO_MANY_USERNAMES", id, `A user has at most ${MAX_USERNAMES} user names: remove one first.`);
  }
  if (owner.type !== "org" && usernames.some((username) => username.organizationSpecific)) {
    throw invalidField("is_organization_specific", "the user is not in an organization");
  }
  if (new Set(usernames.map((username) => claimsOf(username, owner)[0])).size < usernames.length) {
    refuse("USERNAME_TAKEN", id, "The user has this user name already.");
  }
}

/** What of the wanted profile differs from the state. */
function changes(state: User, wanted: Profile): Profile {
  const differs = ([key, value]: [string, unknown]) =>
    JSON.stringify(value) !== JSON.stringify(state[key as keyof Profile]);
  return Object.fromEntries(Object.entries(wanted).filter(differs));
}

function refuse(reason: Reason, userId: string, message: string): never {
  throw new DomainError(reason, message, { metadata: { user_id: userId } });
}
