import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { AuthorizeResponse } from "../../gen/userlock/v3alpha/authz_service_pb.ts";
import { DomainError } from "../domain/errors.ts";
import { ERROR_DOMAIN, type RpcError, refusal, rpcErrorOf } from "./errors.ts";

/** A token as RFC 6750, section 2.1, writes it. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
/** One text for all of them, so that a bad token looks like that of a locked user. */
const REFUSED = "The token is invalid, or its bearer may not act now. Log in again.";

/**
 * The token of a request: of the Authorization header, else of the cookie with this name. Undefined without one. Throws
 * TOKEN_INVALID for a text that is no token.
 */
export function tokenOf(
  { authorization = "", cookies = "" }: { authorization?: string | undefined; cookies?: string | undefined },
  cookie: string | undefined,
): string | undefined {
  const scheme = /^Bearer +/i.exec(authorization)?.[0];
  const bearer = scheme && authorization.slice(scheme.length).trim();
  const token = bearer ?? (cookie === undefined ? undefined : cookiesOf(cookies, cookie)[0]);
  if (token === undefined || token === "") return undefined;
  if (!TOKEN.test(token)) throw refusal("TOKEN_INVALID", REFUSED);
  return token;
}

/** The values of the cookies with this name, in the browser's order, without quotes (RFC 6265, section 4.2). */
export function cookiesOf(header: string, name: string): string[] {
  return header.split(";").flatMap((pair) => {
    const at = pair.indexOf("=");
    if (at < 0 || pair.slice(0, at).trim() !== name) return [];
    const value = pair.slice(at + 1).trim();
    return [value.replace(/^"(.*)"$/, "$1")];
  });
}

/** The headers for the app behind the gateway, all of them, empty if unknown. */
export function identityHeaders({ userId, username, email, sessionId, expires }: AuthorizeResponse) {
  return {
    "x-auth-request-user": headerValue(userId),
    "x-auth-request-preferred-username": headerValue(username),
    "x-auth-request-email": headerValue(email),
    "x-userlock-session": sessionId,
    "x-userlock-expires": expires ? timestampDate(expires).toISOString() : "",
    "remote-user": headerValue(userId),
  };
}

/**
 * A text as a header value: all but printable ASCII, and the characters that separate values, as escapes of UTF-8
 * (RFC 3986, section 2.1). `decodeURIComponent` gives the text back.
 */
export function headerValue(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^!-~]|[%,;"\\]/gu, (one) =>
      Array.from(Buffer.from(one), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
    );
}

/** The same error for a bad token, an ended session, and a user that may not act. Other errors stay as they are. */
export function alike(error: RpcError): RpcError {
  const isToken = error.cause instanceof DomainError && error.cause.kind === "unauthenticated";
  return isToken && error.reason !== "TOKEN_MISSING" ? rpcErrorOf(refusal("TOKEN_INVALID", REFUSED)) : error;
}

/** The challenge of a refused request (RFC 6750, section 3). */
export function challengeFor({ reason }: RpcError): string {
  return `Bearer realm="${ERROR_DOMAIN}"${reason === "TOKEN_MISSING" ? "" : ', error="invalid_token"'}`;
}
