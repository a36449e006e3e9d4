import { refusal, rpcErrorOf } from "../rpc/errors.ts";
import type { Call, Pipeline } from "../rpc/pipeline.ts";
import type { ConnectDoor } from "./grpc/connect-door.ts";
import type { UnaryDoor } from "./grpc/unary-door.ts";
import { corsHeaders, isPreflight } from "./http/cors.ts";
import { type Answer, type Exchange, headerOf } from "./http/exchange.ts";
import { createPathOf } from "./http/request-path.ts";
import { statusAnswer } from "./http/status.ts";
import { createUnread } from "./http/unread-answers.ts";
import type { Limits } from "./limits.ts";
import type { RestDoor } from "./rest/door.ts";
import type { IntrospectionDoor } from "./rest/introspection.ts";
import type { ProbesDoor } from "./rest/probes.ts";
import { type Streamed, writeStreamed } from "./streams/channel.ts";

interface Doors {
  pipeline: Pipeline;
  /** Undefined: Connect's router serves unary calls, too. */
  unary: UnaryDoor | undefined;
  connect: ConnectDoor;
  rest: RestDoor;
  introspection: IntrospectionDoor;
  probes: ProbesDoor;
  corsOrigins: readonly string[];
  limits: Pick<Limits, "streamEndMs">;
  newId: () => string;
  /** Called with errors outside of a call. */
  onFailure(error: unknown): void;
}

/** Finds the door for a request and sends its response. Never throws. */
export function createDispatch(doors: Doors): (exchange: Exchange) => void {
  const { streamEndMs } = doors.limits;
  const pathOf = createPathOf();
  const unread = createUnread(streamEndMs);

  return (exchange) => {
    // It ended before a listener could be added.
    if (exchange.isGone) return;
    const requestId = requestIdOf(exchange, doors.newId);
    const gone = new AbortController();
    let isAnswered = false;
    exchange.onClose(() => {
      if (isAnswered) unread.delete(exchange);
      else gone.abort();
    });
    respond(exchange, requestId, gone.signal)
      .then(async (response) => {
        if (exchange.isHead) {
          // Node refuses to write content in an HTTP/2 response to HEAD. The abort ends a stream that has begun.
          exchange.answer({ status: response.status, headers: response.headers });
          gone.abort();
        } else if (isStreamed(response)) await writeStreamed(response, exchange, streamEndMs);
        else exchange.answer(response);
        isAnswered = true;
        if (!exchange.isGone) unread.add(exchange);
      })
      .catch((error) => {
        if (!exchange.isGone) doors.onFailure(error);
        exchange.cut();
      });
  };

  async function respond(exchange: Exchange, requestId: string, signal: AbortSignal): Promise<Answer | Streamed> {
    const { headers } = exchange;
    const requestPath = pathOf(exchange);
    if (!requestPath) {
      const error = refusal("INVALID_REQUEST", "The Host (or :authority) or the path of the request is invalid.");
      return statusAnswer(rpcErrorOf(error), undefined, { "x-request-id": requestId });
    }
    const call: Call = {
      requestId,
      authorization: headers.authorization,
      address: exchange.address,
      userAgent: headers["user-agent"],
      idempotencyKey: headerOf(headers, "idempotency-key"),
      timeoutMs: undefined,
      signal,
    };
    const { path } = requestPath;
    const response: Answer | Streamed = isPreflight(exchange)
      ? { status: 204, headers: {} }
      : await (doors.unary?.(exchange, path, call) ??
          doors.connect(exchange, requestPath, call) ??
          doors.probes(exchange.verb, path) ??
          doors.introspection(exchange, path, call) ??
          doors.rest(exchange, requestPath, call));
    const cors = corsHeaders(exchange, doors.corsOrigins);
    const vary = [response.headers.vary, cors.vary].filter((value) => value !== undefined).join(", ");
    return {
      ...response,
      headers: {
        ...response.headers,
        ...cors,
        ...(vary && { vary }),
        "x-request-id": requestId,
        "cache-control": "no-store",
      },
    };
  }
}

function isStreamed(response: Answer | Streamed): response is Streamed {
  return typeof response.body === "object" && Symbol.asyncIterator in response.body;
}

function requestIdOf({ headers }: Exchange, newId: () => string): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,100}$/.test(given) ? given : newId();
}
