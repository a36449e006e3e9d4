import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import { type RpcError, refusal } from "../rpc/errors.ts";

/** Bytes of one request message, compressed or not, where the method does not say otherwise. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Bytes that a request of the method may have, compressed or not. */
export function maxBytesOf(method: DescMethod): number {
  return getOption(method, policy).maxRequestBytes || MAX_MESSAGE_BYTES;
}

/** The error of a request that is larger than it may be. */
export function tooLarge(limit: number): RpcError {
  return refusal("TOO_LARGE", `A message may have ${limit} bytes at most here, compressed or not.`);
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
  const onTime = () => stop.abort(refusal("DEADLINE_EXCEEDED", "The request did not arrive in time."));
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
