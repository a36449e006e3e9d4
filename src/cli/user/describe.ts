import {
  type Details,
  type GetUser,
  type Lock,
  LockCauseSchema,
  OwnerType,
  type State,
  StateSchema,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { timeOf, wordOf } from "../output.ts";

/** Such as `active` or `locked`. */
export function stateOf(state: State): string {
  return wordOf(StateSchema.value[state]?.localName?.replace("USER_STATE_", ""));
}

/** The organization that owns an object; empty if another owns it. */
export function organizationOf(details: Details | undefined): string {
  return details?.owner?.type === OwnerType.ORG ? details.owner.id : "";
}

/** User names with commas between. */
export function namesOf({ authenticators }: GetUser): string {
  return (authenticators?.usernames ?? []).map(({ username }) => username).join(", ");
}

/** When a lock ends, for people. */
export function endOf({ until }: Lock): string {
  return timeOf(until) || "no end";
}

/** All facts about a user, for people. */
export function factsOf(user: GetUser, sessions: bigint | undefined): [name: string, value: string | undefined][] {
  const { details, lock, contact, authenticators, schema, data } = user;
  const vouched = (text: string | undefined, isVerified: boolean | undefined) =>
    text && `${text}${isVerified ? "" : " (not verified)"}`;
  const own = (authenticators?.usernames ?? []).map(
    ({ username, isOrganizationSpecific }) => `${username}${isOrganizationSpecific ? " (in the organization)" : ""}`,
  );
  return [
    ["id", details?.id],
    ["lifecycle", stateOf(user.lifecycle)],
    ["lock", lock ? `locked, ${wordOf(LockCauseSchema.value[lock.cause]?.localName)}` : "not locked"],
    ["  reason", lock?.reason],
    ["  note", lock?.note],
    ["  locked by", lock?.lockedBy],
    ["  since", timeOf(lock?.since)],
    ["  until", lock && endOf(lock)],
    ["sessions", sessions?.toString()],
    ["organization", organizationOf(details) || "none, the instance owns the user"],
    ["user names", own.join(", ")],
    ["email", vouched(contact?.email?.address, contact?.email?.isVerified)],
    ["phone", vouched(contact?.phone?.number, contact?.phone?.isVerified)],
    ["password", authenticators?.password ? `set ${timeOf(authenticators.password.lastChanged)}` : "none"],
    ["schema", schema && [schema.id, schema.type].filter(Boolean).join(", ")],
    ["data", data && JSON.stringify(data)],
    ["created", timeOf(details?.created)],
    ["changed", timeOf(details?.changed)],
  ];
}
