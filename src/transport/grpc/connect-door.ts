import type { DescMethod, Registry } from "@bufbuild/protobuf";
import { ConnectError, type ConnectRouter, createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { refusal } from "../../rpc/errors.ts";
import { type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import { holderOf, type Shares } from "../../rpc/shares.ts";
import { MAX_MESSAGE_BYTES, maxBytesOf, readWhole, roomsOf } from "../http/body.ts";
import { dropFarDeadlines } from "../http/deadline.ts";
import { COMPRESS_FROM_BYTES, codingOf, normalizeCodings, rpcCodingOf } from "../http/encoding.ts";
import type { Answer, Exchange, Fields } from "../http/exchange.ts";
import type { RequestPath } from "../http/request-path.ts";
import { allowOf, plainAnswer } from "../http/status.ts";
import { parseJson, readMessage } from "../json.ts";
import type { Limits } from "../limits.ts";
import { type ChannelLimits, createChannel, type Streamed } from "../streams/channel.ts";
import { ENVELOPE_BYTES, framesOf, onlyMessage, wholeFrames } from "../streams/frames.ts";
import { decodeText } from "../text.ts";
import { admit, admitOpen, invoke, markRead, stream, type Visit, valuesOf, visitOf } from "./connect-calls.ts";
import { inProtocolOf, toConnectError, unescapeMessage } from "./errors.ts";
import { fromText, isGrpcWebText, textBytesOf, toBinaryHeader, toTextResponse } from "./grpc-web-text.ts";

/**
 * The door of Connect, gRPC and gRPC-Web for all but unary calls: streams, GET, health and reflection. Undefined for an
 * unknown path, unless it has the form of a method's and the request uses one of the protocols: then it answers with
 * their error.
 */
export type ConnectDoor = (
  exchange: Exchange,
  requestPath: RequestPath,
  call: Call,
) => Promise<Answer | Streamed> | Answer | undefined;

/** The encoding of a request's messages. `isCoded`: its headers name a coding. */
type Form = Record<"isText" | "isFramed" | "isCoded", boolean>;

/** The content types of RPCs, of which each method supports some, and the base64 type, which all support. */
const RPC_TYPES = ["", "connect+", "grpc+", "grpc-web+"].flatMap((protocol) =>
  ["json", "proto"].map((format) => `application/${protocol}${format}`),
);
const TEXT_TYPE = "application/grpc-web-text+proto";

/** Connect parses JSON itself, but accepts a text decoder. That is where JSON is checked as on the other doors. */
const jsonOptions = (registry: Registry, check?: (bytes: Uint8Array) => unknown) => ({
  registry,
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
  /** Aborts when the call is over, or its connection has reached its age. */
  endOf(context: HandlerContext): AbortSignal;
}

/**
 * `open` adds services that need no token, such as health. `hint` returns a sentence about a similar path, or nothing.
 */
export function createConnectDoor(
  pipeline: Pipeline,
  open: (router: ConnectRouter, calls: OpenCalls) => void,
  limits: Pick<Limits, "bodyMs" | "reflectionIdleMs"> & ChannelLimits,
  shares: Shares,
  hint: (verb: string, path: string) => string,
): ConnectDoor {
  const { types } = pipeline;
  const rooms = roomsOf(shares);
  const common = {
    acceptCompression: [compressionGzip],
    compressMinBytes: COMPRESS_FROM_BYTES,
    interceptors: [markRead(pipeline)],
  };
  const gated = createConnectRouter({ ...common, requestGate: (context) => admit(pipeline, rooms, context) });
  const streams = new Map<DescMethod, ReturnType<typeof framesOf>>();
  for (const method of pipeline.methods) {
    const checkJson = (bytes: Uint8Array) => readMessage(method.input, parseJson(bytes), { types });
    const options = { readMaxBytes: maxBytesOf(method), jsonOptions: jsonOptions(types, checkJson) };
    if (isUnary(method)) gated.rpc(method, invoke, options);
    else {
      gated.rpc(method, stream, options);
      streams.set(method, framesOf(method.output));
    }
  }
  const ungated = createConnectRouter({
    ...common,
    readMaxBytes: MAX_MESSAGE_BYTES,
    jsonOptions: jsonOptions(types),
    requestGate: (context) => admitOpen(pipeline, context),
  });
  open(ungated, {
    explain(error, { signal, values }) {
      // A consequence of the call's end is not an error of its own.
      if (signal.aborted) return ConnectError.from(signal.reason);
      return toConnectError(error instanceof ConnectError ? error : pipeline.explain(error, visitOf(values).call));
    },
    holderOf: ({ values }) => holderOf(visitOf(values).call.address),
    endOf: ({ signal, values }) => AbortSignal.any([signal, visitOf(values).call.retirement ?? signal]),
  });

  /** The body of a request in Connect's form: one piece per message. */
  async function* bodyOf(exchange: Exchange, { isText, isFramed, isCoded }: Form, visit: Visit) {
    const { method, room, bodyMs } = visit;
    const maxBytes = maxBytesOf(method);
    try {
      if (isStreamed(method) && !isText) {
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
    if (call.observed) call.observed.method = handler.method;
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
    const contextValues = valuesOf(visit);
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
      return inProtocolOf(exchange, { path, query }, () => {
        const meant = hint(exchange.verb, path);
        const error = refusal("NOT_SERVED", `There is nothing at ${path.slice(0, 200)}.${meant}`);
        return toConnectError(pipeline.explain(error, call));
      });
    }
    // No body, because RPC clients would look for an error of their protocol in it.
    const { allowedMethods } = handler;
    if (!allowedMethods.includes(exchange.verb)) {
      pipeline.explain(refusal("NOT_SERVED", `The method does not take ${exchange.verb}.`), call);
      return plainAnswer(405, { allow: allowOf(allowedMethods) }, "");
    }
    return serve(handler, exchange, href, call).then((response) => {
      if (response.status !== 415) return response;
      pipeline.explain(refusal("INVALID_REQUEST", "The content type is not supported."), call);
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

/** Whether the request is a stream. */
function isStreamed({ methodKind }: DescMethod): boolean {
  return methodKind === "bidi_streaming" || methodKind === "client_streaming";
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
