import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  LockoutPolicy as LockoutPolicyMessage,
  LockoutPolicySchema,
  SettingsService,
} from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import type { Execute } from "../../app/execute.ts";
import type { EffectivePolicy } from "../../app/lockout-policies.ts";
import { may, missing } from "../../domain/access.ts";
import type { LockoutPolicy } from "../../domain/lockout.ts";
import { lockoutSettings, settingsId } from "../../domain/settings.ts";
import { fromDuration, ownerFor, toDetailsAnswer, toDuration } from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";
import { answerChange } from "./change.ts";

/** SettingsService. */
export function settingsMethods(parts: {
  execute: Execute;
  policies: EffectivePolicy;
  instanceId: string;
}): Implementation<typeof SettingsService> {
  const { execute, policies, instanceId } = parts;

  return {
    async getLockoutPolicy({ organization }, { principal, permission }) {
      const owner = ownerFor(organization, instanceId);
      if (!may(principal, permission, owner)) throw missing(permission);
      const { policy, own, inherited } = await policies(owner);
      return {
        policy: toPolicy(policy),
        isInherited: own === undefined,
        ...(own && { own: toPolicy(own) }),
        inherited: toPolicy(inherited),
      };
    },
    async setLockoutPolicy({ organization, policy }, caller) {
      const owner = ownerFor(organization, instanceId);
      const command = { type: "set", owner, policy: fromPolicy(policy as LockoutPolicyMessage) } as const;
      const change = { id: settingsId(owner), command, newOwner: owner };
      return answerChange(execute, lockoutSettings, change, caller, toDetailsAnswer);
    },
    async resetLockoutPolicy({ organization }, caller) {
      const owner = ownerFor(organization, instanceId);
      const change = { id: settingsId(owner), command: { type: "reset" } as const, newOwner: owner };
      return answerChange(execute, lockoutSettings, change, caller, toDetailsAnswer);
    },
  };
}

function fromPolicy(message: LockoutPolicyMessage): Partial<LockoutPolicy> {
  const { maxAttempts, window, lockDuration, maxLockDuration, knownDevicesPass, revealLock } = message;
  return {
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(window && { window: fromDuration(window) }),
    ...(lockDuration && { lockDuration: fromDuration(lockDuration) }),
    ...(maxLockDuration && { maxLockDuration: fromDuration(maxLockDuration) }),
    ...(knownDevicesPass !== undefined && { knownDevicesPass }),
    ...(revealLock !== undefined && { revealLock }),
  };
}

function toPolicy(policy: Partial<LockoutPolicy>): MessageInitShape<typeof LockoutPolicySchema> {
  const { window, lockDuration, maxLockDuration, ...rest } = policy;
  return {
    ...rest,
    ...(window !== undefined && { window: toDuration(window) }),
    ...(lockDuration !== undefined && { lockDuration: toDuration(lockDuration) }),
    ...(maxLockDuration !== undefined && { maxLockDuration: toDuration(maxLockDuration) }),
  };
}
