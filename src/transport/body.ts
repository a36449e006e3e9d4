import { type RpcError, refusal } from "../rpc/errors.ts";

/** Bytes of one request message, compressed or not. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** The error of a request that is larger than MAX_MESSAGE_BYTES. */
export function tooLarge(): RpcError {
  return refusal("TOO_LARGE", `A message may have ${MAX_MESSAGE_BYTES} bytes at most, compressed or not.`);
}

/** The same bytes, until `milliseconds` have passed since the first was asked for: then it throws DEADLINE_EXCEEDED. */
export async function* withBodyDeadline(
  body: AsyncIterable<Uint8Array>,
  milliseconds: () => number,
): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  let expire: (error: RpcError) => void = () => {};
  const expired = new Promise<never>((_, reject) => {
    expire = reject;
  });
  expired.catch(() => {});
  const timer = setTimeout(
    () => expire(refusal("DEADLINE_EXCEEDED", "The request did not arrive in time.")),
    milliseconds(),
  );
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), expired]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    // Not awaited: an iterator that waits for bytes ends only when the connection does.
    void iterator.return?.().catch(() => {});
  }
}

/** All bytes. Throws TOO_LARGE as soon as there are more than `limit`. */
export async function readAll(body: AsyncIterable<Uint8Array>, limit = MAX_MESSAGE_BYTES): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > limit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
