import { hash, randomBytes } from "node:crypto";
import type { Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import type { Session } from "../domain/session.ts";
import { accessToken, tokenClaim } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { mayAct, type User } from "../domain/user-state.ts";
import { type EventStore, load, loadByClaimWith, type StreamRecord } from "../store/port.ts";
import type { VerifyJwt } from "./jwt.ts";

/** The principal of a token, and the user that its subject names, if there is one. */
export interface Authenticated {
  principal: Principal;
  user?: StreamRecord<User> | undefined;
}

/**
 * Returns the principal of an Authorization header (RFC 6750, section 2.1). Rejects with TOKEN_MISSING, TOKEN_INVALID,
 * TOKEN_EXPIRED, KEYS_UNAVAILABLE or STORE_UNAVAILABLE.
 */
export type Authenticate = (authorization: string | undefined) => Promise<Authenticated>;

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const SESSION_PREFIX = "userlock_session_";

/** The link from a token to its user, if its subject is one. */
const HOLDER = { rules: user, field: "state.subject" };

/** Returns a new secret of 256 random bits. The prefix lets secret scanners find leaked ones. */
export function newSecret(prefix = "userlock_"): string {
  return prefix + randomBytes(32).toString("base64url");
}

/** Returns a new secret of a session. */
export function newSessionSecret(): string {
  return newSecret(SESSION_PREFIX);
}

/** The stored form of a secret. A plain SHA-256 is enough, because 256 random bits cannot be guessed. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** Finds the open session of a token, with its user. */
type FindOpenSession = (
  tokenHash: string,
) => Promise<{ session: { state: Session }; user: StreamRecord<User> } | undefined>;

/**
 * Looks up userlock's own tokens in the store at every call, with their users. So a revoked token is refused at once on
 * every server. A JWT goes to `verifyJwt`, if there is one. The token of an open session gives a principal without
 * grants, which may do only what users may do with themselves.
 */
export function createAuthenticate(parts: {
  store: EventStore;
  clock: () => number;
  verifyJwt?: VerifyJwt | undefined;
  findSession: FindOpenSession;
}): Authenticate {
  /** Refuses the tokens of a user that is inactive, deleted or locked manually. Other subjects are admitted. */
  function admit(principal: Principal, user: StreamRecord<User> | undefined): Authenticated {
    if (!user || mayAct(user.state, parts.clock())) return { principal, user };
    throw new DomainError("TOKEN_INVALID", "The token's user is locked, inactive or deleted.");
  }

  return async (authorization) => {
    if (!authorization) throw new DomainError("TOKEN_MISSING", "The header 'Authorization: Bearer TOKEN' is missing.");
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) {
      throw new DomainError("TOKEN_INVALID", "The Authorization header must have the form 'Bearer TOKEN'.");
    }
    if (parts.verifyJwt && JWT.test(token)) {
      const principal = await parts.verifyJwt(token);
      return admit(principal, await load(parts.store, user, principal.subject));
    }

    if (token.startsWith(SESSION_PREFIX)) {
      const open = await parts.findSession(hashSecret(token));
      if (!open) throw new DomainError("TOKEN_INVALID", "The session has ended. Log in again.");
      const { id, epoch, device, expires } = open.session.state;
      const session = { id, epoch, ...(device !== undefined && { device }) };
      return { principal: { subject: open.user.id, session, expires, grants: [] }, user: open.user };
    }

    const found = await loadByClaimWith(parts.store, accessToken, tokenClaim(hashSecret(token)), HOLDER);
    if (!found) throw new DomainError("TOKEN_INVALID", "The token is unknown or revoked. Get a new one.");
    const { subject, grants, expires } = found.record.state;
    if (expires !== undefined && parts.clock() >= expires) {
      throw new DomainError("TOKEN_EXPIRED", "The token has expired. Get a new one.");
    }
    const ending = expires !== undefined && { expires };
    return admit({ subject, tokenId: found.record.id, grants, ...ending }, found.other);
  };
}
