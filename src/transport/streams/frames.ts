/** Messages as gRPC, gRPC-Web and Connect frame them, all alike: a flag, four bytes of length, the message. */
import { type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import { createCollector, cutShort, type Reading, tooLarge } from "../http/body.ts";
import type { Exchange } from "../http/exchange.ts";

/** The bytes of a message in a stream. For the same message it gives the same bytes, not only equal ones. */
export type Encode = (message: Message) => Buffer;

/** How the messages of a stream are written. */
export function framesOf(desc: DescMessage): { proto: Encode; json: Encode } {
  return {
    proto: oncePer((message) => envelope(toBinary(desc, message))),
    json: oncePer((message) => envelope(Buffer.from(toJsonString(desc, message)))),
  };
}

/** A flag and four bytes of length stand before each message. */
export const ENVELOPE_BYTES = 5;

/** Flag of a message that is compressed. */
export const COMPRESSED = 1;

/** Flag 0: not compressed, which each message of a stream may be whatever was agreed on. */
export function envelope(data: Uint8Array, flag = 0): Buffer {
  const frame = Buffer.allocUnsafe(ENVELOPE_BYTES + data.byteLength);
  frame[0] = flag;
  frame.writeUInt32BE(data.byteLength, 1);
  frame.set(data, ENVELOPE_BYTES);
  return frame;
}

/** How a request is framed: its longest message, and whether its headers name a coding of its messages. */
export interface Framing {
  maxBytes: number;
  isCoded: boolean;
}

/**
 * The one message of a request. Throws INVALID_REQUEST, TOO_LARGE, ENCODING_MISSING, or NOT_SERVED where there is not
 * exactly one.
 */
export function onlyMessage(body: Buffer, framing: Framing): { message: Buffer; isCompressed: boolean } {
  const end = frameBytes(body, framing);
  if (end === body.byteLength) return { message: body.subarray(ENVELOPE_BYTES), isCompressed: body[0] === COMPRESSED };
  if (body.byteLength === 0) throw refusal("NOT_SERVED", "A request of this method is one message; there is none.");
  const rest = body.subarray(end ?? body.byteLength);
  const next = frameBytes(rest, framing);
  if (next === undefined || next > rest.byteLength) throw cutOff();
  throw refusal("NOT_SERVED", "A request of this method is one message; there are more.");
}

/**
 * The frames of a stream of requests, each in one piece. Throws as `onlyMessage` does, DEADLINE_EXCEEDED once the client
 * has sent no whole frame for `timeoutMs`, and TOO_MANY_REQUESTS if it sends more without waiting for answers.
 */
export async function* wholeFrames(
  exchange: Pick<Exchange, "content">,
  { limit, timeoutMs, room }: Reading,
  isCoded: boolean,
): AsyncGenerator<Uint8Array> {
  const collected = createCollector(room);
  let end: { error?: unknown } | undefined;
  let wake = () => {};
  let timer: NodeJS.Timeout | undefined;
  const finish = (error?: unknown) => {
    end ??= error === undefined ? {} : { error };
    wake();
  };
  const onData = (chunk: Buffer) => {
    // Read on while nobody takes it: what Node keeps of it, it keeps piece by piece.
    if (end) return;
    try {
      collected.add(chunk);
    } catch (error) {
      return finish(error);
    }
    if (collected.length > 2 * (ENVELOPE_BYTES + limit)) {
      finish(refusal("TOO_MANY_REQUESTS", "More is asked than is answered: wait for the answers."));
    }
    wake();
  };
  const onEnd = () => finish();
  const onCut = () => finish(cutShort());
  const onIdle = () => finish(refusal("DEADLINE_EXCEEDED", "Nothing was asked on the stream for a while."));
  const leave = () => {
    clearTimeout(timer);
    source.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onClose);
    collected.leave();
  };
  // Connect does not return a generator that it has taken a frame from if it takes no more.
  const onClose = () => {
    onCut();
    leave();
  };
  const source = exchange.content();
  source.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onClose);
  if (source.readableEnded) onEnd();
  if (source.destroyed) onClose();
  try {
    for (;;) {
      const length = frameBytes(collected.bytes, { maxBytes: limit, isCoded });
      if (length !== undefined && length <= collected.length) {
        clearTimeout(timer);
        yield Buffer.from(collected.bytes.subarray(0, length));
        collected.drop(length);
        timer = undefined;
      } else if (end) {
        if (end.error !== undefined) throw end.error;
        if (collected.length > 0) throw cutOff();
        return;
      } else {
        timer ??= setTimeout(onIdle, timeoutMs).unref();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    leave();
    source.resume();
  }
}

/** How long the frame is that the bytes begin with; undefined if they are too few to tell. */
function frameBytes(bytes: Buffer, { maxBytes, isCoded }: Framing): number | undefined {
  if (bytes.byteLength > 0) checkFlag(bytes[0] as number, isCoded);
  if (bytes.byteLength < ENVELOPE_BYTES) return undefined;
  const length = bytes.readUInt32BE(1);
  if (length > maxBytes) throw tooLarge(maxBytes);
  return ENVELOPE_BYTES + length;
}

/** ENCODING_MISSING is INTERNAL, as gRPC's compression.md and Connect's protocol ask for. */
function checkFlag(flag: number, isCoded: boolean): void {
  if (flag === 0 || (flag === COMPRESSED && isCoded)) return;
  if (flag !== COMPRESSED) throw refusal("INVALID_REQUEST", `A message has the unknown flag ${flag}.`);
  throw refusal("ENCODING_MISSING", "A message is compressed, but no header of the request says how.");
}

function cutOff() {
  return refusal("INVALID_REQUEST", "The body ends within a message.");
}
