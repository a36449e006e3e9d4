import type { IncomingHttpHeaders } from "node:http";
import { type DescMessage, type DescMethod, type Message, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import {
  EventSchema,
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  type WatchLocksRequest,
  type WatchLocksResponse,
  WatchLocksResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { statusJson } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import { type AdmittedStream, type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import type { Backlog } from "../../rpc/shares.ts";
import { type ChannelLimits, createChannel, type Streamed } from "../streams/channel.ts";
import type { Encode } from "../streams/frames.ts";

/** How long a browser waits before it reconnects, milliseconds. */
const RETRY_MS = 1_000;

/**
 * A stream of messages with cursors as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). The id of each is
 * its cursor, from which a browser resumes automatically. A message with only an id updates the cursor without an
 * event. Rejects with an RpcError if the stream ends before its first message. A later error is an event `error` with a
 * google.rpc.Status.
 */
export async function eventStream(
  pipeline: Pipeline,
  admitted: AdmittedStream,
  request: Message,
  call: Call,
  limits: ChannelLimits,
  backlog: Backlog,
): Promise<Streamed> {
  const channel = createChannel(limits, backlog, () => admitted.holder);
  const ended = admitted(request, channel);
  ended.catch(() => {});
  const first = await channel.first(ended);

  async function* body() {
    yield Buffer.concat([Buffer.from(`retry: ${RETRY_MS}\n`), ...(first ? [encode(first)] : [])]);
    try {
      await ended;
    } catch (error) {
      yield Buffer.from(`event: error\ndata: ${statusJson(pipeline.explain(error, call))}\n\n`);
    }
  }
  // X-Accel-Buffering keeps nginx from buffering the stream.
  const headers = { "content-type": "text/event-stream", "x-accel-buffering": "no" };
  return { status: 200, headers, body: body(), live: { channel, encode } };
}

/** A browser that reconnects repeats its URL, so Last-Event-ID takes precedence over `after`. */
export function resumeBehind(request: Message, headers: IncomingHttpHeaders): void {
  const id = headers["last-event-id"];
  if (typeof id === "string" && id !== "") (request as WatchEventsRequest | WatchLocksRequest).after = id;
}

/** Throws for a streaming method without cursors to resume from. */
export function checkStream(method: DescMethod): void {
  if (isUnary(method) || (ENCODINGS.has(method.output.typeName) && method.input.field.after)) return;
  throw new Error(`google.api.http of ${method.parent.typeName}.${method.name}: the stream has no cursors`);
}

const json = <Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>) =>
  `data: ${toJsonString(desc, message, { alwaysEmitImplicit: true })}\n`;

/** The data of each message that can be streamed. Undefined if it only keeps the stream alive. */
const ENCODINGS = new Map<string, (message: Message) => string | undefined>([
  [
    WatchEventsResponseSchema.typeName,
    (message) => {
      const { event } = message as WatchEventsResponse;
      return event && json(EventSchema, event);
    },
  ],
  [
    WatchLocksResponseSchema.typeName,
    (message) => {
      const locks = message as WatchLocksResponse;
      const isCurrent = locks.content.case === undefined && locks.cursor !== "";
      return isCurrent || locks.content.case ? json(WatchLocksResponseSchema, locks) : undefined;
    },
  ],
]);

const encode: Encode = oncePer((message) => {
  const { cursor } = message as WatchEventsResponse | WatchLocksResponse;
  const id = cursor === "" ? "" : `id: ${cursor}\n`;
  const data = ENCODINGS.get(message.$typeName)?.(message) ?? "";
  // A comment keeps proxies from closing the connection (section 9.2.7).
  return Buffer.from(`${id}${data}` === "" ? ":\n\n" : `${id}${data}\n`);
});
