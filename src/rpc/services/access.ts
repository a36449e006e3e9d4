import {
  type AccessService,
  Credential,
  type Grant as GrantMessage,
  Role,
  RoleSchema,
} from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import type { Execute, Stored } from "../../app/execute.ts";
import type { OtherOwnerToken } from "../../app/last-owner.ts";
import type { Search } from "../../app/search.ts";
import { hashSecret, newSecret } from "../../auth/authenticate.ts";
import { type Grant, PERMISSIONS, type Principal, type Role as RoleName, reach } from "../../domain/access.ts";
import { type AccessToken, accessToken } from "../../domain/token.ts";
import {
  fromPage,
  fromTimestamp,
  LAST_SECOND,
  toDetails,
  toDetailsAnswer,
  toListDetails,
  toTimestamp,
} from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";
import { answerChange } from "./change.ts";

/** AccessService. */
export function accessMethods(parts: {
  execute: Execute;
  search: Search;
  otherOwnerToken: OtherOwnerToken;
  newId: () => string;
  clock: () => number;
  instanceId: string;
  /** The version of userlock, and the kind of the store. */
  about: { version: string; store: string };
}): Implementation<typeof AccessService> {
  const { execute, search, otherOwnerToken, newId, clock, instanceId, about } = parts;
  return {
    async whoAmI(_request, { principal }) {
      const { subject, tokenId, session, grants, expires } = principal;
      const reaches = PERMISSIONS.map((permission) => ({ permission, ...reach(principal, permission) }));
      return {
        subject,
        credential: credentialOf(principal),
        ...(tokenId !== undefined && { tokenId }),
        ...(session && { sessionId: session.id }),
        grants: grants.map(toGrant),
        permissions: reaches
          .filter(({ instance, organizations }) => instance || organizations.length > 0)
          .map(({ permission, instance, organizations }) => ({
            permission,
            instance,
            organizationIds: [...new Set(organizations)],
          })),
        ...(expires !== undefined && { expires: toTimestamp(Math.min(expires, LAST_SECOND)) }),
        ...(!session && { server: { ...about, instanceId } }),
      };
    },
    async createToken({ subject, grants, expires }, caller) {
      const id = newId();
      const secret = newSecret();
      const owner = { type: "instance", id: instanceId } as const;
      const token: Omit<AccessToken, "revoked"> = {
        id,
        owner,
        subject,
        grants: grants.map(fromGrant),
        hash: hashSecret(secret),
        ...(expires && { expires: fromTimestamp(expires) }),
      };
      const toAnswer = (stored: Stored<AccessToken>) => ({ details: toDetails(stored), token: secret });
      const change = { id, command: { type: "create", token } as const, newOwner: owner };
      return answerChange(execute, accessToken, change, caller, toAnswer);
    },
    async listTokens({ query, subject }, caller) {
      const page = fromPage(query);
      const list = await search.tokens(caller, { ...page, subject });
      return {
        details: toListDetails(page, list, clock()),
        result: list.records.map((stored) => ({
          details: toDetails(stored),
          subject: stored.state.subject,
          grants: stored.state.grants.map(toGrant),
          ...(stored.state.expires !== undefined && { expires: toTimestamp(stored.state.expires) }),
        })),
      };
    },
    async revokeToken({ tokenId }, caller) {
      const guard = { check: () => otherOwnerToken(tokenId) };
      const change = { id: tokenId, command: { type: "revoke" } as const, guard };
      return answerChange(execute, accessToken, change, caller, toDetailsAnswer);
    },
  };
}

function credentialOf({ tokenId, session }: Principal): Credential {
  if (session) return Credential.SESSION;
  return tokenId === undefined ? Credential.JWT : Credential.ACCESS_TOKEN;
}

function fromGrant({ role, organizationId }: GrantMessage): Grant {
  return {
    role: RoleSchema.value[role]?.localName as RoleName,
    ...(organizationId !== undefined && { organization: organizationId }),
  };
}

function toGrant({ role, organization }: Grant) {
  return { role: Role[role], ...(organization !== undefined && { organizationId: organization }) };
}
