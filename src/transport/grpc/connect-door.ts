import type { DescMethod, Message } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { refusal } from "../../rpc/errors.ts";
import { type Admitted, type AdmittedStream, type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import { holderOf, type Shares } from "../../rpc/shares.ts";
import { MAX_MESSAGE_BYTES, type Room, readWhole, roomsOf } from "../http/body.ts";
import { dropFarDeadlines } from "../http/deadline.ts";
import { COMPRESS_FROM_BYTES, codingOf, normalizeCodings, rpcCodingOf } from "../http/encoding.ts";
import type { Answer, Exchange, Fields } from "../http/exchange.ts";
import type { RequestPath } from "../http/request-path.ts";
import { allowOf, errorDetails, plainAnswer } from "../http/status.ts";
import { parseJson, readMessage } from "../json.ts";
import type { Limits } from "../limits.ts";
import { type Channel, type ChannelLimits, createChannel, type Streamed } from "../streams/channel.ts";
import { ENVELOPE_BYTES, framesOf, onlyMessage, wholeFrames } from "../streams/frames.ts";
import { decodeText, parseForm } from "../text.ts";
import { inProtocolOf, ownErrorOf, toConnectError, unescapeMessage } from "./errors.ts";
import { fromText, isGrpcWebText, textBytesOf, toBinaryHeader, toTextResponse } from "./grpc-web-text.ts";

/**
 * The door of Connect, gRPC and gRPC-Web for all but unary calls: streams, GET, health and reflection. Undefined for an
 * unknown path, unless the request uses one of the protocols: then it answers with their error.
 */
export type ConnectDoor = (
  exchange: Exchange,
  requestPath: RequestPath,
  call: Call,
) => Promise<Answer | Streamed> | Answer | undefined;

/** The state of a call in Connect's handler. */
interface Visit {
  call: Call;
  method: DescMethod;
  admitted: Admitted | AdmittedStream | undefined;
  /** For a streaming method. */
  channel: Channel | undefined;
  /** The holder of its share, and its reservation there. */
  holder: string;
  room: Room;
  /** The time to receive the body, milliseconds. */
  bodyMs: number;
  /** Whether the message was decoded. */
  isRead: boolean;
}

/** The encoding of a request's messages. `isCoded`: its headers name a coding. */
type Form = Record<"isText" | "isFramed" | "isCoded", boolean>;

const VISIT = createContextKey<Visit | undefined>(undefined);

function visitOf(values: ContextValues): Visit {
  return values.get(VISIT) as Visit;
}

const OPTIONS = {
  acceptCompression: [compressionGzip],
  compressMinBytes: COMPRESS_FROM_BYTES,
  readMaxBytes: MAX_MESSAGE_BYTES,
};

/** The content types of RPCs, of which each method supports some, and the base64 type, which all support. */
const RPC_TYPES = ["", "connect+", "grpc+", "grpc-web+"].flatMap((protocol) =>
  ["json", "proto"].map((format) => `application/${protocol}${format}`),
);
const TEXT_TYPE = "application/grpc-web-text+proto";

/** Connect parses JSON itself, but accepts a text decoder. That is where JSON is checked as on the other doors. */
const jsonOptions = (check?: (bytes: Uint8Array) => unknown) => ({
  registry: errorDetails,
  textDecoder: {
    decode(bytes: Uint8Array) {
      check?.(bytes);
      return decodeText(bytes);
    },
  },
});

/** What an open service needs from the door. */
export interface OpenCalls {
  /** Converts an error for the caller. */
  explain(error: unknown, context: HandlerContext): ConnectError;
  /** The holder of the call's share: its address, because the caller is unknown. */
  holderOf(context: HandlerContext): string;
}

/** `open` adds services that need no token, such as health. */
export function createConnectDoor(
  pipeline: Pipeline,
  open: (router: ConnectRouter, calls: OpenCalls) => void,
  limits: Pick<Limits, "bodyMs" | "reflectionIdleMs"> & ChannelLimits,
  shares: Shares,
): ConnectDoor {
  const rooms = roomsOf(shares);
  const gated = createConnectRouter({ ...OPTIONS, requestGate: (context) => admit(pipeline, rooms, context) });
  const streams = new Map<DescMethod, ReturnType<typeof framesOf>>();
  for (const method of pipeline.methods) {
    const options = { jsonOptions: jsonOptions((bytes) => readMessage(method.input, parseJson(bytes))) };
    if (isUnary(method)) gated.rpc(method, (request, { values }) => invoke(request, values), options);
    else {
      gated.rpc(method, (request, { values }) => stream(request, values), options);
      streams.set(method, framesOf(method.output));
    }
  }
  const ungated = createConnectRouter({
    ...OPTIONS,
    jsonOptions: jsonOptions(),
    requestGate: (context) => watchErrors(pipeline, context),
  });
  open(ungated, {
    explain(error, { signal, values }) {
      // A consequence of the call's end is not an error of its own.
      if (signal.aborted) return ConnectError.from(signal.reason);
      return toConnectError(error instanceof ConnectError ? error : pipeline.explain(error, visitOf(values).call));
    },
    holderOf: ({ values }) => holderOf(visitOf(values).call.address),
  });

  /** The body of a request in Connect's form: one piece per message. */
  async function* bodyOf(exchange: Exchange, { isText, isFramed, isCoded }: Form, visit: Visit) {
    const { method, room, bodyMs } = visit;
    const maxBytes = MAX_MESSAGE_BYTES;
    try {
      if (method.methodKind === "bidi_streaming" && !isText) {
        yield* wholeFrames(exchange, { limit: maxBytes, timeoutMs: limits.reflectionIdleMs, room }, isCoded);
        return;
      }
      const bytes = ENVELOPE_BYTES + maxBytes;
      const limit = isText ? textBytesOf(bytes) : bytes;
      const content = await readWhole(exchange, { limit, maxBytes, timeoutMs: bodyMs, room });
      const body = isText ? fromText(content) : content;
      if (isFramed) onlyMessage(body, { maxBytes, isCoded });
      yield body;
    } catch (error) {
      throw toConnectError(pipeline.explain(error, visit.call));
    }
  }

  const handlers = new Map([...gated.handlers, ...ungated.handlers].map((handler) => [handler.requestPath, handler]));
  async function serve(handler: UniversalHandler, exchange: Exchange, href: string, call: Call): Promise<Streamed> {
    const header = headersOf(exchange);
    const isText = isGrpcWebText(header.get("content-type") ?? undefined);
    const frames = streams.get(handler.method);
    const channel = frames && createChannel(limits, shares.backlog, () => visit.holder);
    const holder = holderOf(call.address);
    const visit: Visit = {
      call,
      method: handler.method,
      admitted: undefined,
      channel,
      holder,
      room: rooms.open(holder),
      bodyMs: limits.bodyMs,
      isRead: false,
    };
    const contextValues = createContextValues().set(VISIT, visit);
    if (isText) toBinaryHeader(header);
    dropFarDeadlines(header);
    normalizeCodings(header);
    // The coding of a Connect GET is in its query.
    const url = href.replace(/(?<=[?&]compression=)[^&]*/, codingOf);
    const { coding, known } = rpcCodingOf(header);
    const isJson = /[+/]json\b/i.test(header.get("content-type") ?? "");
    const form = { isText, isFramed: isFramed(header), isCoded: coding !== "identity" };
    const body = bodyOf(exchange, form, visit);
    const { httpVersion, verb: method } = exchange;
    const request = { httpVersion, method, url, header, signal: call.signal, contextValues, body };
    const response = toStreamed(await handler(request), known);
    const live = channel && { channel, encode: isJson ? frames.json : frames.proto };
    const streamed = live ? { ...response, live } : response;
    return isText ? toTextResponse(streamed) : streamed;
  }

  return (exchange, { path, query, href }, call) => {
    const handler = handlers.get(path);
    if (!handler) {
      return inProtocolOf(exchange.headers, query, () => {
        const error = refusal("NOT_SERVED", `The method ${path.slice(0, 200)} does not exist.`);
        return toConnectError(pipeline.explain(error, call));
      });
    }
    // No body, because RPC clients would look for an error of their protocol in it.
    const { allowedMethods } = handler;
    if (!allowedMethods.includes(exchange.verb)) return plainAnswer(405, { allow: allowOf(allowedMethods) }, "");
    return serve(handler, exchange, href, call).then((response) => {
      if (response.status !== 415) return response;
      const accepted = RPC_TYPES.filter((type) => handler.supportedContentType(type)).concat(TEXT_TYPE);
      return plainAnswer(415, { "accept-post": accepted.join(", ") }, "");
    });
  };
}

function headersOf({ headers }: Exchange): Headers {
  const header = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":")) for (const each of [value ?? []].flat()) header.append(name, each);
  }
  return header;
}

/** Whether the message of a call is JSON. A call by GET says so in its query. */
function isJson({ requestMethod, requestHeader, url }: HandlerContext): boolean {
  if (requestMethod === "GET") return new URL(url).searchParams.get("encoding") === "json";
  return /[+/]json\b/i.test(requestHeader.get("content-type") ?? "");
}

async function admit(pipeline: Pipeline, rooms: ReturnType<typeof roomsOf>, context: HandlerContext): Promise<void> {
  const visit = visitOf(context.values);
  const { method } = context;
  watchErrors(pipeline, context);
  const timeoutMs = context.timeoutMs();
  visit.bodyMs = Math.min(Math.max(timeoutMs ?? visit.bodyMs, 0), visit.bodyMs);
  try {
    const call = { ...visit.call, timeoutMs, isJson: isJson(context) };
    const admitted = await (isUnary(method) ? pipeline.admit(method, call) : pipeline.admitStream(method, call));
    visit.admitted = admitted;
    visit.holder = admitted.holder;
    visit.room = rooms.ofCaller(admitted.holder);
    checkQuery(context);
  } catch (error) {
    throw toConnectError(pipeline.explain(error, visit.call));
  }
}

/** Throws INVALID_REQUEST for a Connect GET with invalid base64, which Connect would report as INTERNAL. */
function checkQuery({ requestMethod, url }: HandlerContext): void {
  if (requestMethod !== "GET") return;
  const query = parseForm(new URL(url).search.slice(1));
  if (query.get("base64") !== "1") return;
  try {
    base64Decode(query.get("message") ?? "");
  } catch {
    throw refusal("INVALID_REQUEST", "The message is not valid base64.");
  }
}

async function invoke(request: Message, values: ContextValues): Promise<Message> {
  const visit = visitOf(values);
  visit.isRead = true;
  try {
    return await (visit.admitted as Admitted)(request);
  } catch (error) {
    throw toConnectError(error);
  }
}

/** Gives Connect the first message and the end. The channel sends the messages in between. */
async function* stream(request: Message, values: ContextValues): AsyncGenerator<Message> {
  const visit = visitOf(values);
  const channel = visit.channel as Channel;
  visit.isRead = true;
  const ended = (visit.admitted as AdmittedStream)(request, channel).catch((error) => {
    throw toConnectError(error);
  });
  ended.catch(() => {});
  const first = await channel.first(ended);
  if (first) yield first;
  await ended;
}

/** Whether messages are framed, as in all but Connect's unary calls. */
function isFramed(header: Headers): boolean {
  return /^application\/(grpc|connect\+)/i.test(header.get("content-type") ?? "");
}

/** In gRPC the trailers with the error are complete once the body has ended. */
function toStreamed({ status, header, body, trailer }: UniversalServerResponse, more: Fields): Streamed {
  async function* pieces() {
    if (body) yield* body;
    if (trailer) unescapeMessage(trailer);
  }
  return { status, headers: { ...Object.fromEntries(header ?? []), ...more }, body: pieces(), trailers: trailer };
}

/**
 * Gives Connect's own errors, such as of an invalid message, a reason and a message that fits into a header. Every
 * handler aborts its signal with the error before it writes it, so the signal is where to change it.
 */
function watchErrors(pipeline: Pipeline, { signal, values }: HandlerContext): void {
  signal.addEventListener("abort", () => {
    const error: unknown = signal.reason;
    if (!(error instanceof ConnectError) || error.details.length > 0) return;
    const { isRead, call } = visitOf(values);
    const own = ownErrorOf(error, isRead);
    if (own) Object.assign(error, toConnectError(pipeline.explain(own, call)));
  });
}
