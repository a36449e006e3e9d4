import type { Owner } from "./access.ts";
import type { Aggregate } from "./aggregate.ts";
import { DomainError } from "./errors.ts";
import type { LockoutPolicy } from "./lockout.ts";

/** The fields of the lockout policy that an instance or an organization sets. It inherits the others. */
interface LockoutSettings {
  owner: Owner;
  /** Absent after a reset. */
  policy?: Partial<LockoutPolicy>;
}

type LockoutSettingsCommand = { type: "set"; owner: Owner; policy: Partial<LockoutPolicy> } | { type: "reset" };

export type LockoutSettingsEvent =
  | { type: "lockout_policy.set"; data: { owner: Owner; policy: Partial<LockoutPolicy> } }
  | { type: "lockout_policy.reset"; data: object };

/** One for the instance and one for each organization, under the owner's key. */
export const lockoutSettings: Aggregate<LockoutSettings, LockoutSettingsCommand, LockoutSettingsEvent> = {
  kind: "lockout_policy",
  notFound: "POLICY_NOT_FOUND",
  toSee: "user.read",
  decide: (state, command) => {
    if (command.type === "set") {
      return [{ type: "lockout_policy.set", data: { owner: command.owner, policy: command.policy } }];
    }
    if (!state?.policy)
      throw new DomainError("POLICY_NOT_FOUND", "No lockout policy is set here. Every field is inherited.");
    return [{ type: "lockout_policy.reset", data: {} }];
  },
  evolve: (state, event) =>
    event.type === "lockout_policy.set" ? event.data : { owner: (state as LockoutSettings).owner },
  owner: (state) => state.owner,
  claims: () => [],
  isGone: () => false,
};

/** The id of the stream with an owner's settings. */
export function settingsId({ type, id }: Owner): string {
  return `${type}:${id}`;
}

/** The key of all servers of an instance, as recorded in the store. */
interface InstanceKey {
  owner: Owner;
  /** Identifies the key without revealing it. Absent after a reset. */
  fingerprint?: string;
}

type InstanceKeyCommand =
  /** Changes nothing if a key is recorded already. */
  { type: "record"; owner: Owner; fingerprint: string } | { type: "reset" };

export type InstanceKeyEvent =
  | { type: "instance_key.recorded"; data: { owner: Owner; fingerprint: string } }
  | { type: "instance_key.reset"; data: object };

/** One for the instance, under its key. */
export const instanceKey: Aggregate<InstanceKey, InstanceKeyCommand, InstanceKeyEvent> = {
  kind: "instance_key",
  notFound: "KEY_NOT_FOUND",
  toSee: "access.write",
  decide: (state, command) => {
    if (command.type === "record") {
      const { type: _record, ...data } = command;
      return state?.fingerprint === undefined ? [{ type: "instance_key.recorded", data }] : [];
    }
    if (state?.fingerprint !== undefined) return [{ type: "instance_key.reset", data: {} }];
    throw new DomainError("KEY_NOT_FOUND", "No key is recorded. The next server that starts records its own.");
  },
  evolve: (state, event) =>
    event.type === "instance_key.recorded" ? event.data : { owner: (state as InstanceKey).owner },
  owner: (state) => state.owner,
  claims: () => [],
  isGone: () => false,
};
