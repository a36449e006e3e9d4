import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { refusal } from "../rpc/errors.ts";
import { readAll } from "./body.ts";
import type { Streamed } from "./channel.ts";
import { inBase64 } from "./frames.ts";

const TEXT = "application/grpc-web-text";
const BINARY = "application/grpc-web";
/** How much longer an enveloped message may be in base64, with room for the padding of the pieces it may come in. */
const TEXT_FACTOR = 2;

/** Whether the request speaks gRPC-Web in base64, as browsers without binary streams do. */
export function isGrpcWebText(request: UniversalServerRequest): boolean {
  return (request.header.get("content-type") ?? "").startsWith(TEXT);
}

/**
 * The request with its body in binary (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). Its message may
 * have `maxBytes`.
 */
export function toBinaryRequest(request: UniversalServerRequest, maxBytes: number): UniversalServerRequest {
  const header = new Headers(request.header);
  header.set("content-type", (header.get("content-type") ?? "").replace(TEXT, BINARY));
  header.delete("content-length");
  return { ...request, header, body: decoded(request.body as AsyncIterable<Uint8Array>, maxBytes) };
}

/** The response in base64, each piece for itself, so that nothing waits for the next. */
export function toTextResponse(response: Streamed): Streamed {
  const type = response.headers["content-type"] ?? "";
  if (type !== BINARY && !type.startsWith(`${BINARY}+`)) return response;
  const { live } = response;
  return {
    ...response,
    headers: { ...response.headers, "content-type": type.replace(BINARY, TEXT) },
    body: encoded(response.body),
    ...(live && { live: { ...live, encode: inBase64(live.encode) } }),
  };
}

async function* decoded(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  const text = Buffer.from(await readAll(body, TEXT_FACTOR * maxBytes, maxBytes)).toString("latin1");
  // A piece ends at its padding; the next one begins behind it.
  for (const [piece] of text.matchAll(/[^=]+=*/g)) {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(piece) || piece.length % 4 !== 0) {
      throw refusal("INVALID_REQUEST", "The body is not base64.");
    }
    yield Buffer.from(piece, "base64");
  }
}

async function* encoded(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield Buffer.from(Buffer.from(chunk).toString("base64"), "latin1");
}
