import type { Exchange } from "./exchange.ts";

/** What a request asks for, as the URL standard writes it: without segments that go away. */
export interface RequestPath {
  path: string;
  /** Without the question mark. */
  query: string;
  /** The whole URL, with the authority by which the client knows the server. */
  href: string;
}

/** A path in which the URL standard changes nothing: no escapes, no empty segment, none that is "." or "..". */
const PLAIN_PATH = /^(?:\/(?!\.\.?(?:\/|$))[\w.~@:-]+)+$/;

/** The URL standard takes "\" in a path for "/"; a proxy that guards paths may not. */
const AMBIGUOUS_PATH = /^[^?]*\\/;

/** Origin-form, absolute-form or asterisk-form. Others, such as "foo:toString", name no path. */
const TARGET = /^(?:\/|https?:\/\/|\*$)/i;

/**
 * Characters that would make the Host a part of the path of a URL. Node joins two Host lines by a comma and a space.
 */
const NOT_IN_AUTHORITY = /[/\\?#@,\s]/;

/** What a URL has only in escapes (RFC 3986, section 2). Node would hand on the bytes of UTF-8 as other characters. */
const NOT_IN_URL = /[^!-~]/;

/**
 * Reads the path that a request names (RFC 9112, section 3.2); undefined if it names none: a Host that makes no URL is
 * a caller's mistake and nobody else's trouble.
 */
export function createPathOf(): (
  request: Pick<Exchange, "target" | "authority" | "scheme">,
) => RequestPath | undefined {
  /** The last authority that was found to be one: nearly all requests have the same. */
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
    // Origin-form is a path whatever it begins with: against a base, "//x/y" would be the path "/y" of the host "x".
    const url = target.startsWith("/") ? URL.parse(base + target) : URL.parse(target, base);
    return url ? { path: url.pathname, query: url.search.slice(1), href: url.href } : undefined;
  };
}
