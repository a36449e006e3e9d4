import { cors } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";

/** How long a browser may remember a permission, seconds; more than two hours Chromium does not. */
const MAX_AGE_S = 7_200;

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"].join(", ");
const ALLOWED = [...cors.allowedHeaders, "Authorization", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"].join(
  ", ",
);
const EXPOSED = [...cors.exposedHeaders, "WWW-Authenticate", "X-Request-Id"].join(", ");

/** Whether this is a browser that asks before it calls (https://fetch.spec.whatwg.org/#cors-preflight-request). */
export function isPreflight({ method, header }: UniversalServerRequest): boolean {
  return method === "OPTIONS" && header.has("origin") && header.has("access-control-request-method");
}

/**
 * The headers that let pages of the listed origins read an answer; only `Vary` for others, whose browsers then keep it
 * from them. No credentials: callers send a bearer token and no cookie.
 */
export function corsHeaders(request: UniversalServerRequest, origins: readonly string[]): Headers {
  const headers = new Headers();
  if (origins.length === 0) return headers;
  headers.set("vary", "origin");
  const origin = request.header.get("origin");
  if (!origin || !origins.includes(origin)) return headers;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", EXPOSED);
  if (isPreflight(request)) {
    headers.set("access-control-allow-methods", METHODS);
    headers.set("access-control-allow-headers", ALLOWED);
    headers.set("access-control-max-age", String(MAX_AGE_S));
  }
  return headers;
}
