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

/** Flag 0: not compressed, which each message of a stream may be whatever was agreed on. */
function envelope(data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + data.byteLength);
  frame[0] = 0;
  frame.writeUInt32BE(data.byteLength, 1);
  frame.set(data, 5);
  return frame;
}
