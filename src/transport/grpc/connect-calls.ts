import type { DescMethod, Message } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  ConnectError,
  type ContextValues,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { RpcError, refusal } from "../../rpc/errors.ts";
import type { ResponseFields } from "../../rpc/handler.ts";
import { type Admitted, type AdmittedStream, type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import { maxBytesOf, type Room, type roomsOf } from "../http/body.ts";
import type { Channel } from "../streams/channel.ts";
import { parseForm } from "../text.ts";
import { ownErrorOf, toConnectError, VERSION_HEADER } from "./errors.ts";

/** The state of a call in Connect's handler. */
export interface Visit {
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

const VISIT = createContextKey<Visit | undefined>(undefined);

export function visitOf(values: ContextValues): Visit {
  return values.get(VISIT) as Visit;
}

/** The values that give Connect's handler the state of its call. */
export function valuesOf(visit: Visit): ContextValues {
  return createContextValues().set(VISIT, visit);
}

/** Whether the message of a call is JSON. A call by GET says so in its query. */
function isJson({ requestMethod, requestHeader, url }: HandlerContext): boolean {
  if (requestMethod === "GET") return new URL(url).searchParams.get("encoding") === "json";
  return /[+/]json\b/i.test(requestHeader.get("content-type") ?? "");
}

/** Admits the caller before the request is read. Rejects with a ConnectError. */
export async function admit(
  pipeline: Pipeline,
  rooms: ReturnType<typeof roomsOf>,
  context: HandlerContext,
): Promise<void> {
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
    checkVersion(context);
    checkQuery(context);
  } catch (error) {
    throw toConnectError(pipeline.explain(error, visit.call));
  }
}

/** Admits a caller without a token, to a service that needs none. Throws a ConnectError. */
export function admitOpen(pipeline: Pipeline, context: HandlerContext): void {
  watchErrors(pipeline, context);
  try {
    checkVersion(context);
  } catch (error) {
    throw toConnectError(pipeline.explain(error, visitOf(context.values).call));
  }
}

/** Throws INVALID_REQUEST for a version of Connect's protocol other than 1. The header or parameter may be missing. */
function checkVersion({ protocolName, requestMethod, requestHeader, url }: HandlerContext): void {
  if (protocolName !== "connect") return;
  const [name, known, given] =
    requestMethod === "GET"
      ? (["connect", "v1", new URL(url).searchParams.get("connect")] as const)
      : ([VERSION_HEADER, "1", requestHeader.get(VERSION_HEADER)] as const);
  if (given === null || given === known) return;
  throw refusal("INVALID_REQUEST", `${name}: must be ${known}, not ${JSON.stringify(given.slice(0, 20))}.`);
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

/** Calls the handler of a unary method. */
export async function invoke(request: Message, context: HandlerContext): Promise<Message> {
  const visit = visitOf(context.values);
  try {
    return await (visit.admitted as Admitted)(request);
  } catch (error) {
    throw toConnectError(error);
  } finally {
    addFields(context, visit.call.response);
  }
}

/** Gives Connect the first message and the end. The channel sends the messages in between. */
export async function* stream(request: Message, context: HandlerContext): AsyncGenerator<Message> {
  const visit = visitOf(context.values);
  const channel = visit.channel as Channel;
  const ended = (visit.admitted as AdmittedStream)(request, channel).catch((error) => {
    throw toConnectError(error);
  });
  ended.catch(() => {});
  try {
    const first = await channel.first(ended);
    addFields(context, visit.call.response);
    if (first) yield first;
    await ended;
  } finally {
    addFields(context, visit.call.response);
  }
}

/** Adds what a handler set, but no field that Connect has set. */
function addFields(context: HandlerContext, { headers = {}, trailers = {} }: ResponseFields): void {
  for (const [to, fields] of [
    [context.responseHeader, headers],
    [context.responseTrailer, trailers],
  ] as const) {
    for (const [name, value] of Object.entries(fields)) if (!to.has(name)) to.set(name, value);
  }
}

/**
 * Gives Connect's own errors, such as of an invalid message, a reason and a message that fits into a header. Every
 * handler aborts its signal with the error before it writes it, so the signal is where to change it.
 */
function watchErrors(pipeline: Pipeline, { method, signal, values }: HandlerContext): void {
  signal.addEventListener("abort", () => {
    const error: unknown = signal.reason;
    if (!(error instanceof ConnectError)) return;
    const { call, isRead } = visitOf(values);
    const own = ownError(pipeline, error, { call, method, isRead });
    if (own) Object.assign(error, own);
  });
}

/** Connect's own error with a reason; undefined for other errors, and for a fault of the server. */
function ownError(
  pipeline: Pipeline,
  error: ConnectError,
  { call, method, isRead }: Pick<Visit, "call" | "method" | "isRead">,
): ConnectError | undefined {
  if (error.cause instanceof RpcError) return undefined;
  const own = ownErrorOf(error, { isRead, maxBytes: maxBytesOf(method) });
  return own && toConnectError(pipeline.explain(own, call));
}

/**
 * From here on an error is not the request's: its message is read. Only a request stream is still to be read, so errors
 * of its messages are converted as they are read.
 */
export function markRead(pipeline: Pipeline): Interceptor {
  return (next) => (request) => {
    const visit = visitOf(request.contextValues);
    visit.isRead = true;
    if (!request.stream) return next(request);
    const { message, method } = request;
    async function* messages() {
      try {
        yield* message;
      } catch (error) {
        const own =
          error instanceof ConnectError && ownError(pipeline, error, { call: visit.call, method, isRead: false });
        throw own || error;
      }
    }
    return next({ ...request, message: messages() });
  };
}
