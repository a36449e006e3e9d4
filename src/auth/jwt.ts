import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { type Grant, isGrantable, isRole, type Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";

/** How JWTs are verified (RFC 7519, RFC 8725). */
export interface JwtSettings {
  issuer: string;
  audience: string;
  /** Address (http, https) or file of the issuer's JSON Web Key Set (RFC 7517). */
  jwks: string;
  /** Claim with an array of `ROLE` or `ROLE@organization`. Roles that userlock does not know are passed over. */
  rolesClaim: string;
}

/** The principal of a JWT. Rejects with TOKEN_EXPIRED, TOKEN_INVALID, or KEYS_UNAVAILABLE. */
export type VerifyJwt = (token: string) => Promise<Principal>;

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
/** What an organization's id may be: an identifier of proto/userlock/v3alpha/options.proto. */
const ORGANIZATION = /^[A-Za-z0-9._~@:-]{1,200}$/;
/** How many verified tokens are remembered. */
const MAX_CACHED = 10_000;
/** How far the clocks of issuer and server may be apart, seconds. */
const CLOCK_TOLERANCE_S = 5;

/**
 * Prepares verification: a key set from a file is read now, one from an address when it is first needed, then cached,
 * fetched by one request at a time and not again within 30 s. Rejects if the file cannot be read.
 */
export async function createJwtVerifier(settings: JwtSettings, clock: () => number): Promise<VerifyJwt> {
  const keys: JWTVerifyGetKey = /^https?:/.test(settings.jwks)
    ? createRemoteJWKSet(new URL(settings.jwks), { timeoutDuration: 5_000, cooldownDuration: 30_000 })
    : createLocalJWKSet(JSON.parse(await readFile(settings.jwks, "utf8")));
  const verified = new Map<string, { principal: Principal; expires: number }>();

  return async (token) => {
    const hash = createHash("sha256").update(token).digest("base64url");
    const now = clock() / 1_000_000;
    const known = verified.get(hash);
    if (known && now < known.expires) return known.principal;

    const payload = await verify(token, keys, {
      issuer: settings.issuer,
      audience: settings.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ["sub", "exp"],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(now * 1000),
    });
    const subject = String(payload.sub);
    // OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
    if (!/^[ -~]{1,255}$/.test(subject))
      throw new DomainError("TOKEN_INVALID", "The token's subject is not valid here.");
    const principal = { subject, grants: toGrants(payload[settings.rolesClaim]) };
    if (verified.size >= MAX_CACHED) verified.delete(verified.keys().next().value as string);
    verified.set(hash, { principal, expires: Number(payload.exp) + CLOCK_TOLERANCE_S });
    return principal;
  };
}

async function verify(token: string, keys: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    const code = error instanceof errors.JOSEError ? error.code : undefined;
    switch (code) {
      case errors.JWTExpired.code:
        throw new DomainError("TOKEN_EXPIRED", "The token has expired: get a new one.", { cause: error });
      case undefined:
      case errors.JWKSTimeout.code:
      case errors.JOSEError.code:
        throw new DomainError("KEYS_UNAVAILABLE", "The keys of the token's issuer cannot be fetched: try again.", {
          cause: error,
        });
      default:
        throw new DomainError("TOKEN_INVALID", "The token is not valid here.", { cause: error });
    }
  }
}

function toGrants(claim: unknown): Grant[] {
  if (!Array.isArray(claim)) return [];
  return claim.flatMap((entry): Grant[] => {
    const [role, ...rest] = String(entry).split("@");
    if (role === undefined || !isRole(role)) return [];
    const organization = rest.join("@");
    if (rest.length > 0 && !ORGANIZATION.test(organization)) return [];
    const grant: Grant = rest.length === 0 ? { role } : { role, organization };
    return isGrantable(grant) ? [grant] : [];
  });
}
