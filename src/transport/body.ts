import type { Readable } from "node:stream";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import { type RpcError, refusal } from "../rpc/errors.ts";
import { oncePer } from "../rpc/once-per.ts";
import type { Exchange } from "./exchange.ts";

/** Bytes of one request message, compressed or not, where the method does not say otherwise. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Bytes that a request of the method may have, compressed or not. */
export const maxBytesOf = oncePer(
  (method: DescMethod): number => getOption(method, policy).maxRequestBytes || MAX_MESSAGE_BYTES,
);

/** The error of a request that is larger than it may be. */
export function tooLarge(limit: number): RpcError {
  return refusal("TOO_LARGE", `A message may have ${limit} bytes at most here, compressed or not.`);
}

/** The error of a request whose connection ended before it did. */
function cutShort(): RpcError {
  return refusal("CANCELLED", "The connection ended before the request did.");
}

/** The error of a request that takes too long to arrive. */
function late(): RpcError {
  return refusal("DEADLINE_EXCEEDED", "The request did not arrive in time.");
}

/**
 * Reads until the end, or until there are more than `limit` bytes: then the rest can still be read. Rejects with
 * DEADLINE_EXCEEDED after `timeoutMs`, or with CANCELLED.
 */
export function readUpTo(
  source: Readable,
  limit: number,
  timeoutMs: number,
): Promise<{ bytes: Buffer; isWhole: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const leave = () => {
      clearTimeout(timer);
      source.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
    };
    const settle = (isWhole: boolean) => {
      leave();
      resolve({ bytes: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks), isWhole });
    };
    const fail = (error: RpcError) => {
      leave();
      source.pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.byteLength;
      if (length <= limit) return;
      source.pause();
      settle(false);
    };
    const onCut = () => fail(cutShort());
    // A stream of HTTP/2 ends when it is reset, too.
    const onEnd = () => ((source as { aborted?: boolean }).aborted ? onCut() : settle(true));
    // It holds up no stop.
    const timer = setTimeout(() => fail(late()), timeoutMs).unref();
    // Where there is nothing to read, Node may have told the end before anybody listened.
    if (source.readableEnded) onEnd();
    else if (source.destroyed) onCut();
    else source.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
  });
}

/** What is not read yet, behind what is; the client is asked for it when it is. Throws CANCELLED. */
export async function* unreadBody(
  exchange: Pick<Exchange, "content">,
  ...read: Uint8Array[]
): AsyncGenerator<Uint8Array> {
  yield* read;
  try {
    // Who destroys the request when it is not read to its end takes the connection from under the answer.
    yield* exchange.content().iterator({ destroyOnReturn: false });
  } catch {
    throw cutShort();
  }
}

/** All of it. Rejects with TOO_LARGE if it is more than `limit` bytes, with DEADLINE_EXCEEDED, or with CANCELLED. */
export async function readWhole(source: Readable, limit: number, timeoutMs: number): Promise<Buffer> {
  const { bytes, isWhole } = await readUpTo(source, limit, timeoutMs);
  if (!isWhole) throw tooLarge(limit);
  return bytes;
}

/** The same items, until the signal says stop: then its reason is thrown, whether or not an item comes. */
export async function* until<Item>(items: AsyncIterable<Item>, stop: AbortSignal): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]();
  let fail: (reason: unknown) => void = () => {};
  const onStop = () => fail(stop.reason);
  stop.addEventListener("abort", onStop);
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        fail = reject;
        if (stop.aborted) onStop();
        else iterator.next().then(resolve, reject);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    // Not awaited: an iterator that waits for bytes ends only when the connection does.
    void iterator.return?.().catch(() => {});
  }
}

/** The same bytes, until `milliseconds` have passed since the first was asked for: then it throws DEADLINE_EXCEEDED. */
export async function* withBodyDeadline(
  body: AsyncIterable<Uint8Array>,
  milliseconds: () => number,
): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  const onTime = () => stop.abort(late());
  // It holds up no stop: Connect lets go of a body that has one message too many without a word.
  const timer = setTimeout(onTime, milliseconds()).unref();
  try {
    yield* until(body, stop.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** All bytes. Throws TOO_LARGE as soon as there are more than `limit`; the caller is told of `toldLimit`. */
export async function readAll(
  body: AsyncIterable<Uint8Array>,
  limit = MAX_MESSAGE_BYTES,
  toldLimit = limit,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > limit) throw tooLarge(toldLimit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
