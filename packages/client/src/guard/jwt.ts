import { decodeProtectedHeader, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { checkOption, checkText } from "../check-options.ts";
import { fetchedKeySet, fixedKeySet } from "./key-set.ts";
import type { ServerClock } from "./server-clock.ts";
import type { Identity } from "./verdict.ts";

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

/**
 * Creates a verifier with the rules of userlock's own. It opens no connection until the first token. Throws TypeError
 * for invalid options: without an issuer or an audience, any JWT of the keys would be accepted.
 */
export function createJwtVerifier(
  { issuer, audience, jwks }: JwtOptions,
  { clock, signal }: { clock: ServerClock; signal: AbortSignal },
): JwtVerifier {
  checkText("jwt.issuer", issuer);
  checkText("jwt.audience", audience);
  checkOption("jwt.jwks", isAddress(jwks) || isKeySet(jwks), "an http:// or https:// address, or an object with keys");
  const keySet = isAddress(jwks) ? fetchedKeySet(String(jwks), signal) : fixedKeySet(jwks);
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

function isAddress(jwks: unknown): jwks is string | URL {
  return (
    (typeof jwks === "string" || jwks instanceof URL) &&
    URL.canParse(String(jwks)) &&
    /^https?:$/.test(new URL(jwks).protocol)
  );
}

function isKeySet(jwks: unknown): jwks is JSONWebKeySet {
  const { keys } = (jwks ?? {}) as { keys?: unknown };
  return Array.isArray(keys) && keys.every((key) => typeof key === "object" && key !== null);
}

/** The identity of a JWT. It is kept and given to many callers, so none of them can change it. */
export function identityOfJwt({ subject, claims, expires }: VerifiedJwt): Identity {
  const { sid } = claims;
  return Object.freeze({
    subject,
    ...(typeof sid === "string" && { sessionId: sid }),
    // A Date cannot be frozen.
    get expires() {
      return new Date(expires);
    },
    claims: frozen(claims),
  });
}

/** Freezes the value and all in it, without recursion: a token may be nested deeply. */
function frozen<Value extends object>(value: Value): Value {
  const all: object[] = [value];
  for (const each of all) {
    Object.freeze(each);
    for (const inner of Object.values(each)) if (typeof inner === "object" && inner !== null) all.push(inner);
  }
  return value;
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
