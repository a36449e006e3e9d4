import type { Owner } from "../domain/access.ts";
import { DEFAULT_POLICY, type LockoutPolicy } from "../domain/lockout.ts";
import { lockoutSettings, settingsId } from "../domain/settings.ts";
import { type EventStore, load } from "../store/port.ts";

/**
 * The lockout policy in force for an owner; the fields that the owner sets, undefined if none; and what the others
 * inherit.
 */
export type EffectivePolicy = (
  owner: Owner,
) => Promise<{ policy: LockoutPolicy; own: Partial<LockoutPolicy> | undefined; inherited: LockoutPolicy }>;

/** An organization's settings override the instance's, which override the defaults. Nothing is cached. */
export function createPolicies({ store, instanceId }: { store: EventStore; instanceId: string }): EffectivePolicy {
  async function settingsOf(owner: Owner): Promise<Partial<LockoutPolicy> | undefined> {
    return (await load(store, lockoutSettings, settingsId(owner)))?.state.policy;
  }

  return async (owner) => {
    const [instance, own] = await Promise.all([settingsOf({ type: "instance", id: instanceId }), settingsOf(owner)]);
    const inherited = { ...DEFAULT_POLICY, ...(owner.type !== "instance" && instance) };
    return { policy: { ...inherited, ...own }, own, inherited };
  };
}
