import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import {
  type CreateUser,
  type GetUserSchema,
  type Organization,
  type PatchUser,
  type SetPassword,
  type SetUsername,
  State,
  type UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Batch } from "../../app/batch.ts";
import type { Caller, Execute, Stored } from "../../app/execute.ts";
import type { HashQueue, Turn } from "../../app/hash-queue.ts";
import { type OtherOwner, tokenOf } from "../../app/last-owner.ts";
import type { Login } from "../../app/login.ts";
import type { Search } from "../../app/search.ts";
import type { InstanceSecrets } from "../../auth/instance-secrets.ts";
import { isSupportedHash } from "../../auth/password.ts";
import { holds, missing } from "../../domain/access.ts";
import { invalidField } from "../../domain/errors.ts";
import { type UserCommand, user } from "../../domain/user.ts";
import { type Lock, lockOf, type Profile, type User } from "../../domain/user-state.ts";
import { createCursors } from "../convert/cursors.ts";
import { fromColumn, fromFilters } from "../convert/filters.ts";
import {
  fromOrganization,
  fromPage,
  notServed,
  ownerFor,
  toDetails,
  toDetailsAnswer,
  toListDetails,
  toLock,
  toTimestamp,
} from "../convert/messages.ts";
import type { RpcError } from "../errors.ts";
import type { Handler, Implementation } from "../handler.ts";
import { batchMethods, fromLock } from "./batch.ts";
import { answerChange } from "./change.ts";

/**
 * The maximum nesting of data. Each level takes three messages in Protobuf, and most readers accept 100, so a deeper
 * user could not be read by gRPC clients.
 */
const MAX_DATA_DEPTH = 32;

/** UserService and ZITADELUsers, which has the same methods. */
export function userMethods(parts: {
  execute: Execute;
  search: Search;
  login: Login;
  hasher: HashQueue;
  otherOwner: OtherOwner;
  batch: Batch;
  onUserError(error: RpcError, requestId: string): void;
  secrets: InstanceSecrets;
  newId: () => string;
  clock: () => number;
  instanceId: string;
}): Implementation<typeof UserService> {
  const { execute, search, login, hasher, otherOwner, newId, clock, instanceId } = parts;
  const cursors = createCursors(parts.secrets);

  async function toHash({ type }: SetPassword, turn: Turn): Promise<string> {
    if (type.case === "password") return hasher.hash(type.value, turn);
    const hash = type.value ?? "";
    if (isSupportedHash(hash)) return hash;
    throw invalidField("password.hash", "must be argon2id or argon2i in PHC form, or bcrypt, within the cost limits");
  }

  function withNewId({ username, isOrganizationSpecific }: SetUsername) {
    return { id: newId(), name: username, organizationSpecific: isOrganizationSpecific };
  }

  /** A handler that changes an existing user. */
  function changing<Request extends { id: string; organization?: Organization | undefined }>(
    toCommand: (request: Request) => UserCommand,
    isGuarded = false,
  ) {
    return async (request: Request, caller: Parameters<Handler>[1]) => {
      const change = {
        id: request.id,
        command: toCommand(request),
        organization: fromOrganization(request.organization),
        ...(isGuarded && { guard: { unless: tokenOf(request.id), check: () => otherOwner(request.id) } }),
      };
      return answerChange(execute, user, change, caller, toDetailsAnswer);
    };
  }

  return {
    async createUser(request, caller) {
      const wanted = request.user as CreateUser;
      const id = wanted.userId ?? newId();
      const newOwner = ownerFor(request.organization, instanceId);
      const usernames = (wanted.authenticators?.usernames ?? []).map(withNewId);
      const profile = fromProfile(wanted);
      const { password: given } = wanted.authenticators ?? {};
      const turn = turnOf(id, caller);
      const password = given && { hash: await toHash(given, turn), changeRequired: given.changeRequired };
      const command: UserCommand = {
        type: "create",
        id,
        owner: newOwner,
        profile,
        usernames,
        ...(password && { password }),
      };
      return answerChange(execute, user, { id, command, newOwner }, caller, toDetailsAnswer);
    },
    async getUser(request, { principal }) {
      return { user: toUser(await search.user(principal, request.id), clock()) };
    },
    async searchUsers(request, caller) {
      const page = fromPage(request.query);
      const order = { column: fromColumn(request.sortingColumn), descending: page.descending };
      const after = request.cursor === "" ? undefined : cursors.from(request.cursor, order);
      const filters = fromFilters(request.filters);
      const list = await search.users(caller, {
        ...page,
        ...order,
        filters,
        after,
        ...(request.skipTotal && { total: false }),
      });
      const now = clock();
      return {
        details: toListDetails(page, list, now),
        result: list.records.map((stored) => toUser(stored, now)),
        nextCursor: list.next ? cursors.to(list.next) : "",
      };
    },
    async countUsers({ filters }, caller) {
      const { reasons, total, ...counts } = await search.count(caller, fromFilters(filters));
      return {
        total: BigInt(total),
        active: BigInt(counts.active),
        inactive: BigInt(counts.inactive),
        locked: BigInt(counts.locked),
        lockedManually: BigInt(counts.lockedManually),
        lockedByPasswordFailures: BigInt(counts.lockedByPasswordFailures),
        endingSoon: BigInt(counts.endingSoon),
        lockReasons: reasons.map(({ reason, users }) => ({ reason, users: BigInt(users) })),
        timestamp: toTimestamp(clock()),
      };
    },
    patchUser: changing((request) => ({ type: "patch", profile: fromProfile(request.user as PatchUser) })),
    lockUser: changing((request) => fromLock(request), true),
    unlockUser: changing(() => ({ type: "unlock" })),
    ...batchMethods(parts),
    activateUser: changing(() => ({ type: "activate" })),
    deactivateUser: changing(() => ({ type: "deactivate" }), true),
    deleteUser: changing(() => ({ type: "delete" }), true),
    async addUsername(request, caller) {
      const username = withNewId(request.username as SetUsername);
      const withId = (stored: Stored<User>) => ({ ...toDetailsAnswer(stored), usernameId: username.id });
      const change = {
        id: request.id,
        command: { type: "add_username", username } as const,
        organization: fromOrganization(request.organization),
      };
      return answerChange(execute, user, change, caller, withId);
    },
    removeUsername: changing(({ usernameId }) => ({ type: "remove_username", usernameId })),
    async setPassword(request, caller) {
      const wanted = request.newPassword as SetPassword;
      if (wanted.verification.case === "verificationCode") {
        throw notServed("new_password.verification_code: userlock sends no codes; use current_password or omit it");
      }
      const { session } = caller.principal;
      const isSelf = wanted.verification.case === "currentPassword";
      const named = { id: request.id, organization: fromOrganization(request.organization) };
      const self = isSelf && (await login.prove(named, wanted.verification.value as string, caller));
      if (!self && !holds(caller.principal, caller.permission)) throw missing(caller.permission);
      const change = {
        ...named,
        command: {
          type: "set_password",
          hash: await toHash(wanted, turnOf(request.id, caller)),
          changeRequired: wanted.changeRequired,
          ...(self && { provenBy: self.state, ...(session && { session }) }),
        } as const,
        ...(self && { isAuthorised: true as const }),
      };
      return answerChange(execute, user, change, caller, toDetailsAnswer);
    },
  };
}

function turnOf(id: string, { principal, signal }: Caller): Turn {
  return { caller: principal.subject, user: id, signal };
}

function fromProfile({ schemaId, schemaType, data, contact }: CreateUser | PatchUser): Profile {
  const profile: Profile = {};
  if (schemaId) profile.schemaId = schemaId;
  if (schemaType) profile.schemaType = schemaType;
  if (data) profile.data = checkData(data);
  if (contact?.email) {
    const { address, verification } = contact.email;
    profile.email = { address, verified: fromVerification("user.contact.email", verification) };
  }
  if (contact?.phone) {
    const { number, verification } = contact.phone;
    profile.phone = { number, verified: fromVerification("user.contact.phone", verification) };
  }
  return profile;
}

/** Rejects data that JSON and Protobuf cannot both represent. */
function checkData(data: JsonObject): JsonObject {
  const check = (value: JsonValue, levels: number): void => {
    if (typeof value === "number" && !Number.isFinite(value))
      throw invalidField("user.data", "must not have an infinite number");
    if (typeof value === "string" && (!value.isWellFormed() || value.includes("\0")))
      throw invalidField("user.data", "must not have text with U+0000 or that is not Unicode");
    if (value === null || typeof value !== "object") return;
    if (levels === 0) throw invalidField("user.data", `must be nested at most ${MAX_DATA_DEPTH} deep`);
    for (const [key, inner] of Object.entries(value)) {
      check(key, 0);
      check(inner, levels - 1);
    }
  };
  check(data, MAX_DATA_DEPTH);
  return data;
}

type Verification = { case: "isVerified"; value: boolean } | { case: string | undefined; value?: unknown };

function fromVerification(field: string, verification: Verification): boolean {
  if (verification.case !== undefined && verification.case !== "isVerified") {
    throw notServed(`${field}: userlock sends no codes; set is_verified or omit it`);
  }
  return verification.value === true;
}

function toUser(stored: Stored<User>, now: number): MessageInitShape<typeof GetUserSchema> {
  const { schemaId, schemaType, data, email, phone, usernames, password } = stored.state;
  const lock = lockOf(stored.state, now);
  return {
    details: toDetails(stored),
    ...((schemaId || schemaType) && { schema: { id: schemaId ?? "", type: schemaType ?? "" } }),
    ...(data && { data: data as MessageInitShape<typeof GetUserSchema>["data"] }),
    contact: {
      ...(email && { email: { address: email.address, isVerified: email.verified } }),
      ...(phone && { phone: { number: phone.number, isVerified: phone.verified } }),
    },
    authenticators: {
      usernames: usernames.map(({ id, name, organizationSpecific }) => ({
        usernameId: id,
        username: name,
        isOrganizationSpecific: organizationSpecific,
      })),
      ...(password && { password: { lastChanged: toTimestamp(password.changed) } }),
    },
    state: toState(stored.state, lock),
    ...(lock && { lock: toLock(lock) }),
    lifecycle: toState(stored.state, undefined),
  } as MessageInitShape<typeof GetUserSchema>;
}

function toState({ lifecycle }: User, lock: Lock | undefined): State {
  if (lifecycle === "deleted") return State.USER_STATE_DELETED;
  if (lock) return State.USER_STATE_LOCKED;
  return lifecycle === "inactive" ? State.USER_STATE_INACTIVE : State.USER_STATE_ACTIVE;
}
