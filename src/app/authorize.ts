import { type Grant, isIn, type Owner, type Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import type { User } from "../domain/user-state.ts";
import type { Stored } from "./execute.ts";

/** The bearer of a token: the principal, and the user that its subject names, if there is one. */
export interface Bearer {
  principal: Principal;
  user?: Stored<User> | undefined;
}

/** What a bearer must have beside a good token. */
export interface Demand {
  /** The id of the organization that owns the user, or that a grant of the token names. */
  organization?: string | undefined;
  /** A role of the token, on the instance or on the organization. */
  role?: string | undefined;
}

/** Throws PERMISSION_MISSING unless the bearer meets the demand. */
export function demand({ principal, user }: Bearer, { organization, role }: Demand): void {
  if (organization !== undefined && !isOf(organization, principal, user?.owner)) {
    throw lacking("The bearer does not belong to the organization.", { organization });
  }
  const reaches = ({ organization: where }: Grant) => where === undefined || where === organization;
  if (role !== undefined && !principal.grants.some((grant) => grant.role === role && reaches(grant))) {
    throw lacking("The token does not have the role.", { role, ...(organization !== undefined && { organization }) });
  }
}

function isOf(organization: string, { grants }: Principal, owner: Owner | undefined): boolean {
  return (owner && isIn(owner, organization)) || grants.some((grant) => grant.organization === organization);
}

function lacking(message: string, metadata: Record<string, string>): DomainError {
  return new DomainError("PERMISSION_MISSING", message, { metadata });
}
