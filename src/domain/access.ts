import { DomainError, type Reason } from "./errors.ts";

/** The owner of an object: the system (break-glass accounts), the instance, or an organization. */
export interface Owner {
  type: "system" | "instance" | "org";
  id: string;
}

export const PERMISSIONS = [
  "user.read",
  "user.write",
  "user.delete",
  "settings.write",
  "event.read",
  "session.read",
  "session.write",
  "access.write",
] as const;

/** What no role gives, because every authenticated caller holds it: to read what the server knows about themselves. */
export const SELF_READ = "self.read";

export type Permission = (typeof PERMISSIONS)[number] | typeof SELF_READ;

/** The scope of each role, and its permissions. */
export const ROLES = {
  INSTANCE_OWNER: { scope: "instance", permissions: PERMISSIONS },
  INSTANCE_VIEWER: { scope: "instance", permissions: ["user.read", "event.read"] },
  ORG_OWNER: {
    scope: "organization",
    permissions: ["user.read", "user.write", "user.delete", "settings.write", "event.read"],
  },
  ORG_USER_MANAGER: { scope: "organization", permissions: ["user.read", "user.write", "event.read"] },
  ORG_VIEWER: { scope: "organization", permissions: ["user.read"] },
  LOGIN_CLIENT: { scope: "either", permissions: ["session.read", "session.write"] },
  GATEWAY: { scope: "either", permissions: ["session.read", "event.read"] },
} as const satisfies Record<
  string,
  { scope: "instance" | "organization" | "either"; permissions: readonly Permission[] }
>;

export type Role = keyof typeof ROLES;

/** A role on an organization, or on the instance if it names none. */
export interface Grant {
  role: Role;
  organization?: string;
}

/** The user's own session whose token the caller sent. */
export interface OwnSession {
  id: string;
  /** The user's epoch when it was opened. */
  epoch: number;
  /** Id of the device that it was opened from. */
  device?: string;
}

/** The caller, with their grants. */
export interface Principal {
  subject: string;
  /** Id of the access token that the caller sent. Absent for a JWT and for a session. */
  tokenId?: string;
  session?: OwnSession;
  /** When the token or the session ends by itself, microseconds since the Unix epoch. */
  expires?: number;
  grants: readonly Grant[];
  /** userlock itself, or an operator with access to the store. May do everything. */
  isSystem?: true;
}

/** Whether the principal is this user's own session. */
export function isSelf({ subject, session }: Principal, userId: string | undefined): boolean {
  return session !== undefined && subject === userId;
}

export function isRole(name: string): name is Role {
  return Object.hasOwn(ROLES, name);
}

/** Whether the role can be granted on that scope. */
export function isGrantable(grant: Grant): boolean {
  const { scope } = ROLES[grant.role];
  return scope === "either" || (scope === "organization") === (grant.organization !== undefined);
}

/** Where the principal holds the permission: on the instance, or on some organizations. */
export function reach(principal: Principal, permission: Permission) {
  const held = principal.grants.filter(
    (grant) => isGrantable(grant) && (ROLES[grant.role].permissions as readonly Permission[]).includes(permission),
  );
  return {
    instance: held.some((grant) => grant.organization === undefined),
    organizations: held.flatMap((grant) => grant.organization ?? []),
  };
}

/** Whether the principal holds the permission anywhere. */
export function holds(principal: Principal, permission: Permission): boolean {
  if (permission === SELF_READ) return true;
  const { instance, organizations } = reach(principal, permission);
  return instance || organizations.length > 0;
}

/** Whether the principal holds the permission over what this owner owns. No grant reaches the system's own objects. */
export function may(principal: Principal, permission: Permission, owner: Owner): boolean {
  if (principal.isSystem) return true;
  if (owner.type === "system") return false;
  const { instance, organizations } = reach(principal, permission);
  return instance || (owner.type === "org" && organizations.includes(owner.id));
}

/** Whether the owner is the organization. True if no organization is named. */
export function isIn({ type, id }: Owner, organization: string | undefined): boolean {
  return organization === undefined || (type === "org" && id === organization);
}

/**
 * Steps 4 and 5 of the order of answers, for an object and the organization in which the caller expects it. Returns the
 * object. Throws PERMISSION_MISSING for an organization out of reach, or an object that the caller may only see. Throws
 * `notFound` for an object that is missing, in another organization, or not visible.
 */
export function authorise<Found extends { owner: Owner }>(
  principal: Principal,
  wanted: { permission: Permission; toSee: Permission; organization?: string | undefined; notFound: Reason },
  found: Found | undefined,
): Found {
  const { permission, toSee, organization } = wanted;
  authoriseOrganization(principal, wanted);
  if (found && isIn(found.owner, organization)) {
    if (may(principal, permission, found.owner)) return found;
    if (may(principal, toSee, found.owner)) throw missing(permission);
  }
  const kind = wanted.notFound.replace("_NOT_FOUND", "").toLowerCase();
  throw new DomainError(wanted.notFound, `The ${kind} does not exist or is not visible to you.`);
}

/** Step 4 alone. Throws PERMISSION_MISSING for an organization out of reach. */
export function authoriseOrganization(
  principal: Principal,
  { permission, toSee, organization }: { permission: Permission; toSee: Permission; organization?: string | undefined },
): void {
  if (organization === undefined) return;
  const expected: Owner = { type: "org", id: organization };
  if (!may(principal, permission, expected) && !may(principal, toSee, expected)) throw missing(permission);
}

/** The error for a caller without the permission. */
export function missing(permission: Permission): DomainError {
  return new DomainError("PERMISSION_MISSING", `This call needs the permission ${permission}.`, {
    metadata: { permission },
  });
}
