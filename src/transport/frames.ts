import { type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
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
