import { type Grant, Role, RoleSchema } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { texts } from "../i18n/messages.ts";

/** The roles, in the order of the choice. The last ones have the least power. */
export const ROLES = [
  "ORG_USER_MANAGER",
  "ORG_VIEWER",
  "ORG_OWNER",
  "LOGIN_CLIENT",
  "GATEWAY",
  "INSTANCE_VIEWER",
  "INSTANCE_OWNER",
] as const satisfies (keyof typeof Role)[];
export type RoleName = (typeof ROLES)[number];

/** A grant as it is typed. */
export interface GrantInput {
  role: RoleName;
  organization: string;
}

/** Where a role can be granted. */
export function scopeOf(role: RoleName): "instance" | "organization" | "either" {
  if (role.startsWith("ORG_")) return "organization";
  return role.startsWith("INSTANCE_") ? "instance" : "either";
}

/** The grant of a request. An organization that does not fit the role is left out. */
export function toGrant({ role, organization }: GrantInput): Pick<Grant, "role" | "organizationId"> {
  const id = scopeOf(role) === "instance" ? "" : organization.trim();
  return { role: Role[role], ...(id !== "" && { organizationId: id }) };
}

/** A grant as text, such as "ORG_VIEWER on acme". */
export function grantText({ role, organizationId }: Grant): string {
  const { tokens: t } = texts.value;
  const name = RoleSchema.value[role]?.localName ?? String(role);
  return `${name} ${organizationId === undefined ? t.onInstance : t.onOrganization(organizationId)}`;
}
