import { existsSync, readFileSync } from "node:fs";
import type { HashSettings } from "../auth/password.ts";
import type { StoreSettings } from "../store/settings.ts";

/** What stands for a value that is not shown. */
export const HIDDEN = "(hidden)";

/** Returns the value. Throws an Error with the rule if it is undefined. */
export function must<Value>(rule: string, value: Value | undefined): Value {
  if (value === undefined) throw new Error(`must be ${rule}`);
  return value;
}

export function parseListen(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match && port <= 65_535 ? { host: (match[1] ?? match[2]) as string, port } : undefined;
}

export function storeOf(text: string): StoreSettings | undefined {
  if (/^sqlite:./.test(text)) return { kind: "sqlite", file: text.slice("sqlite:".length) };
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(text)) return undefined;
  // A password with an unescaped / or # would end up in the path or the fragment.
  const { pathname, hash } = new URL(text);
  return /^\/[^/@]+$/.test(pathname) && hash === "" ? { kind: "postgres", url: text } : undefined;
}

/** The parameters of a store's address that are no secret. */
const HARMLESS = ["application_name", "connect_timeout", "host", "port", "sslmode", "target_session_attrs", "user"];

/** The address of a store with `***` for all that may be a secret. */
export function shownStore(store: string): string {
  if (store.startsWith("sqlite:")) return store;
  if (!storeOf(store)) return HIDDEN;
  const { protocol, username, password, host, pathname, searchParams } = new URL(store);
  const user = /^[\w.-]*$/.test(username) ? username : "***";
  const parameters = [...searchParams].map(([name, value]) =>
    HARMLESS.includes(name) && /^[\w./:-]*$/.test(value)
      ? `${name}=${value}`
      : /^\w+$/.test(name)
        ? `${name}=***`
        : "***",
  );
  const login = user || password ? `${user}${password && ":***"}@` : "";
  return `${protocol}//${login}${host}${pathname}${parameters.length > 0 ? `?${parameters.join("&")}` : ""}`;
}

/** A file name, or a URL without its user, query and fragment. Anything else may be a secret in the wrong place. */
export function shownPlace(text: string): string {
  if (/^https?:/i.test(text)) {
    if (!URL.canParse(text)) return HIDDEN;
    const { origin, pathname, search } = new URL(text);
    return `${origin}${pathname}${search && "?***"}`;
  }
  return isFileName(text) ? text : HIDDEN;
}

/** Whether the text is a path, and not a secret that stands where a path belongs. */
function isFileName(text: string): boolean {
  return /^(\.{0,2}\/)?[\w. @+,~-]+(\/[\w. @+,~-]+)*$/.test(text) && text.length <= 200 && /[./]/.test(text);
}

/** The URL of a collector. A secret belongs into OTEL_EXPORTER_OTLP_HEADERS, which is not shown. */
export function collectorOf(text: string): string | undefined {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return undefined;
  const { username, password, search, hash } = new URL(text);
  return username + password + search + hash === "" ? text : undefined;
}

export function argon2Of(text: string): HashSettings | undefined {
  const [memoryKib = 0, passes = 0, lanes = 0] = (/^m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})$/.exec(text) ?? [])
    .slice(1)
    .map(Number);
  const isAllowed = memoryKib >= 8 * lanes && memoryKib <= 262_144 && passes >= 1 && passes <= 20 && lanes <= 16;
  return isAllowed && lanes >= 1 ? { memoryKib, passes, lanes } : undefined;
}

/** Parses a comma-separated list. Throws for an invalid item. */
export function listOf(text: string, thing: string, isOne: (item: string) => boolean): string[] {
  const items = text.split(",").map((item) => item.trim());
  const wrong = items.find((item) => item !== "" && !isOne(item));
  if (wrong !== undefined) throw new Error(`${wrong} is not ${thing}`);
  return items.filter((item) => item !== "");
}

/** Whether the URL's host is this machine's own. */
export function isLoopback(text: string): boolean {
  return URL.canParse(text) && isLoopbackHost(new URL(text).hostname);
}

export function isHttpsUrl(text: string): boolean {
  return URL.canParse(text) && new URL(text).protocol === "https:";
}

/** Whether the host's name or address is this machine's own, unreachable for others. */
export function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1|\[::1\])$/.test(host);
}

/** Scopes (RFC 6749, section 3.3), separated by single spaces. Undefined without `openid`. */
export function scopesOf(text: string): string | undefined {
  const scopes = text.split(/\s+/).filter(Boolean);
  const areGood = scopes.includes("openid") && scopes.every((scope) => /^[!#-[\]-~]+$/.test(scope));
  return areGood ? scopes.join(" ") : undefined;
}

export function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/** Reads a file. Throws if it cannot be read. */
export function textIn(file: string): string {
  if (!existsSync(file)) throw new Error("the file does not exist");
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new Error(`cannot be read: ${(cause as Error).message}`, { cause });
  }
}
