import { cors } from "@connectrpc/connect";
import type { Exchange, Fields } from "./exchange.ts";

/** How long a browser may remember a permission, seconds; more than two hours Chromium does not. */
const MAX_AGE_S = 7_200;

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"].join(", ");
/** The last three are W3C's of traces: https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/. */
const ALLOWED = [
  ...cors.allowedHeaders,
  "Authorization",
  "Idempotency-Key",
  "Last-Event-ID",
  "X-Request-Id",
  "traceparent",
  "tracestate",
  "baggage",
].join(", ");
const EXPOSED = [...cors.exposedHeaders, "WWW-Authenticate", "X-Request-Id"].join(", ");

/** Whether this is a browser that asks before it calls (https://fetch.spec.whatwg.org/#cors-preflight-request). */
export function isPreflight({ verb, headers }: Pick<Exchange, "verb" | "headers">): boolean {
  return verb === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

/**
 * The headers that let pages of the listed origins read an answer; only `Vary` for others, whose browsers then keep it
 * from them. No credentials: callers send a bearer token and no cookie.
 */
export function corsHeaders(request: Pick<Exchange, "verb" | "headers">, origins: readonly string[]): Fields {
  if (origins.length === 0) return {};
  const { origin } = request.headers;
  const headers: Fields = { vary: "origin" };
  if (!origin || !origins.includes(origin)) return headers;
  headers["access-control-allow-origin"] = origin;
  headers["access-control-expose-headers"] = EXPOSED;
  if (isPreflight(request)) {
    headers["access-control-allow-methods"] = METHODS;
    headers["access-control-allow-headers"] = ALLOWED;
    headers["access-control-max-age"] = String(MAX_AGE_S);
  }
  return headers;
}
