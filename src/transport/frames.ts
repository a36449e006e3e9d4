import { type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { refusal } from "../rpc/errors.ts";
import { oncePer } from "../rpc/once-per.ts";

/** The bytes of a message in a stream. For the same message it gives the same bytes, not only equal ones. */
export type Encode = (message: Message) => Buffer;

/** Messages as gRPC, gRPC-Web and Connect frame them, all alike: a flag, four bytes of length, the message. */
export function framesOf(desc: DescMessage): { proto: Encode; json: Encode } {
  return {
    proto: oncePer((message) => envelope(toBinary(desc, message))),
    json: oncePer((message) => envelope(Buffer.from(toJsonString(desc, message)))),
  };
}

/** The same in base64, as gRPC-Web has it for browsers without binary streams. */
export const inBase64: (encode: Encode) => Encode = oncePer((encode) =>
  oncePer((message) => Buffer.from(encode(message).toString("base64"), "latin1")),
);

/** A flag and four bytes of length stand before each message. */
export const ENVELOPE_BYTES = 5;

/** Flag 0: not compressed, which each message of a stream may be whatever was agreed on. */
export function envelope(data: Uint8Array, flag = 0): Buffer {
  const frame = Buffer.allocUnsafe(ENVELOPE_BYTES + data.byteLength);
  frame[0] = flag;
  frame.writeUInt32BE(data.byteLength, 1);
  frame.set(data, ENVELOPE_BYTES);
  return frame;
}

/** How long the frame is that the bytes begin with; undefined if they do not say it yet. */
export function frameBytes(bytes: Buffer): number | undefined {
  return bytes.byteLength < ENVELOPE_BYTES ? undefined : ENVELOPE_BYTES + bytes.readUInt32BE(1);
}

/** Whether a second whole frame follows the first. */
export function hasSecondFrame(bytes: Buffer): boolean {
  const rest = bytes.subarray(frameBytes(bytes) ?? bytes.byteLength);
  return (frameBytes(rest) ?? Infinity) <= rest.byteLength;
}

/** Flag of a message that is compressed. */
const COMPRESSED = 1;

/**
 * The same frames of a request. Throws INVALID_REQUEST at an unknown flag. Throws ENCODING_MISSING at a compressed
 * message if the headers name no coding: INTERNAL is what gRPC's compression.md and Connect's protocol ask for.
 */
export async function* withCheckedFlags(
  body: AsyncIterable<Uint8Array>,
  isCompressed: boolean,
): AsyncGenerator<Uint8Array> {
  /** Bytes of the flag and the length that were read, and those of the message that are still to come. */
  let headBytes = 0;
  let left = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.byteLength; ) {
      if (headBytes === ENVELOPE_BYTES) {
        const skipped = Math.min(left, chunk.byteLength - at);
        at += skipped;
        left -= skipped;
        if (left === 0) headBytes = 0;
        continue;
      }
      const byte = chunk[at++] as number;
      if (headBytes === 0) checkFlag(byte, isCompressed);
      else left = left * 256 + byte;
      headBytes++;
      if (headBytes === ENVELOPE_BYTES && left === 0) headBytes = 0;
    }
    yield chunk;
  }
}

function checkFlag(flag: number, isCompressed: boolean): void {
  if (flag === 0 || (flag === COMPRESSED && isCompressed)) return;
  if (flag !== COMPRESSED) throw refusal("INVALID_REQUEST", `A message has the unknown flag ${flag}.`);
  throw refusal("ENCODING_MISSING", "A message is compressed, but no header of the request says how.");
}
