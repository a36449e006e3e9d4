import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  LockoutPolicy as LockoutPolicyMessage,
  LockoutPolicySchema,
  SettingsService,
} from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import type { Execute } from "../../app/execute.ts";
import type { EffectivePolicy } from "../../app/lockout-policies.ts";
import { may, missing, type Owner } from "../../domain/access.ts";
import type { LockoutPolicy } from "../../domain/lockout.ts";
import { lockoutSettings, settingsId } from "../../domain/settings.ts";
import { fromDuration, fromOrganization, toDetailsAnswer, toDuration } from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";

/** SettingsService. */
export function settingsMethods(parts: {
  execute: Execute;
  policies: EffectivePolicy;
  instanceId: string;
}): Implementation<typeof SettingsService> {
  const { execute, policies, instanceId } = parts;

  const ownerOf = (organization: Parameters<typeof fromOrganization>[0]): Owner => {
    const id = fromOrganization(organization);
    return id === undefined ? { type: "instance", id: instanceId } : { type: "org", id };
  };

  return {
    async getLockoutPolicy({ organization }, { principal, permission }) {
      const owner = ownerOf(organization);
      if (!may(principal, permission, owner)) throw missing(permission);
      const { policy, isInherited } = await policies(owner);
      return { policy: toPolicy(policy), isInherited };
    },
    async setLockoutPolicy({ organization, policy }, caller) {
      const owner = ownerOf(organization);
      const command = { type: "set", owner, policy: fromPolicy(policy as LockoutPolicyMessage) } as const;
      const change = {
        id: settingsId(owner),
        command,
        permission: caller.permission,
        newOwner: owner,
        receipt: caller.receiptFor?.(toDetailsAnswer),
      };
      return toDetailsAnswer(await execute(lockoutSettings, change, caller));
    },
    async resetLockoutPolicy({ organization }, caller) {
      const owner = ownerOf(organization);
      const change = {
        id: settingsId(owner),
        command: { type: "reset" } as const,
        permission: caller.permission,
        newOwner: owner,
        receipt: caller.receiptFor?.(toDetailsAnswer),
      };
      return toDetailsAnswer(await execute(lockoutSettings, change, caller));
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

function toPolicy(policy: LockoutPolicy): MessageInitShape<typeof LockoutPolicySchema> {
  const { window, lockDuration, maxLockDuration, ...rest } = policy;
  return {
    ...rest,
    window: toDuration(window),
    lockDuration: toDuration(lockDuration),
    maxLockDuration: toDuration(maxLockDuration),
  };
}
