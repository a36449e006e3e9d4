import { batch, signal } from "@preact/signals";
import { isLoggedOut, settings } from "../core/api.ts";
import { me } from "../core/session.ts";
import { type Values, valuesOf } from "./values.ts";

/** The policy of a place: the instance, or an organization. */
export interface Policy {
  /** The organization's id. Empty: the instance. */
  organization: string;
  /** What is in force. */
  values: Values;
  /** What is set here. Undefined: nothing, not even an empty policy. */
  own: Partial<Values> | undefined;
  /** What applies to the rest. */
  inherited: Values;
}

export const policy = signal<Policy | undefined>(undefined);
export const failure = signal<unknown>(undefined);

let running = new AbortController();

/** The request's field for a place. */
export const placeOf = (organization: string) =>
  organization === "" ? {} : { organization: { property: { case: "orgId" as const, value: organization } } };

/** The organizations that the caller's grants name, if they do not reach the instance. */
export function ownOrganizations(): readonly string[] {
  const reach = me.value?.permissions.find(({ permission }) => permission === "user.read");
  return reach && !reach.instance ? reach.organizationIds : [];
}

/** Loads the policy of a place. A newer call replaces an older one. */
export async function load(organization: string): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  if (policy.value?.organization !== organization) policy.value = undefined;
  try {
    const answer = await settings.getLockoutPolicy(placeOf(organization), { signal: gone });
    if (gone.aborted || !answer.policy || !answer.inherited) return;
    const { own, inherited } = answer;
    const values = valuesOf(answer.policy) as Values;
    batch(() => {
      policy.value = {
        organization,
        values,
        own: own && valuesOf(own),
        inherited: valuesOf(inherited as NonNullable<typeof inherited>) as Values,
      };
      failure.value = undefined;
    });
  } catch (error) {
    if (!gone.aborted && !isLoggedOut(error)) failure.value = error;
  }
}
