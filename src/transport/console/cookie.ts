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
export interface ConsoleSession {
  token: string;
  /** When it ends, milliseconds since the Unix epoch. */
  ends: number;
  /** The id of its token, if that was made for this session alone. */
  ownToken?: string;
}

/** The longest session of a browser, milliseconds. */
export const MAX_SESSION_MS = 8 * 60 * 60 * 1_000;

const CONTEXT = "console session";
/** The first one needs TLS (RFC 6265bis, section 4.1.3.2). Browsers drop it on plain http. */
const SECURE_NAME = "__Host-userlock";
const PLAIN_NAME = "userlock";
/** The longest name and value that browsers keep together, bytes (RFC 6265bis, section 5.6). */
const MAX_COOKIE_BYTES = 4_096;
/** The content types of Connect's calls. A form cannot send them. */
const RPC_TYPES = /^application\/(connect\+)?(json|proto)$/;

export type SessionCookie = ReturnType<typeof createSessionCookie>;

/** The cookie that holds a browser's session, so that no script can read the token. */
export function createSessionCookie({ seal, unseal }: Sealer) {
  function open(value: string, now: number): ConsoleSession[] {
    try {
      const session = JSON.parse(Buffer.from(unseal(Buffer.from(value, "base64url"), CONTEXT)).toString());
      return now < session.ends ? [session] : [];
    } catch {
      // Sealed with another key, or forged.
      return [];
    }
  }

  /**
   * The session of a request, also of one from another site. A server of a sister domain can set cookies, too: with TLS
   * none that has the name with the prefix. Without, a request with two sessions has none, because one was planted.
   */
  function sessionOf(exchange: Exchange, now: number): ConsoleSession | undefined {
    const cookies = headerOf(exchange.headers, "cookie") ?? "";
    const values = namesOf(exchange).flatMap((name) => cookiesOf(cookies, name));
    const sessions = [...new Set(values)].flatMap((value) => open(value, now));
    return sessions.length === 1 ? sessions[0] : undefined;
  }

  return {
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
    /** The Set-Cookie of a new session. Throws TOO_LARGE, because browsers silently drop a cookie that is too long. */
    set(exchange: Exchange, session: ConsoleSession, now: number): string {
      const value = Buffer.from(seal(Buffer.from(JSON.stringify(session)), CONTEXT)).toString("base64url");
      if (SECURE_NAME.length + value.length > MAX_COOKIE_BYTES) {
        throw refusal("TOO_LARGE", "The token is too long for the cookie of a browser. Use one with fewer claims.");
      }
      return cookie(exchange, value, Math.max(0, Math.ceil((session.ends - now) / 1_000)));
    },
    /** The Set-Cookie that ends the session. */
    clear: (exchange: Exchange): string => cookie(exchange, "", 0),
  };
}

function cookie(exchange: Exchange, value: string, maxAgeS: number): string {
  const isSecure = isPageSecure(exchange);
  const name = isSecure ? SECURE_NAME : PLAIN_NAME;
  return `${name}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
}

/** The names that the session's cookie can have. Browsers send no Origin with GET, so behind a proxy it can be both. */
function namesOf(exchange: Exchange): string[] {
  if (isPageSecure(exchange)) return [SECURE_NAME];
  return exchange.headers.origin === undefined ? [SECURE_NAME, PLAIN_NAME] : [PLAIN_NAME];
}

/** Whether the browser reaches the server by TLS, here or at a proxy. */
function isPageSecure({ scheme, headers }: Exchange): boolean {
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
