import type { DescMethod } from "@bufbuild/protobuf";
import { RpcError, refusal } from "../../rpc/errors.ts";
import type { Shares } from "../../rpc/shares.ts";
import { ENVELOPE_BYTES, hasSecondFrame, withCheckedFlags } from "../frames.ts";
import {
  type Incoming,
  inTurn,
  MAX_MESSAGE_BYTES,
  maxBytesOf,
  maxJsonBytesOf,
  type Room,
  readUpTo,
  tooLarge,
  wholeFrames,
} from "../http/body.ts";
import { gunzip } from "../http/encoding.ts";
import { checkFields } from "../values.ts";
import { fromText, textBytesOf } from "./grpc-web-text.ts";

/** A request that is on its way to Connect's router. */
export interface Arriving {
  method: DescMethod;
  /** Whose share it takes, and the room that it takes there. */
  holder: string;
  room: Room;
  /** How long the rest of it may take to arrive, milliseconds. */
  bodyMs: number;
  /** Aborted when the caller leaves. */
  signal: AbortSignal;
}

/** How its messages are written. */
export type Form = Record<"isText" | "isJson" | "isFramed" | "isCompressed", boolean>;

/**
 * The body of a request as Connect's router takes it: its message in one piece, or the messages of a stream of requests
 * each in one piece. Throws where there is too much of it, where it is too slow, or too much work to read.
 */
export async function* bodyFor(
  incoming: Incoming,
  form: Form,
  request: Arriving,
  shared: { shares: Shares; idleMs: number },
): AsyncGenerator<Uint8Array> {
  const { isFramed, isCompressed } = form;
  const messages = messagesOf(incoming, form, request, shared);
  const checked = isFramed ? withCheckedFlags(messages, isCompressed) : messages;
  if (request.method.methodKind === "bidi_streaming") return yield* checked;
  for await (const bytes of checked) {
    await checkWork(bytes, form, request, shared.shares);
    yield bytes;
  }
}

async function* messagesOf(
  incoming: Incoming,
  { isText, isFramed }: Form,
  request: Arriving,
  { shares, idleMs }: { shares: Shares; idleMs: number },
): AsyncGenerator<Uint8Array> {
  const { method, room, bodyMs } = request;
  const maxBytes = maxBytesOf(method);
  if (method.methodKind === "bidi_streaming" && !isText) {
    yield* wholeFrames(incoming, { limit: maxBytes, timeoutMs: idleMs, room });
    return;
  }
  const limit = ENVELOPE_BYTES + maxBytes;
  const reading = { limit: isText ? textBytesOf(limit) : limit, timeoutMs: bodyMs, room };
  const { bytes, isWhole } = await readUpTo(incoming, reading);
  if (!isWhole) throw tooLarge(maxBytes);
  const waiting = { ...request, bytes: bytes.byteLength };
  const body = isText ? await inTurn(shares, waiting, bytes.byteLength, () => fromText(bytes)) : bytes;
  // Connect refuses a second message, too, but only after it has read it.
  if (isFramed && hasSecondFrame(body)) throw refusal("NOT_SERVED", "A request of this method is one message.");
  yield body;
}

/** Throws where to read a large message would be too much work: TOO_LARGE, INVALID_REQUEST, TOO_MANY_REQUESTS. */
async function checkWork(
  body: Uint8Array,
  { isFramed, isCompressed, isJson }: Form,
  request: Arriving,
  shares: Shares,
): Promise<void> {
  const { method } = request;
  const maxBytes = maxBytesOf(method);
  if (maxBytes <= MAX_MESSAGE_BYTES) return;
  const flag = isFramed ? body[0] : Number(isCompressed);
  const message = isFramed ? body.subarray(ENVELOPE_BYTES) : body;
  const waiting = { ...request, bytes: body.byteLength };
  await inTurn(shares, waiting, flag ? maxBytes : message.byteLength, async () => {
    const limit = isJson ? maxJsonBytesOf(method) : maxBytes;
    const plain = flag ? await gunzip(message, limit) : message;
    try {
      if (!isJson) checkFields(method.input, plain);
    } catch (error) {
      // What is wrong with the bytes otherwise, Connect says.
      if (error instanceof RpcError) throw error;
    }
  });
}
