import { cookieOf } from "../../rpc/gateways.ts";
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
}

/** The longest session of a browser, milliseconds. */
export const MAX_SESSION_MS = 8 * 60 * 60 * 1_000;

const CONTEXT = "console session";
/** The first one needs TLS (RFC 6265bis, section 4.1.3.2). Browsers drop it on plain http. */
const SECURE_NAME = "__Host-userlock";
const PLAIN_NAME = "userlock";
/** The content types of Connect's calls. A form cannot send them. */
const RPC_TYPES = /^application\/(connect\+)?(json|proto)$/;

/** The cookie that holds a browser's session, so that no script can read the token. */
export function createSessionCookie({ seal, unseal }: Sealer) {
  /** The session of a request, also of one from another site. */
  function sessionOf({ headers }: Pick<Exchange, "headers">, now: number): ConsoleSession | undefined {
    const cookies = headerOf(headers, "cookie") ?? "";
    const value = cookieOf(cookies, SECURE_NAME) ?? cookieOf(cookies, PLAIN_NAME);
    if (value === undefined) return undefined;
    try {
      const session = JSON.parse(Buffer.from(unseal(Buffer.from(value, "base64url"), CONTEXT)).toString());
      return now < session.ends ? session : undefined;
    } catch {
      // Sealed with another key, or forged.
      return undefined;
    }
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
    /** The Set-Cookie of a new session. */
    set(exchange: Exchange, session: ConsoleSession, now: number): string {
      const value = Buffer.from(seal(Buffer.from(JSON.stringify(session)), CONTEXT)).toString("base64url");
      return cookie(exchange, value, Math.max(0, Math.floor((session.ends - now) / 1_000)));
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
