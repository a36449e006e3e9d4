import type { Exchange } from "./exchange.ts";

/** The target of a request, normalized by the URL standard: without dot segments. */
export interface RequestPath {
  path: string;
  /** Without the question mark. */
  query: string;
  /** The whole URL, with the client's authority. */
  href: string;
}

/** A path that the URL standard does not change: no escapes, no empty segments, no "." or "..". */
const PLAIN_PATH = /^(?:\/(?!\.\.?(?:\/|$))[\w.~@:-]+)+$/;

/** The URL standard treats "\" in a path as "/". A proxy that guards paths may not. */
const AMBIGUOUS_PATH = /^[^?]*\\/;

/** Origin-form, absolute-form or asterisk-form. Other targets, such as "foo:toString", have no path. */
const TARGET = /^(?:\/|https?:\/\/|\*$)/i;

/** The path of a method: its service, whose full name has a dot, and its own name. No path of REST has this form. */
const RPC_PATH = /^\/[\w.]+\.\w+\/\w+(?:\?|$)/;

/** Whether a path or a target, with or without a query, can be that of a method, served or not. */
export function isRpcPath(target: string): boolean {
  return RPC_PATH.test(target);
}

/** Characters that would extend the Host into the URL's path. Node joins two Host lines by a comma and a space. */
const NOT_IN_AUTHORITY = /[/\\?#@,\s]/;

/** Characters that a URL has only in escapes (RFC 3986, section 2). Node would read UTF-8 bytes as other characters. */
const NOT_IN_URL = /[^!-~]/;

/**
 * Returns a function that parses the path of a request (RFC 9112, section 3.2). It returns undefined for an invalid
 * target or Host, so that one bad request cannot throw.
 */
export function createPathOf(): (
  request: Pick<Exchange, "target" | "authority" | "scheme">,
) => RequestPath | undefined {
  /** The last valid authority. Nearly all requests have the same. */
  let good: string | undefined;

  return ({ target, authority, scheme }) => {
    if (authority === undefined) return undefined;
    const base = `${scheme}://${authority}`;
    if (authority !== good) {
      if (NOT_IN_AUTHORITY.test(authority) || !URL.canParse(base)) return undefined;
      good = authority;
    }
    if (PLAIN_PATH.test(target)) return { path: target, query: "", href: base + target };
    if (!TARGET.test(target) || AMBIGUOUS_PATH.test(target) || NOT_IN_URL.test(target)) return undefined;
    // Origin-form is always a path. Against a base, "//x/y" would be the path "/y" of the host "x".
    const url = target.startsWith("/") ? URL.parse(base + target) : URL.parse(target, base);
    return url ? { path: url.pathname, query: url.search.slice(1), href: url.href } : undefined;
  };
}
