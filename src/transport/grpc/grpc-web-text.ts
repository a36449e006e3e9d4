/** gRPC-Web in base64 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md, application/grpc-web-text). */
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import type { Streamed } from "../streams/channel.ts";
import type { Encode } from "../streams/frames.ts";

const TEXT = "application/grpc-web-text";
const BINARY = "application/grpc-web";

/** The maximum number of separately padded pieces in a body. Clients make one of each frame. */
const MAX_PIECES = 1_000;

/** Whether the content type is base64. */
export function isGrpcWebText(contentType: string | undefined): boolean {
  return contentType?.toLowerCase().startsWith(TEXT) ?? false;
}

/** Rewrites the headers of a base64 request to those of a binary one. */
export function toBinaryHeader(header: Headers): void {
  header.set("content-type", (header.get("content-type") ?? "").toLowerCase().replace(TEXT, BINARY));
  header.delete("content-length");
}

/** The maximum length of so many bytes in base64, with the padding of their pieces. */
export const textBytesOf = (bytes: number) => 2 * bytes;

/** Decodes a base64 body. Throws INVALID_REQUEST. */
export function fromText(body: Buffer): Buffer {
  const text = body.toString("latin1");
  const bytes = Buffer.allocUnsafe(Math.ceil(text.length / 4) * 3);
  let [length, pieces] = [0, 0];
  // A piece ends with its padding.
  for (const [piece] of text.matchAll(/[^=]+=*|=/g)) {
    if (++pieces > MAX_PIECES)
      throw refusal("INVALID_REQUEST", `The body has more than ${MAX_PIECES} pieces of base64.`);
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(piece) || piece.length % 4 !== 0) {
      throw refusal("INVALID_REQUEST", "The body is not valid base64.");
    }
    length += bytes.write(piece, length, "base64");
  }
  return bytes.subarray(0, length);
}

/** Encodes bytes as one piece of base64. */
export function toText(bytes: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"), "latin1");
}

/** Wraps an encoder to return base64. */
export const inText: (encode: Encode) => Encode = oncePer((encode) => oncePer((message) => toText(encode(message))));

/** Encodes the response in base64, each piece separately, so that none waits for the next. */
export function toTextResponse(response: Streamed): Streamed {
  const type = response.headers["content-type"] ?? "";
  if (type !== BINARY && !type.startsWith(`${BINARY}+`)) return response;
  const { live } = response;
  return {
    ...response,
    headers: { ...response.headers, "content-type": type.replace(BINARY, TEXT) },
    body: encoded(response.body),
    ...(live && { live: { ...live, encode: inText(live.encode) } }),
  };
}

async function* encoded(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield toText(chunk);
}
