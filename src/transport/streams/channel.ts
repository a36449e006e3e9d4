import type { Message } from "@bufbuild/protobuf";
import type { Outlet } from "../../rpc/handler.ts";
import type { Backlog } from "../../rpc/shares.ts";
import type { Exchange, Fields } from "../http/exchange.ts";
import type { Limits } from "../limits.ts";
import { createOutflow, type Outflow } from "./backpressure.ts";
import type { Encode } from "./frames.ts";

/** Messages that are held at most until the response is there, which takes a few turns of the event loop. */
const MAX_HELD = 100;

/**
 * The way of a stream's messages past the door's own pipeline: straight into the response, as bytes that all who are
 * sent the message share. The door writes the first message and the end.
 */
export interface Channel extends Outlet {
  /** The first message, which goes no other way; undefined if the stream ends before it. */
  first(ended: Promise<void>): Promise<Message | undefined>;
  /** Sends what has come meanwhile, and from now on each message as it comes. */
  open(outflow: Outflow, encode: Encode): void;
}

/** A response that comes in pieces. */
export interface Streamed {
  status: number;
  headers: Fields;
  body: AsyncIterable<Uint8Array>;
  /** Fields that follow the body, as they are once it has ended. */
  trailers?: Headers | undefined;
  /** What goes out between the first piece and the last. */
  live?: { channel: Channel; encode: Encode };
}

/** What a channel needs to know of the limits. */
export type ChannelLimits = Pick<Limits, "watcherBytes" | "watcherStallMs">;

/** `all` is what is unread of all channels, and `holder` says whose this one is. */
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
 * Writes the response, and between its first bytes and its last those of its channel. Without a channel, a client that
 * takes nothing for `stallMs` is cut off. Rejects with what the body throws.
 */
export async function writeStreamed(
  { status, headers, body, trailers, live }: Streamed,
  exchange: Exchange,
  stallMs: number,
): Promise<void> {
  const outflow = createOutflow(exchange.out);
  const chunks = body[Symbol.asyncIterator]();
  let taking: Promise<void> | undefined;

  /** Resolves when all is taken; cuts a client who takes nothing. */
  async function taken(): Promise<void> {
    while (!(await outflow.drained(stallMs))) {
      // A response of HTTP/1.1 that waits for an earlier one is not stalled.
      if (exchange.isInLine) continue;
      exchange.cut();
      break;
    }
    taking = undefined;
  }

  /** Waits where much is unread. Little is watched, too: the next piece of a stream may be far away. */
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
