import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { oncePer } from "../../rpc/once-per.ts";
import { acceptsGzip, gzip } from "../http/encoding.ts";
import { type Answer, type Exchange, headerOf } from "../http/exchange.ts";
import { plainAnswer, wrongVerb } from "../http/status.ts";

/** The OpenAPI document of the REST API, without a token: it is the same for everyone. */
export type OpenApiDoor = (
  exchange: Pick<Exchange, "verb" | "headers">,
  path: string,
) => Promise<Answer> | Answer | undefined;

const PATH = "/openapi.json";

/** Reads the document, which `npm run generate` makes. All answers share its bytes. */
export function createOpenApiDoor(): OpenApiDoor {
  const document = readFileSync(new URL("../../../gen/openapi.json", import.meta.url));
  // Weak, because it is the same for both encodings (RFC 9110, section 8.8.1).
  const etag = `W/"${createHash("sha256").update(document).digest("base64url").slice(0, 22)}"`;
  const headers = { etag, vary: "accept-encoding", "cache-control": "no-cache" };
  const compressed = oncePer(gzip);

  async function answer(accepted: string | undefined): Promise<Answer> {
    const typed = { ...headers, "content-type": "application/json" };
    if (!acceptsGzip(accepted)) return plainAnswer(200, typed, document);
    return plainAnswer(200, { ...typed, "content-encoding": "gzip" }, await compressed(document));
  }

  return ({ verb, headers: asked }, path) => {
    if (path !== PATH) return undefined;
    if (verb !== "GET") return wrongVerb(["GET"]);
    const known = headerOf(asked, "if-none-match");
    return isKnown(known, etag) ? { status: 304, headers } : answer(headerOf(asked, "accept-encoding"));
  };
}

/** Whether a list of ETags has this one, by weak comparison (RFC 9110, section 13.1.2). */
function isKnown(known: string | undefined, etag: string): boolean {
  const tags = known?.split(",").map((tag) => tag.trim()) ?? [];
  return tags.includes("*") || tags.includes(etag) || tags.includes(etag.slice(2));
}
