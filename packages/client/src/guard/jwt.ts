import { decodeProtectedHeader, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { fetchedKeySet, fixedKeySet } from "./key-set.ts";
import type { ServerClock } from "./server-clock.ts";

/** Whose JWTs are accepted (RFC 7519, RFC 8725). */
export interface JwtOptions {
  issuer: string;
  audience: string;
  /** The address of the issuer's key set (RFC 7517), or the set itself. */
  jwks: string | URL | JSONWebKeySet;
}

/** A JWT with a good signature. */
export interface VerifiedJwt {
  subject: string;
  claims: JWTPayload;
  /** When it is refused, milliseconds since the Unix epoch. */
  expires: number;
  /** The edition of the keys that verified it. Undefined if the keys changed meanwhile. */
  edition: object | undefined;
}

/** Why a token is not accepted. */
export type JwtRefusal = "TOKEN_INVALID" | "TOKEN_EXPIRED";

/** Verifies JWTs. */
export interface JwtVerifier {
  /** Rejects if the issuer's keys cannot be fetched. */
  verify(token: string): Promise<VerifiedJwt | JwtRefusal>;
  /** A value that changes with the issuer's keys. Undefined while none are good. */
  edition(): object | undefined;
}

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
/** Logout tokens and others have other types (RFC 8725, section 3.11; RFC 9068, section 2.1). */
const TYPES = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];
/** The allowed difference between the clocks of issuer and server, seconds. */
const TOLERANCE_S = 5;
/** At most 255 printable ASCII characters (OpenID Connect Core 1.0, section 2). */
const SUBJECT = /^[ -~]{1,255}$/;

/** Whether the text has the form of a JWT. */
export function isJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

/** Creates a verifier with the rules of userlock's own. It opens no connection until the first token. */
export function createJwtVerifier(
  { issuer, audience, jwks }: JwtOptions,
  { clock, signal }: { clock: ServerClock; signal: AbortSignal },
): JwtVerifier {
  const isAddress = typeof jwks === "string" || jwks instanceof URL;
  const keySet = isAddress ? fetchedKeySet(String(jwks), signal) : fixedKeySet(jwks);
  return {
    edition: keySet.edition,
    async verify(token) {
      const header = headerOf(token);
      if (!header) return "TOKEN_INVALID";
      const before = keySet.edition();
      const keys = await keySet.keysFor(header);
      const after = keySet.edition();
      for (const key of keys) {
        try {
          const { payload } = await jwtVerify(token, key, {
            issuer,
            audience,
            algorithms: ALGORITHMS,
            requiredClaims: ["sub", "exp"],
            clockTolerance: TOLERANCE_S,
            currentDate: new Date(clock.now()),
          });
          const { sub, exp } = payload;
          if (typeof sub !== "string" || !SUBJECT.test(sub) || isReserved(sub)) return "TOKEN_INVALID";
          const expires = (Number(exp) + TOLERANCE_S) * 1_000;
          return {
            subject: sub,
            claims: payload,
            expires,
            edition: before === undefined || before === after ? after : undefined,
          };
        } catch (error) {
          if (error instanceof errors.JWTExpired) return "TOKEN_EXPIRED";
          // The key is another one, or unfit for the algorithm. All other errors concern the token.
          const isAboutKey =
            error instanceof errors.JWSSignatureVerificationFailed || !(error instanceof errors.JOSEError);
          if (!isAboutKey) return "TOKEN_INVALID";
        }
      }
      return "TOKEN_INVALID";
    },
  };
}

/** The header, if its algorithm and type are allowed. */
function headerOf(token: string) {
  try {
    const { alg, typ, ...others } = decodeProtectedHeader(token);
    if (typeof alg !== "string" || !ALGORITHMS.includes(alg)) return undefined;
    if (typ !== undefined && !(typeof typ === "string" && TYPES.includes(typ.toLowerCase()))) return undefined;
    return { ...others, alg };
  } catch {
    return undefined;
  }
}

/** Subjects of userlock itself and of its operators. No issuer may use them. */
function isReserved(subject: string): boolean {
  const plain = subject.trim().toLowerCase();
  return plain === "userlock" || plain.startsWith("admin@");
}
