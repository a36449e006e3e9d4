import { cors } from "@connectrpc/connect";
import type { Exchange, Fields } from "./exchange.ts";

/** How long a browser may cache a permission, seconds. Chromium's maximum is two hours. */
const MAX_AGE_S = 7_200;

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"].join(", ");
/** The last three carry traces: https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/. */
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

/** Whether this is a CORS preflight (https://fetch.spec.whatwg.org/#cors-preflight-request). */
export function isPreflight({ verb, headers }: Pick<Exchange, "verb" | "headers">): boolean {
  return verb === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

/**
 * The headers that let pages of the listed origins read an answer. Other origins get only `Vary`. Credentials are not
 * allowed, because callers send a bearer token and no cookie.
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
