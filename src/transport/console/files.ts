import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { acceptsCoding } from "../http/encoding.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { plainAnswer } from "../http/status.ts";

/** In a checkout they are below `dist`; in the published package this file is, too. */
const FOLDER = import.meta.url.endsWith(".ts") ? "../../../dist/console/" : "../../../console/";

/** What a page may do: nothing but run the console's script, show its style and call its own server. */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
};

const BUILD = "The console was not built. Run: npm run build:console\n";

/** The console's files. Undefined for a name that is no file. The page has the name "". */
export type ConsoleFiles = (exchange: Pick<Exchange, "headers" | "scheme">, name: string) => Answer | undefined;

/** Reads the files that `npm run build:console` makes, and compresses them once. */
export function readConsoleFiles(folder = new URL(FOLDER, import.meta.url)): ConsoleFiles {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // The page says what to run.
  }
  const files = new Map(names.map((name) => [name === "index.html" ? "" : name, readEncoded(folder, name)]));

  return ({ headers, scheme }, name) => {
    const secure = securityHeaders(scheme);
    const file = files.get(name);
    if (!file) return name === "" ? plainAnswer(503, { ...secure, "content-type": "text/plain" }, BUILD) : undefined;
    // The names of all others have a hash of their content.
    const cached = name === "" ? "no-cache" : "public, max-age=31536000, immutable";
    const { etag, type } = file;
    const fields = { ...secure, etag, vary: "accept-encoding", "cache-control": cached };
    if (headerOf(headers, "if-none-match")?.includes(etag)) return { status: 304, headers: fields };
    const accepted = headerOf(headers, "accept-encoding");
    const coding = (["br", "gzip"] as const).find((one) => acceptsCoding(accepted, one)) ?? "identity";
    const encoded: Fields = coding === "identity" ? {} : { "content-encoding": coding };
    return plainAnswer(200, { ...fields, ...encoded, "content-type": type }, file[coding]);
  };
}

function readEncoded(folder: URL, name: string) {
  const identity = readFileSync(new URL(name, folder));
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: identity.byteLength };
  return {
    identity,
    gzip: gzipSync(identity),
    br: brotliCompressSync(identity, { params: quality }),
    type: TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream",
    // Weak, because it is the same for all encodings (RFC 9110, section 8.8.1).
    etag: `W/"${createHash("sha256").update(identity).digest("base64url").slice(0, 22)}"`,
  };
}

/** The headers of every answer below /console/. */
export function securityHeaders(scheme: Exchange["scheme"]): Fields {
  return {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    ...(scheme === "https" && { "strict-transport-security": "max-age=31536000" }),
  };
}
