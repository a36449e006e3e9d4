import { refusal, rpcErrorOf, toRpcError } from "../rpc/errors.ts";
import type { CallObserver, CallSystem, ObservedCall } from "../rpc/observer.ts";
import type { Call, Pipeline } from "../rpc/pipeline.ts";
import type { Shares } from "../rpc/shares.ts";
import { type ConsoleSettings, createConsoleDoor } from "./console/door.ts";
import { createConnectDoor } from "./grpc/connect-door.ts";
import { createUnaryDoor } from "./grpc/unary-door.ts";
import { corsHeaders, isPreflight } from "./http/cors.ts";
import { type Answer, type Exchange, headerOf } from "./http/exchange.ts";
import { createPathOf, isRpcPath } from "./http/request-path.ts";
import { statusAnswer } from "./http/status.ts";
import { createUnread } from "./http/unread-answers.ts";
import type { Limits } from "./limits.ts";
import { createHint } from "./rest/addresses.ts";
import { type AuthzSettings, createAuthzDoor } from "./rest/authz.ts";
import { createRestDoor } from "./rest/door.ts";
import { createIntrospectionDoor } from "./rest/introspection.ts";
import { createOpenApiDoor } from "./rest/openapi.ts";
import { createProbesDoor } from "./rest/probes.ts";
import { type Streamed, writeStreamed } from "./streams/channel.ts";

export interface DispatchParts {
  pipeline: Pipeline;
  /** Adds the services that need no token. */
  open: Parameters<typeof createConnectDoor>[1];
  /** False: Connect's router serves unary calls, too. */
  unaryDoor: boolean;
  shares: Shares;
  /** Whether calls can be served, for load balancers. */
  isReady: () => Promise<boolean>;
  corsOrigins: readonly string[];
  authz: AuthzSettings;
  /** Undefined: there is no console. */
  console?: ConsoleSettings | undefined;
  limits: Limits;
  newId: () => string;
  /** See each call; none by default. */
  observers?: readonly CallObserver[];
  /** Called with errors outside of a call. */
  onFailure(error: unknown): void;
}

/** Opens every door. Returns a function that finds the door for a request and sends its response. It never throws. */
export function createDispatch(parts: DispatchParts): (exchange: Exchange) => void {
  const { pipeline, limits, shares, observers = [] } = parts;
  const { streamEndMs } = limits;
  const unary = parts.unaryDoor ? createUnaryDoor(pipeline, limits, shares) : undefined;
  const connect = createConnectDoor(pipeline, parts.open, limits, shares, createHint([], pipeline.methods));
  const rest = createRestDoor(pipeline, limits, shares);
  const introspection = createIntrospectionDoor(pipeline, limits, shares);
  const authz = createAuthzDoor(pipeline, limits, parts.authz);
  const consoleDoor = parts.console && createConsoleDoor(pipeline, limits, shares, parts.console);
  const probes = createProbesDoor(parts.isReady);
  const openApi = createOpenApiDoor();
  const pathOf = createPathOf();
  const unread = createUnread(streamEndMs);

  return (exchange) => {
    // It ended before a listener could be added.
    if (exchange.isGone) return;
    const requestId = requestIdOf(exchange, parts.newId);
    const observed = begin(exchange, requestId);
    const gone = new AbortController();
    let isAnswered = false;
    exchange.onClose(() => {
      if (isAnswered) unread.delete(exchange);
      else gone.abort();
    });
    respond(exchange, { requestId, observed, signal: gone.signal })
      .then(async (response) => {
        if (observed) observed.status = response.status;
        if (exchange.isHead) {
          // Node refuses to write content in an HTTP/2 response to HEAD. The abort ends a stream that has begun.
          exchange.answer({ status: response.status, headers: response.headers });
          gone.abort();
        } else if (isStreamed(response)) await writeStreamed(response, exchange, streamEndMs);
        else exchange.answer(response);
        isAnswered = true;
        if (!exchange.isGone) unread.add(exchange);
        if (observed) end(observed);
      })
      .catch((error) => {
        const { isGone } = exchange;
        if (!isGone) parts.onFailure(error);
        exchange.cut();
        if (observed) end(observed, isGone ? undefined : error);
      });
  };

  function begin(exchange: Exchange, requestId: string): ObservedCall | undefined {
    if (observers.length === 0) return undefined;
    const { address, headers, verb, scheme } = exchange;
    const traceparent = headerOf(headers, "traceparent");
    const observed = {
      system: systemOf(exchange),
      requestId,
      address,
      verb,
      scheme,
      traceparent,
      tracestate: headerOf(headers, "tracestate"),
      started: performance.now(),
      traceId: traceIdOf(traceparent),
    };
    for (const observer of observers) observer.began(observed);
    return observed;
  }

  function end(observed: ObservedCall, error?: unknown): void {
    if (error !== undefined) observed.error ??= toRpcError(error, observed.requestId);
    for (const observer of observers) observer.ended(observed);
  }

  async function respond(
    exchange: Exchange,
    { requestId, observed, signal }: Pick<Call, "requestId" | "observed" | "signal">,
  ): Promise<Answer | Streamed> {
    const { headers } = exchange;
    const requestPath = pathOf(exchange);
    if (!requestPath) {
      const error = refusal("INVALID_REQUEST", "The Host (or :authority) or the path of the request is invalid.");
      return statusAnswer(rpcErrorOf(error), undefined, { "x-request-id": requestId });
    }
    const call: Call = {
      requestId,
      authorization: headers.authorization ?? consoleDoor?.authorizationOf(exchange),
      address: exchange.address,
      userAgent: headers["user-agent"],
      idempotencyKey: headerOf(headers, "idempotency-key"),
      timeoutMs: undefined,
      signal,
      response: {},
      retirement: exchange.retirement,
      observed,
    };
    const { path } = requestPath;
    // First, because a gateway takes every 2xx for a yes: also that of a preflight, or of a gRPC error.
    const verdict = authz(exchange, requestPath, call);
    if (verdict) {
      const { headers: shown, ...rest } = await verdict;
      return { ...rest, headers: { ...shown, "x-request-id": requestId } };
    }
    const response: Answer | Streamed = isPreflight(exchange)
      ? { status: 204, headers: {} }
      : await (unary?.(exchange, path, call) ??
          connect(exchange, requestPath, call) ??
          probes(exchange.verb, path) ??
          openApi(exchange, path) ??
          consoleDoor?.(exchange, requestPath, call) ??
          introspection(exchange, path, call) ??
          rest(exchange, requestPath, call));
    const cors = corsHeaders(exchange, parts.corsOrigins);
    const vary = [response.headers.vary, cors.vary].filter((value) => value !== undefined).join(", ");
    return {
      ...response,
      headers: {
        ...response.headers,
        ...cors,
        ...(vary && { vary }),
        "x-request-id": requestId,
        "cache-control": response.headers["cache-control"] ?? "no-store",
      },
    };
  }
}

/** The protocol that the request seems to have. */
function systemOf({ headers, target }: Exchange): CallSystem {
  if (!isRpcPath(target)) return "http";
  return headers["content-type"]?.startsWith("application/grpc") ? "grpc" : "connectrpc";
}

/** The id of the trace in a `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header). */
function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent && /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent)?.[1];
}

function isStreamed(response: Answer | Streamed): response is Streamed {
  return typeof response.body === "object" && Symbol.asyncIterator in response.body;
}

function requestIdOf({ headers }: Exchange, newId: () => string): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,100}$/.test(given) ? given : newId();
}
