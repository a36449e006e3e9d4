import { hash } from "node:crypto";
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import { type Grant, isGrantable, isRole, type Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import { isIdentifier, isSystemSubject } from "../domain/identifier.ts";
import { createKeySet, type ObserveFetch } from "./key-set.ts";

/** Settings for the verification of JWTs (RFC 7519, RFC 8725). */
interface JwtSettings {
  issuer: string;
  audience: string;
  /** The URL (http, https) or file of the issuer's JSON Web Key Set (RFC 7517). */
  jwks: string;
  /** The claim with an array of `ROLE` or `ROLE@organization`. Unknown roles are ignored. */
  rolesClaim: string;
}

/** Returns the principal of a JWT. Rejects with TOKEN_EXPIRED, TOKEN_INVALID or KEYS_UNAVAILABLE. */
export type VerifyJwt = (token: string) => Promise<Principal>;

interface Verified {
  principal: Principal;
  /** Seconds since the Unix epoch. */
  expires: number;
  /** The edition of the key set that had its key. */
  edition: string | undefined;
}

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
/** The allowed types (RFC 8725, section 3.11; RFC 9068, section 2.1), which exclude logout tokens. */
const TYPE = /^(application\/)?(jwt|at\+jwt)$/i;
/** The number of verified tokens in the cache of a server. */
export const CACHED_JWTS = 10_000;
/** The allowed difference between the clocks of issuer and server, seconds. */
const CLOCK_TOLERANCE_S = 5;

/**
 * Creates a verifier that caches verified tokens until they expire or the issuer's keys change, least recently used
 * first. Refusals are not cached. `onError` is called when the keys cannot be fetched, at most once a minute. Rejects
 * if a key set in a file cannot be read.
 */
export async function createJwtVerifier(
  settings: JwtSettings,
  clock: () => number,
  onError: (error: unknown) => void,
  { maxCached = CACHED_JWTS, onFetch }: { maxCached?: number; onFetch?: ObserveFetch } = {},
): Promise<VerifyJwt> {
  const keySet = await createKeySet(settings.jwks, clock, onError, onFetch);
  /** By the token's hash, least recently used first. */
  const verified = new Map<string, Verified>();
  const verifying = new Map<string, Promise<Verified>>();

  async function verifyAnew(token: string): Promise<Verified> {
    const header = headerOf(token);
    const before = keySet.edition();
    const keys = await keySet.find(header);
    const after = keySet.edition();
    // If the key set changed meanwhile, the edition of the key is unknown, so the token is not cached.
    const edition = before === undefined || before === after ? after : undefined;
    const payload = await verify(token, keys, {
      issuer: settings.issuer,
      audience: settings.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ["sub", "exp"],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(clock() / 1_000),
    });
    const subject: unknown = payload.sub;
    // OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
    if (typeof subject !== "string" || !/^[ -~]{1,255}$/.test(subject) || isSystemSubject(subject)) {
      throw new DomainError("TOKEN_INVALID", "The token's subject is invalid or reserved.");
    }
    const expires = Number(payload.exp);
    const grants = toGrants(payload[settings.rolesClaim]);
    const principal = { subject, grants, expires: Math.floor(expires * 1_000_000) };
    return { principal, expires: expires + CLOCK_TOLERANCE_S, edition };
  }

  return async (token) => {
    await keySet.refresh();
    const key = hash("sha256", token, "base64url");
    const known = verified.get(key);
    const edition = keySet.edition();
    verified.delete(key);
    if (known && clock() / 1_000_000 < known.expires && edition !== undefined && known.edition === edition) {
      verified.set(key, known);
      return known.principal;
    }
    // Calls with the same token share one verification.
    const running = verifying.get(key) ?? verifyAnew(token);
    verifying.set(key, running);
    try {
      const anew = await running;
      verified.set(key, anew);
      if (verified.size > maxCached) verified.delete(verified.keys().next().value as string);
      return anew.principal;
    } finally {
      verifying.delete(key);
    }
  };
}

/** Decodes the header. Throws TOKEN_INVALID if the algorithm or type is not supported. */
function headerOf(token: string): ProtectedHeaderParameters {
  let header: ProtectedHeaderParameters;
  try {
    header = decodeProtectedHeader(token);
  } catch (cause) {
    throw invalid(cause);
  }
  const { alg, typ }: { alg?: unknown; typ?: unknown } = header;
  const isTaken = ALGORITHMS.some((name) => name === alg);
  if (!isTaken || (typ !== undefined && !(typeof typ === "string" && TYPE.test(typ)))) throw invalid(undefined);
  return header;
}

/** The token's claims, if one of the keys has signed it. */
async function verify(token: string, keys: CryptoKey[], options: JWTVerifyOptions): Promise<JWTPayload> {
  let cause: unknown;
  for (const key of keys) {
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw new DomainError("TOKEN_EXPIRED", "The token has expired. Get a new one.", { cause: error });
      }
      // The key is another one or too weak. All other errors do not depend on the key.
      const isAboutKey = error instanceof errors.JWSSignatureVerificationFailed || !(error instanceof errors.JOSEError);
      if (!isAboutKey) throw invalid(error);
      cause = error;
    }
  }
  throw invalid(cause);
}

function invalid(cause: unknown): DomainError {
  return new DomainError("TOKEN_INVALID", "The token is invalid.", { cause });
}

function toGrants(claim: unknown): Grant[] {
  if (!Array.isArray(claim)) return [];
  return claim.flatMap((entry): Grant[] => {
    if (typeof entry !== "string") return [];
    const [role, ...rest] = entry.split("@");
    if (role === undefined || !isRole(role)) return [];
    const organization = rest.join("@");
    if (rest.length > 0 && !isIdentifier(organization)) return [];
    const grant: Grant = rest.length === 0 ? { role } : { role, organization };
    return isGrantable(grant) ? [grant] : [];
  });
}
