import { setImmediate as nextTurn } from "node:timers/promises";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import type { Call } from "../../rpc/pipeline.ts";
import type { Quota, Shares } from "../../rpc/shares.ts";
import type { Limits } from "../limits.ts";
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
export function tooLarge(limit: number) {
  return refusal("TOO_LARGE", `A message may have ${limit} bytes at most here, compressed or not.`);
}

/** The error of a request whose connection ended before it did. */
export function cutShort() {
  return refusal("CANCELLED", "The connection ended before the request did.");
}

/** The error of a request that takes too long to arrive. */
function late() {
  return refusal("DEADLINE_EXCEEDED", "The request did not arrive in time.");
}

/** Takes room for so many bytes of a body that is on its way. Returns how to give it back. Throws TOO_MANY_REQUESTS. */
export type Room = (bytes: number) => () => void;

/** What a request that is on its way takes beside its bytes; one that goes through Connect's router takes more. */
const CALL_BYTES = 4 * 1024;
const OPEN_CALL_BYTES = 16 * 1024;

/** The room for one request: of a caller with a token in `bodies`, of one without in `openBodies`. */
export function roomsOf({ bodies, openBodies }: Pick<Shares, "bodies" | "openBodies">) {
  const roomIn =
    (quota: Quota, more: number) =>
    (holder: string): Room =>
    (bytes) =>
      quota(holder, more + bytes);
  return { ofCaller: roomIn(bodies, CALL_BYTES), open: roomIn(openBodies, OPEN_CALL_BYTES) };
}

/**
 * A body as it comes, in one buffer: kept piece by piece, a body in pieces of one byte would take two hundred times its
 * size. Throws TOO_MANY_REQUESTS if there is no room for it.
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
    /** Forgets the first bytes. */
    drop(bytes: number): void {
      start += bytes;
      if (start === end) start = end = 0;
    },
    leave: () => leave(),
  };
}

/** The request of a caller who has been let in. */
interface Arriving {
  holder: string;
  call: Pick<Call, "timeoutMs" | "signal">;
  /** Bytes that its message may have, and its content, where that may have more. */
  maxBytes: number;
  limit?: number;
  /** Whether it may be compressed: a small body may be a large message then. */
  isCoded: boolean;
}

/** Reads the content of an admitted request and makes its message of it, each in its caller's turn. */
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

/** A body that is there and waits to be read. */
interface Waiting {
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
  /** Bytes that the message in it may have, if that is less. */
  maxBytes?: number;
  /** How long it may take to arrive. */
  timeoutMs: number;
  room: Room;
}

/**
 * The content of a request. Rejects with TOO_LARGE, with DEADLINE_EXCEEDED after `timeoutMs`, with TOO_MANY_REQUESTS if
 * there is no room for it, or with CANCELLED if the connection ends before it does.
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
      // A stream of HTTP/2 ends when it is reset, too.
      if ((source as { aborted?: boolean }).aborted) return onCut();
      leave();
      resolve(collected.bytes);
    };
    // It holds up no stop.
    const timer = setTimeout(() => fail(late()), timeoutMs).unref();
    // Where there is nothing to read, Node may have told the end before anybody listened.
    if (source.readableEnded) onEnd();
    else if (source.destroyed) onCut();
    else source.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
  });
}
