import { checkOption, checkText } from "../check-options.ts";
import type { Guard, Identity, RefusalReason } from "../guard/guard.ts";

/** Options of all adapters. */
export interface AdapterOptions {
  /** The name of a cookie that may have the token instead of the Authorization header. */
  cookie?: string;
}

/** The answer to a refused call. */
export interface RefusedAnswer {
  status: 401 | 503;
  headers: Record<string, string>;
  body: { reason: string; message: string };
}

/** The seconds after which a call is made again that nobody can decide now. */
const RETRY_AFTER_S = 1;

/** The answer to a call that nobody can decide now. */
export const UNAVAILABLE: RefusedAnswer = {
  status: 503,
  headers: { "retry-after": String(RETRY_AFTER_S) },
  body: { reason: "UNAVAILABLE", message: "The token cannot be checked now." },
};

/** A denied user looks like a bad token, so that callers cannot find out who is locked. */
const ANSWERS: Record<RefusalReason, RefusedAnswer> = {
  TOKEN_MISSING: unauthenticated("TOKEN_MISSING", "The request has no bearer token.", "Bearer"),
  TOKEN_INVALID: unauthenticated("TOKEN_INVALID", "The token is not valid."),
  USER_DENIED: unauthenticated("TOKEN_INVALID", "The token is not valid."),
  TOKEN_EXPIRED: unauthenticated("TOKEN_EXPIRED", "The token has expired."),
  UNAVAILABLE,
};

function unauthenticated(reason: string, message: string, challenge = 'Bearer error="invalid_token"'): RefusedAnswer {
  return { status: 401, headers: { "www-authenticate": challenge }, body: { reason, message } };
}

/** Throws TypeError without a guard. An adapter calls it when it is made, because a request comes too late. */
export function checkArguments(guard: Guard, { cookie }: AdapterOptions): void {
  checkOption("guard", typeof guard?.check === "function", "a guard, such as createGuard returns");
  if (cookie !== undefined) checkText("cookie", cookie);
}

/** Checks the token of a call. Resolves with who it belongs to, or with the answer. */
export async function admit(
  guard: Guard,
  header: (name: "authorization" | "cookie") => string | undefined,
  { cookie }: AdapterOptions,
): Promise<Identity | RefusedAnswer> {
  const verdict = await guard.check(tokenOf(header, cookie));
  return verdict.ok ? verdict.identity : ANSWERS[verdict.reason];
}

/** Whether `admit` has refused the call. */
export function isRefused(admitted: Identity | RefusedAnswer): admitted is RefusedAnswer {
  return "status" in admitted;
}

/** An Authorization header that is no bearer token is an invalid token, and is not replaced by a cookie. */
function tokenOf(
  header: (name: "authorization" | "cookie") => string | undefined,
  cookie?: string,
): string | undefined {
  const authorization = header("authorization");
  if (authorization) return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "?";
  if (cookie === undefined) return undefined;
  for (const pair of header("cookie")?.split(";") ?? []) {
    const at = pair.indexOf("=");
    if (pair.slice(0, at).trim() === cookie)
      return pair
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/, "$1");
  }
  return undefined;
}
