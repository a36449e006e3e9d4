import { setImmediate as nextTurn } from "node:timers/promises";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import type { Call } from "../../rpc/pipeline.ts";
import type { Quota, Shares } from "../../rpc/shares.ts";
import type { Limits } from "../limits.ts";
import type { Exchange } from "./exchange.ts";

/** The default size limit of a request message, compressed or not, bytes. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** The size limit of the method's request, compressed or not, bytes. */
export const maxBytesOf = oncePer(
  (method: DescMethod): number => getOption(method, policy).maxRequestBytes || MAX_MESSAGE_BYTES,
);

/** The size limit of the method's decompressed JSON, bytes. */
export const maxJsonBytesOf = (method: DescMethod) => Math.max(MAX_MESSAGE_BYTES, maxBytesOf(method) / 2);

/** The error of a request that is larger than it may be. */
export function tooLarge(limit: number) {
  return refusal("TOO_LARGE", `The message must have at most ${limit} bytes, compressed or not.`);
}

/** The error of a request whose connection closed early. */
export function cutShort() {
  return refusal("CANCELLED", "The connection closed before the request was complete.");
}

/** The error of a request that takes too long to arrive. */
function late() {
  return refusal("DEADLINE_EXCEEDED", "The request did not arrive in time.");
}

/** Reserves bytes for an incoming body. Returns a function that releases them. Throws TOO_MANY_REQUESTS. */
export type Room = (bytes: number) => () => void;

/** The overhead of an incoming request, bytes. A request through Connect's router has more. */
const CALL_BYTES = 4 * 1024;
const OPEN_CALL_BYTES = 16 * 1024;

/** The reservation for a request: in `bodies` with a token, in `openBodies` without. */
export function roomsOf({ bodies, openBodies }: Pick<Shares, "bodies" | "openBodies">) {
  const roomIn =
    (quota: Quota, more: number) =>
    (holder: string): Room =>
    (bytes) =>
      quota(holder, more + bytes);
  return { ofCaller: roomIn(bodies, CALL_BYTES), open: roomIn(openBodies, OPEN_CALL_BYTES) };
}

/**
 * Collects a body in one buffer: separate pieces of one byte would take two hundred times the size. Throws
 * TOO_MANY_REQUESTS without room.
 */
export function createCollector(room: Room) {
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
    /** Drops the first bytes. */
    drop(bytes: number): void {
      start += bytes;
      if (start === end) start = end = 0;
    },
    leave: () => leave(),
  };
}

/** The request of an admitted caller. */
interface Arriving {
  holder: string;
  call: Pick<Call, "timeoutMs" | "signal">;
  /** The size limit of its message, and of its content if that is larger. */
  maxBytes: number;
  limit?: number;
  /** Whether it may be compressed, so that a small body may be a large message. */
  isCoded: boolean;
}

/** Receives the content of an admitted request and decodes its message in the caller's turn. */
export function createReceive(shares: Shares, { bodyMs }: Pick<Limits, "bodyMs">) {
  const rooms = roomsOf(shares);
  return async <Result>(
    exchange: Pick<Exchange, "content">,
    { holder, call, maxBytes, limit = maxBytes, isCoded }: Arriving,
    read: (content: Buffer) => Result | Promise<Result>,
  ): Promise<Result> => {
    const room = rooms.ofCaller(holder);
    const timeoutMs = Math.min(call.timeoutMs ?? bodyMs, bodyMs);
    const content = await readWhole(exchange, { limit, maxBytes, timeoutMs, room });
    const bytes = content.byteLength;
    return inTurn(shares, { holder, room, bytes, signal: call.signal }, isCoded ? maxBytes : bytes, () =>
      read(content),
    );
  };
}

/** A complete body that waits to be decoded. */
interface Waiting {
  holder: string;
  room: Room;
  bytes: number;
  /** Removes it from the queue when its caller disconnects. */
  signal: AbortSignal;
}

/**
 * Decodes a body of a given cost, in bytes. A large one waits for its caller's turn and keeps its reservation, and
 * other calls are served between two of them. Throws TOO_MANY_REQUESTS, or CANCELLED if the caller disconnects before.
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

/** Options to read a body. */
export interface Reading {
  /** The size limit, bytes. */
  limit: number;
  /** The size limit of its message, if that is smaller, bytes. */
  maxBytes?: number;
  /** The time to receive it, milliseconds. */
  timeoutMs: number;
  room: Room;
}

/**
 * Receives the content of a request. Rejects with TOO_LARGE, with DEADLINE_EXCEEDED after `timeoutMs`, with
 * TOO_MANY_REQUESTS without room, or with CANCELLED if the connection closes early.
 */
export function readWhole(
  exchange: Pick<Exchange, "content">,
  { limit, maxBytes = limit, timeoutMs, room }: Reading,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const source = exchange.content();
    const collected = createCollector(room);
    const leave = () => {
      collected.leave();
      clearTimeout(timer);
      source.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
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
      if (collected.length > limit) fail(tooLarge(maxBytes));
    };
    const onCut = () => fail(cutShort());
    const onEnd = () => {
      // An HTTP/2 stream also emits "end" when it is reset.
      if ((source as { aborted?: boolean }).aborted) return onCut();
      leave();
      resolve(collected.bytes);
    };
    // The timer must not delay a stop.
    const timer = setTimeout(() => fail(late()), timeoutMs).unref();
    // Without content, Node may have emitted "end" already.
    if (source.readableEnded) onEnd();
    else if (source.destroyed) onCut();
    else source.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
  });
}
