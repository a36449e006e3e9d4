import { type Grant, isGrantable, type Owner, ROLES } from "./access.ts";
import type { Aggregate, Occasion } from "./aggregate.ts";
import { DomainError, invalidField } from "./errors.ts";
import { isSystemSubject } from "./identifier.ts";

/** A bearer token. Only the SHA-256 of its secret is stored. */
export interface AccessToken {
  id: string;
  owner: Owner;
  subject: string;
  grants: Grant[];
  /** SHA-256 of the secret, base64url. */
  hash: string;
  /** When it expires, microseconds since the Unix epoch. Absent if it does not expire. */
  expires?: number;
  revoked: boolean;
}

export type TokenCommand = { type: "create"; token: Omit<AccessToken, "revoked"> } | { type: "revoke" };

export type TokenEvent =
  | { type: "token.created"; data: Omit<AccessToken, "revoked"> }
  | { type: "token.revoked"; data: object };

export const accessToken: Aggregate<AccessToken, TokenCommand, TokenEvent> = {
  kind: "token",
  notFound: "TOKEN_NOT_FOUND",
  toSee: "access.write",
  decide,
  evolve,
  owner: (state) => state.owner,
  claims: (state) => (state.revoked ? [] : [tokenClaim(state.hash)]),
  isGone: (state) => state.revoked,
};

/** The claim by which a token is found. */
export function tokenClaim(hash: string): string {
  return `token:${hash}`;
}

function decide(state: AccessToken | undefined, command: TokenCommand, { time }: Occasion): TokenEvent[] {
  if (command.type === "create") {
    if (state !== undefined) throw new DomainError("TOKEN_ALREADY_EXISTS", "The id was used before.");
    const { subject, grants, expires } = command.token;
    if (isSystemSubject(subject)) throw invalidField("subject", "is reserved for userlock; choose another one");
    for (const [index, grant] of grants.entries()) {
      if (!isGrantable(grant)) {
        const place = ROLES[grant.role].scope === "instance" ? "the instance only" : "an organization only";
        throw invalidField(`grants[${index}]`, `${grant.role} can be granted on ${place}`);
      }
    }
    if (expires !== undefined && expires <= time) throw invalidField("expires", "must be in the future");
    return [{ type: "token.created", data: command.token }];
  }
  if (state === undefined || state.revoked) throw new DomainError("TOKEN_NOT_FOUND", "The token does not exist.");
  return [{ type: "token.revoked", data: {} }];
}

function evolve(state: AccessToken | undefined, event: TokenEvent): AccessToken {
  if (event.type === "token.created") return { ...event.data, revoked: false };
  return { ...(state as AccessToken), revoked: true };
}
