/** The frames of gRPC, gRPC-Web and Connect, which are alike: a flag, four bytes of length, the message. */
import { type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import { createCollector, cutShort, type Reading, tooLarge } from "../http/body.ts";
import type { Exchange } from "../http/exchange.ts";

/** Encodes a message of a stream. The same message object always gives the same Buffer. */
export type Encode = (message: Message) => Buffer;

/** The encoders of a stream's messages. */
export function framesOf(desc: DescMessage): { proto: Encode; json: Encode } {
  return {
    proto: oncePer((message) => envelope(toBinary(desc, message))),
    json: oncePer((message) => envelope(Buffer.from(toJsonString(desc, message)))),
  };
}

/** The size of a flag and a length. */
export const ENVELOPE_BYTES = 5;

/** The flag of a compressed message. */
export const COMPRESSED = 1;

/** Frames a message. Flag 0 is uncompressed, which is always allowed. */
export function envelope(data: Uint8Array, flag = 0): Buffer {
  const frame = Buffer.allocUnsafe(ENVELOPE_BYTES + data.byteLength);
  frame[0] = flag;
  frame.writeUInt32BE(data.byteLength, 1);
  frame.set(data, ENVELOPE_BYTES);
  return frame;
}

/** The framing of a request: its size limit, and whether its headers name a coding. */
export interface Framing {
  maxBytes: number;
  isCoded: boolean;
}

/**
 * Returns the only message of a request. Throws INVALID_REQUEST, TOO_LARGE, ENCODING_MISSING, or NOT_SERVED unless
 * there is exactly one.
 */
export function onlyMessage(body: Buffer, framing: Framing): { message: Buffer; isCompressed: boolean } {
  const end = frameBytes(body, framing);
  if (end === body.byteLength) return { message: body.subarray(ENVELOPE_BYTES), isCompressed: body[0] === COMPRESSED };
  if (body.byteLength === 0) throw refusal("NOT_SERVED", "The request has no message. This method needs one.");
  const rest = body.subarray(end ?? body.byteLength);
  const next = frameBytes(rest, framing);
  if (next === undefined || next > rest.byteLength) throw cutOff();
  throw refusal("NOT_SERVED", "The request has several messages. This method needs one.");
}

/**
 * Yields the frames of a request stream. Throws like `onlyMessage`, with DEADLINE_EXCEEDED if no frame is complete for
 * `timeoutMs`, and with TOO_MANY_REQUESTS if the client sends too much without waiting for answers.
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
    // Read even without a consumer, because Node would buffer it piece by piece.
    if (end) return;
    try {
      collected.add(chunk);
    } catch (error) {
      return finish(error);
    }
    if (collected.length > 2 * (ENVELOPE_BYTES + limit)) {
      finish(refusal("TOO_MANY_REQUESTS", "Too many requests are unanswered on the stream. Wait for the answers."));
    }
    wake();
  };
  const onEnd = () => finish();
  const onCut = () => finish(cutShort());
  const onIdle = () => finish(refusal("DEADLINE_EXCEEDED", "The stream had no request for too long."));
  const leave = () => {
    clearTimeout(timer);
    source.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onClose);
    collected.leave();
  };
  // Connect does not return the generator if it stops taking frames.
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

/** The size of the first frame; undefined if its header is incomplete. */
function frameBytes(bytes: Buffer, { maxBytes, isCoded }: Framing): number | undefined {
  if (bytes.byteLength > 0) checkFlag(bytes[0] as number, isCoded);
  if (bytes.byteLength < ENVELOPE_BYTES) return undefined;
  const length = bytes.readUInt32BE(1);
  if (length > maxBytes) throw tooLarge(maxBytes);
  return ENVELOPE_BYTES + length;
}

/** ENCODING_MISSING is INTERNAL, as gRPC's compression.md and Connect's protocol require. */
function checkFlag(flag: number, isCoded: boolean): void {
  if (flag === 0 || (flag === COMPRESSED && isCoded)) return;
  if (flag !== COMPRESSED) throw refusal("INVALID_REQUEST", `The message has the unknown flag ${flag}.`);
  throw refusal("ENCODING_MISSING", "The message is compressed, but no request header names its coding.");
}

function cutOff() {
  return refusal("INVALID_REQUEST", "The body ends in the middle of a message.");
}
