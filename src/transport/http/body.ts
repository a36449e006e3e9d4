import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { type RpcError, refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import type { Shares } from "../../rpc/shares.ts";
import { ENVELOPE_BYTES, frameBytes } from "../frames.ts";
import type { Exchange } from "./exchange.ts";

/** Bytes of one request message, compressed or not, where the method does not say otherwise. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Bytes that a request of the method may have, compressed or not. */
export const maxBytesOf = oncePer(
  (method: DescMethod): number => getOption(method, policy).maxRequestBytes || MAX_MESSAGE_BYTES,
);

/** Bytes that a compressed request of the method may have once it is JSON again: as many as it can need. */
export const maxJsonBytesOf = (method: DescMethod) => Math.max(MAX_MESSAGE_BYTES, maxBytesOf(method) / 2);

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

/** The content of a request: what was read of it, and where the rest comes from, if there is more. */
export interface Incoming {
  begun: Buffer;
  rest: (() => Readable) | undefined;
}

/** A content of which nothing was read yet, or only this; the client is asked for the rest when it is read. */
export function incomingOf(exchange: Pick<Exchange, "content">, begun: Buffer = Buffer.alloc(0)): Incoming {
  return { begun, rest: () => exchange.content() };
}

/** Takes room for so many bytes of a body that is on its way. Returns how to give it back. Throws TOO_MANY_REQUESTS. */
export type Room = (bytes: number) => () => void;

/** What a request that is on its way takes beside its bytes; one that goes through Connect's router takes more. */
const CALL_BYTES = 4 * 1024;
const OPEN_CALL_BYTES = 16 * 1024;

/** The room for one request: of a caller with a token in `bodies`, of one without in `openBodies`. */
export function roomsOf({ bodies, openBodies }: Pick<Shares, "bodies" | "openBodies">) {
  return {
    ofCaller:
      (holder: string): Room =>
      (bytes) =>
        bodies(holder, CALL_BYTES + bytes),
    open:
      (holder: string): Room =>
      (bytes) =>
        openBodies(holder, OPEN_CALL_BYTES + bytes),
  };
}

/**
 * A body as it comes, in one buffer: kept piece by piece, a body in pieces of one byte would take two hundred times its
 * size. Throws TOO_MANY_REQUESTS if there is no room for it.
 */
function createCollector(room: Room) {
  let buffer = Buffer.alloc(0);
  let [start, end] = [0, 0];
  let leave = room(0);
  return {
    add(chunk: Uint8Array): void {
      if (end + chunk.byteLength > buffer.byteLength) {
        const length = end - start;
        const needed = length + chunk.byteLength;
        const grown = Buffer.allocUnsafe(length === 0 ? needed : Math.max(needed, 2 * length));
        const leaveGrown = room(grown.byteLength);
        leave();
        leave = leaveGrown;
        buffer.copy(grown, 0, start, end);
        buffer = grown;
        [start, end] = [0, length];
      }
      buffer.set(chunk, end);
      end += chunk.byteLength;
    },
    get length() {
      return end - start;
    },
    get bytes(): Buffer {
      return buffer.subarray(start, end);
    },
    /** Forgets the first bytes. */
    drop(bytes: number): void {
      start += bytes;
      if (start === end) start = end = 0;
    },
    leave: () => leave(),
  };
}

/** A body that is there and waits to be read. */
export interface Waiting {
  holder: string;
  room: Room;
  bytes: number;
  /** Takes it out of the queue when its caller leaves. */
  signal: AbortSignal;
}

/**
 * Reads a body at a cost of so many bytes. A large one waits for its caller's turn, holds its room meanwhile, and others
 * are served between two of them. Throws TOO_MANY_REQUESTS, or CANCELLED if the caller leaves before its turn.
 */
export function inTurn<Result>(
  { decoding }: Pick<Shares, "decoding">,
  { holder, room, bytes, signal }: Waiting,
  cost: number,
  read: () => Result | Promise<Result>,
): Result | Promise<Result> {
  if (cost <= MAX_MESSAGE_BYTES) return read();
  const leave = room(bytes);
  const job = async () => {
    await nextTurn();
    return read();
  };
  return decoding(holder, job, signal)
    .catch((error) => {
      throw signal.aborted ? cutShort() : error;
    })
    .finally(leave);
}

/** How a body is read. */
export interface Reading {
  /** Bytes that it may have. */
  limit: number;
  timeoutMs: number;
  room: Room;
}

/**
 * Reads on until the end, or until there are more than `limit` bytes: then the rest can still be read. Rejects with
 * DEADLINE_EXCEEDED after `timeoutMs`, with TOO_MANY_REQUESTS, or with CANCELLED.
 */
export function readUpTo(
  { begun, rest }: Incoming,
  { limit, timeoutMs, room }: Reading,
): Promise<{ bytes: Buffer; isWhole: boolean }> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    if (!rest || begun.byteLength > limit) return resolve({ bytes: begun, isWhole: begun.byteLength <= limit });
    const source = rest();
    const collected = createCollector(room);
    const leave = () => {
      isSettled = true;
      collected.leave();
      clearTimeout(timer);
      source.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
    };
    const settle = (isWhole: boolean) => {
      leave();
      resolve({ bytes: collected.bytes, isWhole });
    };
    const fail = (error: unknown) => {
      leave();
      source.pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      try {
        collected.add(chunk);
      } catch (error) {
        return fail(error);
      }
      if (collected.length <= limit) return;
      source.pause();
      settle(false);
    };
    const onCut = () => fail(cutShort());
    // A stream of HTTP/2 ends when it is reset, too.
    const onEnd = () => ((source as { aborted?: boolean }).aborted ? onCut() : settle(true));
    // It holds up no stop.
    const timer = setTimeout(() => fail(late()), timeoutMs).unref();
    if (begun.byteLength > 0) onData(begun);
    if (isSettled) return;
    // Where there is nothing to read, Node may have told the end before anybody listened.
    if (source.readableEnded) onEnd();
    else if (source.destroyed) onCut();
    // Resumed by hand: one that was read up to a lower limit before is paused.
    else source.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut).resume();
  });
}

/** All of it. Rejects with TOO_LARGE if it is more than `limit` bytes, or as `readUpTo` does. */
export async function readWhole(incoming: Incoming, reading: Reading): Promise<Buffer> {
  const { bytes, isWhole } = await readUpTo(incoming, reading);
  if (!isWhole) throw tooLarge(reading.limit);
  return bytes;
}

/**
 * The frames of a stream of requests, each in one piece. What is no frame of up to `maxBytes` is handed on as it is, as
 * the last. Throws DEADLINE_EXCEEDED once the client has sent no whole frame for `idleMs`, and TOO_MANY_REQUESTS for a
 * client who sends more without waiting for answers.
 */
export async function* wholeFrames(
  { begun, rest }: Incoming,
  { limit, timeoutMs, room }: Reading,
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
    source?.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onClose);
    collected.leave();
  };
  // Connect does not return a generator that it has taken a frame from if it takes no more.
  const onClose = () => {
    onCut();
    leave();
  };
  if (begun.byteLength > 0) onData(begun);
  const source = rest?.();
  source?.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onClose);
  if (!source || source.readableEnded) onEnd();
  if (source?.destroyed) onClose();
  try {
    for (;;) {
      const length = frameBytes(collected.bytes);
      if (length !== undefined && (length > ENVELOPE_BYTES + limit || length <= collected.length)) {
        clearTimeout(timer);
        yield Buffer.from(collected.bytes.subarray(0, length));
        if (length > ENVELOPE_BYTES + limit) return;
        collected.drop(length);
        timer = undefined;
      } else if (end) {
        if (end.error !== undefined) throw end.error;
        yield collected.bytes;
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
    source?.resume();
  }
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
