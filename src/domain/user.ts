import type { Owner } from "./access.ts";
import type { Aggregate, Occasion } from "./aggregate.ts";
import { DomainError, invalidField } from "./errors.ts";

export const MAX_USERNAMES = 20;

export interface Username {
  id: string;
  name: string;
  /** Unique in the owning organization only, not in the whole instance. */
  organizationSpecific: boolean;
}

export interface Email {
  address: string;
  verified: boolean;
}

export interface Phone {
  number: string;
  verified: boolean;
}

export interface Lock {
  cause: "manual";
  /** Short code. */
  reason: string;
  note: string;
  /** Subject of who locked. */
  by: string;
  /** Microseconds since the Unix epoch. */
  since: number;
}

/** What a caller can set about a user beside his names. */
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
}

export type UserCommand =
  | { type: "create"; id: string; owner: Owner; profile: Profile; usernames: Username[] }
  | { type: "patch"; profile: Profile }
  | { type: "lock"; reason: string; note: string }
  | { type: "unlock" }
  | { type: "activate" }
  | { type: "deactivate" }
  | { type: "delete" }
  | { type: "add_username"; username: Username }
  | { type: "remove_username"; usernameId: string };

export type UserEvent =
  | { type: "user.created"; data: { id: string; owner: Owner; profile: Profile; usernames: Username[] } }
  | { type: "user.patched"; data: { profile: Profile } }
  | { type: "user.locked"; data: Pick<Lock, "cause" | "reason" | "note"> }
  | { type: "user.unlocked"; data: object }
  | { type: "user.activated"; data: object }
  | { type: "user.deactivated"; data: object }
  | { type: "user.deleted"; data: object }
  | { type: "user.username_added"; data: { username: Username } }
  | { type: "user.username_removed"; data: { usernameId: string } };

export const user: Aggregate<User, UserCommand, UserEvent> = {
  kind: "user",
  notFound: "USER_NOT_FOUND",
  toSee: "user.read",
  decide,
  evolve,
  owner: (state) => state.owner,
  claims: (state) => state.usernames.map((username) => claim(username, state.owner)),
  isGone: (state) => state.lifecycle === "deleted",
};

/** What a log without a beginning is about. It is the system's, so that nobody is shown it. */
const NOBODY: User = { id: "", owner: { type: "system", id: "" }, lifecycle: "deleted", usernames: [] };

function decide(state: User | undefined, command: UserCommand, { actor }: Occasion): UserEvent[] {
  if (command.type === "create") {
    if (state !== undefined) refuse("USER_ALREADY_EXISTS", command.id, "The id was used before: choose another one.");
    const { id, owner, profile, usernames } = command;
    checkUsernames(usernames, owner, id);
    return [{ type: "user.created", data: { id, owner, profile, usernames } }];
  }
  if (state === undefined || user.isGone(state)) throw new DomainError("USER_NOT_FOUND", "There is no such user.");

  switch (command.type) {
    case "patch": {
      const profile = changes(state, command.profile);
      return Object.keys(profile).length === 0 ? [] : [{ type: "user.patched", data: { profile } }];
    }
    case "lock":
      if (actor.subject === state.id) refuse("SELF_LOCK", state.id, "Nobody can lock himself: let another one do it.");
      if (state.lock) refuse("USER_ALREADY_LOCKED", state.id, "The user is locked already: unlock him first.");
      return [{ type: "user.locked", data: { cause: "manual", reason: command.reason, note: command.note } }];
    case "unlock":
      if (!state.lock) refuse("USER_NOT_LOCKED", state.id, "The user is not locked: there is nothing to unlock.");
      return [{ type: "user.unlocked", data: {} }];
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
  }
}

function evolve(state: User | undefined, event: UserEvent, { time, actor }: Occasion): User {
  if (event.type === "user.created") {
    const { id, owner, profile, usernames } = event.data;
    return { id, owner, lifecycle: "active", usernames, ...profile };
  }
  const before = state ?? NOBODY;
  switch (event.type) {
    case "user.patched":
      return { ...before, ...event.data.profile };
    case "user.locked":
      return { ...before, lock: { ...event.data, by: actor.subject, since: time } };
    case "user.unlocked": {
      const { lock: _ended, ...rest } = before;
      return rest;
    }
    case "user.activated":
      return { ...before, lifecycle: "active" };
    case "user.deactivated":
      return { ...before, lifecycle: "inactive" };
    case "user.deleted":
      return { id: before.id, owner: before.owner, lifecycle: "deleted", usernames: [] };
    case "user.username_added":
      return { ...before, usernames: [...before.usernames, event.data.username] };
    case "user.username_removed":
      return { ...before, usernames: before.usernames.filter(({ id }) => id !== event.data.usernameId) };
    default:
      // An event of a newer version.
      return before;
  }
}

/** Names that differ only in case (the Greek final sigma among it) or in compatibility form (NFKC) are the same name. */
function claim(username: Username, owner: Owner): string {
  const folded = username.name.normalize("NFKC").toLowerCase().replaceAll("ς", "σ");
  // Quoted, for both the id and the name may have any of the characters that could part them.
  return username.organizationSpecific ? `username@${JSON.stringify(owner.id)}:${folded}` : `username:${folded}`;
}

function checkUsernames(usernames: Username[], owner: Owner, id: string): void {
  if (usernames.length > MAX_USERNAMES) {
    refuse("TOO_MANY_USERNAMES", id, `A user has at most ${MAX_USERNAMES} user names: remove one first.`);
  }
  if (owner.type !== "org" && usernames.some((username) => username.organizationSpecific)) {
    throw invalidField("is_organization_specific", "the user is not in an organization");
  }
  if (new Set(usernames.map((username) => claim(username, owner))).size < usernames.length) {
    refuse("USERNAME_TAKEN", id, "The user has this user name already.");
  }
}

/** What of the wanted profile differs from the state. */
function changes(state: User, wanted: Profile): Profile {
  const differs = ([key, value]: [string, unknown]) =>
    JSON.stringify(value) !== JSON.stringify(state[key as keyof Profile]);
  return Object.fromEntries(Object.entries(wanted).filter(differs));
}

function refuse(reason: ConstructorParameters<typeof DomainError>[0], userId: string, message: string): never {
  throw new DomainError(reason, message, { metadata: { user_id: userId } });
}
