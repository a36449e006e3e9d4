import type { Exchange } from "./exchange.ts";

/** Where a request goes. */
export interface Place {
  path: string;
  /** Without the question mark. */
  query: string;
}

/** A path in which the URL standard changes nothing: no escapes, no empty segment, none that is "." or "..". */
const PLAIN_PATH = /^(?:\/(?!\.\.?(?:\/|$))[\w.~@:-]+)+$/;

/**
 * Finds the place that a request names; undefined if it names none: a Host that makes no URL is a caller's mistake and
 * nobody else's trouble.
 */
export function createPlaceOf(): (request: Pick<Exchange, "target" | "authority" | "scheme">) => Place | undefined {
  /** The last authority that was found to be one: nearly all requests have the same. */
  let good: string | undefined;
  return ({ target, authority, scheme }) => {
    if (authority === undefined) return undefined;
    const base = `${scheme}://${authority}`;
    if (PLAIN_PATH.test(target) && (authority === good || URL.canParse(base))) {
      good = authority;
      return { path: target, query: "" };
    }
    const url = URL.parse(target, base);
    return url ? { path: url.pathname, query: url.search.slice(1) } : undefined;
  };
}
