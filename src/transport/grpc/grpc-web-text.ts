/** gRPC-Web in base64, as browsers without binary streams speak it (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). */
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import type { Streamed } from "../streams/channel.ts";
import type { Encode } from "../streams/frames.ts";

const TEXT = "application/grpc-web-text";
const BINARY = "application/grpc-web";

/** Pieces with a padding of their own that a body may have; clients make one of each frame. */
const MAX_PIECES = 1_000;

/** Whether a request with the content type is in base64. */
export function isGrpcWebText(contentType: string | undefined): boolean {
  return contentType?.toLowerCase().startsWith(TEXT) ?? false;
}

/** Makes the headers of a request those of its body in binary. */
export function toBinaryHeader(header: Headers): void {
  header.set("content-type", (header.get("content-type") ?? "").toLowerCase().replace(TEXT, BINARY));
  header.delete("content-length");
}

/** How long so many bytes may be in base64, with the padding of the pieces that they may come in. */
export const textBytesOf = (bytes: number) => 2 * bytes;

/** The bytes of a body in base64. Throws INVALID_REQUEST. */
export function fromText(body: Buffer): Buffer {
  const text = body.toString("latin1");
  const bytes = Buffer.allocUnsafe(Math.ceil(text.length / 4) * 3);
  let [length, pieces] = [0, 0];
  // A piece ends at its padding; the next one begins behind it.
  for (const [piece] of text.matchAll(/[^=]+=*|=/g)) {
    if (++pieces > MAX_PIECES)
      throw refusal("INVALID_REQUEST", `The body has more than ${MAX_PIECES} pieces of base64.`);
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(piece) || piece.length % 4 !== 0) {
      throw refusal("INVALID_REQUEST", "The body is not base64.");
    }
    length += bytes.write(piece, length, "base64");
  }
  return bytes.subarray(0, length);
}

/** The bytes in one piece of base64. */
export function toText(bytes: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"), "latin1");
}

/** The same messages in base64. */
export const inText: (encode: Encode) => Encode = oncePer((encode) => oncePer((message) => toText(encode(message))));

/** The response in base64, each piece for itself, so that nothing waits for the next. */
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
