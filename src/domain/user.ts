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
  deniedClaims,
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
/** The maximum length of a lock, microseconds: 10 years. */
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
  /** At most one of `until` (a time) and `duration`, in microseconds. `isReplacing`: of a lock by hand, too. */
  | { type: "lock"; reason: string; note: string; until?: number; duration?: number; isReplacing?: boolean }
  | { type: "unlock" }
  /** Records the expiry of the lock in the log. */
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
      /** The user's own session that sets the password. It does not end. */
      session?: OwnSession;
      /** The user when the old password was proven. Absent if no proof was needed. */
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
  /** The id of the device whose token came with it, or "". The device may have been ended since. */
  device: string;
  /** The id that makes an unknown device known. Absent if it does not become known. */
  newDevice?: string;
  /** A keyed hash of the password. */
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
  claims: (state) => [
    ...new Set(state.usernames.flatMap((username) => claimsOf(username, state.owner))),
    ...deniedClaims(state),
  ],
  isGone: (state) => state.lifecycle === "deleted",
  userId: (state) => state.id,
  logged,
};

function decide(state: User | undefined, command: UserCommand, occasion: Occasion): UserEvent[] {
  if (command.type === "create") {
    if (state !== undefined) refuse("USER_ALREADY_EXISTS", command.id, "The id was used before. Choose another one.");
    if (isSystemSubject(command.id)) {
      throw invalidField("user.user_id", "is reserved for userlock; choose another one");
    }
    const { type: _create, ...data } = command;
    checkUsernames(data.usernames, data.owner, data.id);
    return [{ type: "user.created", data }];
  }
  if (state === undefined || user.isGone(state)) {
    // The user was deleted while the password was compared. The login fails without a reason.
    if (state && (command.type === "record_login" || command.type === "rehash_password")) return [];
    throw new DomainError("USER_NOT_FOUND", "The user does not exist.");
  }

  if (!state.lock || lockOf(state, occasion.time)) return decideOn(state, command, occasion);
  // The lock has expired, so the log gets its end first.
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
        refuse("SELF_LOCK", state.id, "You cannot lock yourself. Another user must do it.");
      }
      const isByHand = state.lock?.cause === "manual";
      if (isByHand && !command.isReplacing) {
        refuse("USER_ALREADY_LOCKED", state.id, "The user is already locked. Unlock the user first, or set replace.");
      }
      const { reason, note } = command;
      const end = endOf(command, occasion.time);
      // Only people shorten a lock, and only one by people.
      const until = isByHand ? end : laterEnd({ until: end }, state.lock);
      return [
        {
          type: "user.locked",
          data: { cause: "manual", reason, note, since: occasion.time, ...(until !== undefined && { until }) },
        },
      ];
    }
    case "unlock":
      if (!state.lock) refuse("USER_NOT_LOCKED", state.id, "The user is not locked.");
      return [{ type: "user.unlocked", data: { cause: "manual" } }];
    case "expire_lock":
      return [];
    case "activate":
      if (state.lifecycle !== "inactive") refuse("USER_NOT_INACTIVE", state.id, "The user is already active.");
      return [{ type: "user.activated", data: {} }];
    case "deactivate":
      if (state.lifecycle === "inactive") refuse("USER_ALREADY_INACTIVE", state.id, "The user is already inactive.");
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
      // The user was locked or got another password since the proof.
      const isSame = provenBy?.epoch === state.epoch && provenBy?.password?.changed === state.password?.changed;
      if (provenBy && !isSame) {
        throw new DomainError("LOGIN_FAILED", "The user was locked or got another password in the meantime.");
      }
      // An ended session is not reopened.
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

/** Repeats the decision of `admit`, because the state may have changed while the password was compared. */
function decideLogin(state: User, login: CheckedLogin, time: number): UserEvent[] {
  const { isRight, comparedWith, newDevice, mac, policy } = login;
  // The comparison is void if the user has another password now.
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

  // If the policy does not distinguish devices, all attempts count together.
  const counter = policy.knownDevicesPass ? device : "";
  const failed: UserEvent = {
    type: "user.login_failed",
    data: { device: counter, mac, window: policy.window, at: time },
  };
  const attempts = addFailure(state.attempts ?? NO_ATTEMPTS, failed.data);
  const lock = lockAfter(attempts, trierOf(state, counter), policy, time);
  if (!lock) return [failed];
  // A lock of strangers stays in force for them. That of known devices has its own end.
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
 * Decides what to do with a login before its password is compared: "check" it; "refuse" it without a comparison; or
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

/** The end of a lock that begins at this time. Throws INVALID_REQUEST for an end in the past or beyond 10 years. */
export function endOf({ until, duration }: { until?: number; duration?: number }, time: number): number | undefined {
  const end = until ?? (duration === undefined ? undefined : time + duration);
  const field = until === undefined ? "duration" : "until";
  if (end !== undefined && end <= time) throw invalidField(field, "must be in the future");
  if (end !== undefined && end > time + MAX_LOCK) throw invalidField(field, "must be within 10 years");
  return end;
}

function checkUsernames(usernames: Username[], owner: Owner, id: string): void {
  if (usernames.length > MAX_USERNAMES) {
    refuse("TOO_MANY_USERNAMES", id, `A user has at most ${MAX_USERNAMES} user names. Remove one first.`);
  }
  if (owner.type !== "org" && usernames.some((username) => username.organizationSpecific)) {
    throw invalidField("is_organization_specific", "must be false, because the user is not in an organization");
  }
  if (new Set(usernames.map((username) => claimsOf(username, owner)[0])).size < usernames.length) {
    refuse("USERNAME_TAKEN", id, "The user already has this user name.");
  }
}

/** The fields of the wanted profile that differ from the state. */
function changes(state: User, wanted: Profile): Profile {
  const differs = ([key, value]: [string, unknown]) =>
    JSON.stringify(value) !== JSON.stringify(state[key as keyof Profile]);
  return Object.fromEntries(Object.entries(wanted).filter(differs));
}

function refuse(reason: Reason, userId: string, message: string): never {
  throw new DomainError(reason, message, { metadata: { user_id: userId } });
}
