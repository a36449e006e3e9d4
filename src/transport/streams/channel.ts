import type { Message } from "@bufbuild/protobuf";
import type { Outlet } from "../../rpc/handler.ts";
import type { Backlog } from "../../rpc/shares.ts";
import type { Exchange, Fields } from "../http/exchange.ts";
import type { Limits } from "../limits.ts";
import { createOutflow, type Outflow } from "./backpressure.ts";
import type { Encode } from "./frames.ts";

/** The maximum number of messages held until the response begins, a few ticks later. */
const MAX_HELD = 100;

/**
 * Sends a stream's messages past the door, directly into the response, as bytes that all receivers share. The door
 * writes the first message and the end.
 */
export interface Channel extends Outlet {
  /** The first message, which only the door sends; undefined if the stream ends before. */
  first(ended: Promise<void>): Promise<Message | undefined>;
  /** Sends the held messages, and from now on each message at once. */
  open(outflow: Outflow, encode: Encode): void;
}

/** A streamed response. */
export interface Streamed {
  status: number;
  headers: Fields;
  body: AsyncIterable<Uint8Array>;
  /** Trailers, as they are after the body. */
  trailers?: Headers | undefined;
  /** The messages between the first piece and the last. */
  live?: { channel: Channel; encode: Encode };
}

/** The limits of a channel. */
export type ChannelLimits = Pick<Limits, "watcherBytes" | "watcherStallMs">;

/** `all` counts the unread bytes of all channels. `holder` returns the channel's caller. */
export function createChannel(
  { watcherBytes, watcherStallMs }: ChannelLimits,
  all: Backlog,
  holder: () => string,
): Channel {
  const held: Message[] = [];
  let isFirst = true;
  let isRefused = false;
  let target: Outflow | undefined;
  let encodeFor: Encode;
  const opened = Promise.withResolvers<boolean>();
  const first = Promise.withResolvers<Message>();

  let counted = 0;
  function count(): void {
    const unread = target && !target.isGone ? target.unread : 0;
    all.change(holder(), unread - counted);
    counted = unread;
  }

  function hold(message: Message): boolean {
    if (held.length >= MAX_HELD) return false;
    if (isFirst) first.resolve(message);
    else held.push(message);
    isFirst = false;
    return true;
  }

  return {
    send(message) {
      if (!target) return hold(message);
      if (target.isGone) return true;
      const frame = encodeFor(message);
      const { unread } = target;
      const limit = Math.min(watcherBytes, all.limit(holder()));
      isRefused = unread > 0 && unread + frame.byteLength > limit;
      if (!isRefused) target.write(frame);
      count();
      return !isRefused;
    },
    ready() {
      if (!target) return opened.promise;
      if (target.isGone || target.unread <= (isRefused ? 0 : watcherBytes / 4)) return undefined;
      return target.drained(watcherStallMs);
    },
    first: async (ended) => (await Promise.race([first.promise, ended])) ?? undefined,
    open(outflow, encode) {
      target = outflow;
      encodeFor = encode;
      outflow.onTaken(count);
      for (const message of held.splice(0)) outflow.write(encode(message));
      count();
      opened.resolve(true);
    },
  };
}

/**
 * Writes the response, with the channel's messages between its first piece and its last. Without a channel, a client
 * that reads nothing for `stallMs` is cut off. Rejects with the body's error.
 */
export async function writeStreamed(
  { status, headers, body, trailers, live }: Streamed,
  exchange: Exchange,
  stallMs: number,
): Promise<void> {
  const outflow = createOutflow(exchange.out);
  const chunks = body[Symbol.asyncIterator]();
  let taking: Promise<void> | undefined;

  /** Resolves when everything is read. Aborts the response if the client makes no progress. */
  async function taken(): Promise<void> {
    while (!(await outflow.drained(stallMs))) {
      // An HTTP/1.1 response that waits for an earlier one is not stalled.
      if (exchange.isInLine) continue;
      exchange.cut();
      break;
    }
    taking = undefined;
  }

  /** Waits if much is unread. Watches the client otherwise, too, because the next piece may come much later. */
  async function write(bytes: Uint8Array): Promise<void> {
    const isLittle = outflow.write(bytes);
    if (live) return;
    taking ??= taken();
    if (!isLittle) await taking;
  }

  try {
    let chunk = await chunks.next();
    exchange.begin(status, headers, trailers !== undefined);
    if (!chunk.done) await write(chunk.value);
    live?.channel.open(outflow, live.encode);
    while (!chunk.done) {
      chunk = await chunks.next();
      if (!chunk.done && !exchange.isGone) await write(chunk.value);
    }
  } finally {
    void chunks.return?.().catch(() => {});
  }
  if (exchange.isGone) return;
  outflow.flush();
  exchange.end(trailers && Object.fromEntries(trailers));
}
