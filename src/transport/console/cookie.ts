import { refusal } from "../../rpc/errors.ts";
import { cookiesOf } from "../../rpc/gateways.ts";
import { type Exchange, headerOf } from "../http/exchange.ts";
import { isRpcPath } from "../http/request-path.ts";

/** Encrypts and authenticates for a context. `unseal` throws for anything that `seal` did not make for it. */
export interface Sealer {
  seal(plain: Uint8Array, context: string): Uint8Array;
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

/** What the cookie of a console's session keeps. */
export interface ConsoleSession extends Ending {
  token: string;
  /** The id of its token, if that was made for this session alone. */
  ownToken?: string;
  /** Whether its token came from the issuer of OpenID Connect, where the browser has a session, too. */
  isOfIssuer?: true;
}

interface Ending {
  /** When it ends, milliseconds since the Unix epoch. */
  ends: number;
}

/** The longest session of a browser, milliseconds. */
export const MAX_SESSION_MS = 8 * 60 * 60 * 1_000;

/** Names with it need TLS (RFC 6265bis, section 4.1.3.2): browsers drop them on plain http. No sister domain can set them. */
const SECURE_PREFIX = "__Host-";
/** The longest name and value that browsers keep together, bytes (RFC 6265bis, section 5.6). */
const MAX_COOKIE_BYTES = 4_096;
/** The content types of Connect's calls. A form cannot send them. */
const RPC_TYPES = /^application\/(connect\+)?(json|proto)$/;

/** A cookie whose value only this server can read and make. `isSecure`: the browser reaches the server by TLS. */
export function createSealedCookie<Value extends Ending>(
  { seal, unseal }: Sealer,
  { name, context, sameSite }: { name: string; context: string; sameSite: "Strict" | "Lax" },
) {
  const nameFor = (isSecure: boolean) => (isSecure ? SECURE_PREFIX + name : name);
  const field = (isSecure: boolean, value: string, maxAgeS: number) =>
    `${nameFor(isSecure)}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=${sameSite}${isSecure ? "; Secure" : ""}`;

  function open(value: string, now: number): Value[] {
    try {
      const found: Value = JSON.parse(Buffer.from(unseal(Buffer.from(value, "base64url"), context)).toString());
      return now < found.ends ? [found] : [];
    } catch {
      // Sealed with another key, or forged.
      return [];
    }
  }

  return {
    /**
     * The value in the request's cookie. A sister domain can set the cookie without the prefix, too, so of two good
     * ones none counts: one was planted.
     */
    valueIn({ headers }: Pick<Exchange, "headers">, isSecure: boolean, now: number): Value | undefined {
      const given = new Set(cookiesOf(headerOf(headers, "cookie") ?? "", nameFor(isSecure)));
      const values = [...given].flatMap((value) => open(value, now));
      return values.length === 1 ? values[0] : undefined;
    },
    /** The Set-Cookie of a value. Throws TOO_LARGE, because browsers silently drop a cookie that is too long. */
    set(isSecure: boolean, value: Value, now: number): string {
      const sealed = Buffer.from(seal(Buffer.from(JSON.stringify(value)), context)).toString("base64url");
      if (nameFor(isSecure).length + sealed.length > MAX_COOKIE_BYTES) {
        throw refusal("TOO_LARGE", "The token is too long for the cookie of a browser. Use one with fewer claims.");
      }
      return field(isSecure, sealed, Math.max(0, Math.ceil((value.ends - now) / 1_000)));
    },
    /** The Set-Cookie that removes it. */
    clear: (isSecure: boolean): string => field(isSecure, "", 0),
  };
}

export type SessionCookie = ReturnType<typeof createSessionCookie>;

/** The cookie that holds a browser's session, so that no script can read the token. */
export function createSessionCookie(sealer: Sealer) {
  const cookie = createSealedCookie<ConsoleSession>(sealer, {
    name: "userlock",
    context: "console session",
    sameSite: "Strict",
  });

  /** The session of a request, also of one from another site. */
  function sessionOf(exchange: Exchange, now: number): ConsoleSession | undefined {
    const isSecure = isPageSecure(exchange);
    const found = cookie.valueIn(exchange, isSecure, now);
    // Browsers send no Origin with GET, so behind a proxy with TLS it can be either.
    if (found || isSecure || exchange.headers.origin !== undefined) return found;
    return cookie.valueIn(exchange, true, now);
  }

  return {
    ...cookie,
    sessionOf,
    /**
     * The Authorization of a call that carries the cookie: only for a Connect call by a page of this origin, without an
     * Authorization of its own. So no other site can make a browser call.
     */
    authorizationOf(exchange: Exchange, now: number): string | undefined {
      const { headers, verb, target } = exchange;
      if (headers.cookie === undefined || headers.authorization !== undefined) return undefined;
      const type = headers["content-type"]?.split(";")[0]?.trim().toLowerCase() ?? "";
      const isCall = verb === "POST" && isRpcPath(target) && RPC_TYPES.test(type);
      if (!isCall || headers["connect-protocol-version"] !== "1" || !isOfOwnOrigin(exchange)) return undefined;
      const session = sessionOf(exchange, now);
      return session && `Bearer ${session.token}`;
    },
  };
}

/** Whether the browser reaches the server by TLS, here or at a proxy. GET has no Origin: it shows only TLS here. */
export function isPageSecure({ scheme, headers }: Pick<Exchange, "scheme" | "headers">): boolean {
  return scheme === "https" || (headers.origin?.startsWith("https:") ?? false);
}

/**
 * Whether a page of this server made the request (https://www.w3.org/TR/fetch-metadata/). Browsers without Sec-Fetch-Site
 * send Origin with every POST and DELETE.
 */
export function isOfOwnOrigin({ headers, authority, scheme }: Pick<Exchange, "headers" | "authority" | "scheme">) {
  const site = headerOf(headers, "sec-fetch-site");
  if (site !== undefined) return site === "same-origin";
  const { origin } = headers;
  // Behind a proxy with TLS, the page's scheme is https.
  return origin !== undefined && (origin === `${scheme}://${authority}` || origin === `https://${authority}`);
}
