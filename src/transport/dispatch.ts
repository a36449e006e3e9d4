import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { RpcError, refusal } from "../rpc/errors.ts";
import type { Call, Pipeline } from "../rpc/invoke.ts";
import { maxBytesOf } from "./body.ts";
import { type LiveResponse, writeLive } from "./channel.ts";
import type { ConnectDoor } from "./connect.ts";
import { corsHeaders, isPreflight } from "./cors.ts";
import { isGrpcWebText, toBinaryRequest, toTextResponse } from "./grpc-web-text.ts";
import type { IntrospectionDoor } from "./introspection.ts";
import type { Limits } from "./limits.ts";
import type { NodeRequest, NodeResponse } from "./listener.ts";
import type { RestDoor } from "./rest.ts";
import { statusResponse, wrongVerb } from "./status.ts";
import type { WebDoor } from "./web.ts";

export interface Doors {
  pipeline: Pipeline;
  connect: ConnectDoor;
  rest: RestDoor;
  introspection: IntrospectionDoor;
  web: WebDoor;
  corsOrigins: readonly string[];
  limits: Pick<Limits, "streamEndMs">;
  newId: () => string;
  /** Told of what went wrong outside of a call. */
  onFailure(error: unknown): void;
}

/** Finds the door for a request and sends back what comes out of it. It never throws. */
export function createDispatch(doors: Doors): (request: NodeRequest, response: NodeResponse) => void {
  return (nodeRequest, nodeResponse) => {
    const requestId = requestIdOf(nodeRequest, doors.newId);
    // Both are met again where the bytes are read or written.
    nodeRequest.on("error", () => {});
    nodeResponse.on("error", () => {});
    respond(nodeRequest, nodeResponse, requestId)
      .then((response) =>
        response.live && response.body
          ? writeLive(response, nodeResponse, doors.limits)
          : universalResponseToNodeResponse(response, nodeResponse),
      )
      .catch((error) => {
        if (!isGone(nodeRequest, nodeResponse)) doors.onFailure(error);
        nodeResponse.destroy();
      });
  };

  async function respond(
    nodeRequest: NodeRequest,
    nodeResponse: NodeResponse,
    requestId: string,
  ): Promise<LiveResponse> {
    const request = toUniversal(nodeRequest, nodeResponse);
    if (request instanceof RpcError) return withHeaders(statusResponse(request), { "x-request-id": requestId });
    const call: Call = {
      requestId,
      authorization: request.header.get("authorization") ?? undefined,
      address: nodeRequest.socket.remoteAddress,
      userAgent: request.header.get("user-agent") ?? undefined,
      idempotencyKey: request.header.get("idempotency-key") ?? undefined,
      timeoutMs: undefined,
      signal: request.signal,
    };
    const response: LiveResponse = isPreflight(request)
      ? { status: 204, header: new Headers() }
      : await enter(request, call);
    // Over HTTP/2, Node refuses to write one.
    if (request.method === "HEAD") delete response.body;
    return withHeaders(response, {
      ...Object.fromEntries(corsHeaders(request, doors.corsOrigins)),
      "x-request-id": requestId,
      "cache-control": "no-store",
    });
  }

  async function enter(request: UniversalServerRequest, call: Call): Promise<LiveResponse> {
    const handler = doors.connect.find(new URL(request.url).pathname);
    if (!handler)
      return (
        doors.connect.refuse(request, call) ??
        doors.web(request) ??
        doors.introspection(request, call) ??
        doors.rest(request, call)
      );
    if (!handler.allowedMethods.includes(request.method)) return wrongVerb(handler.allowedMethods);
    const response = isGrpcWebText(request)
      ? toTextResponse(await doors.connect.serve(handler, toBinaryRequest(request, maxBytesOf(handler.method)), call))
      : await doors.connect.serve(handler, request, call);
    // Connect answers a content type that it does not know without a word.
    if (response.status !== 415) return response;
    const why =
      "The content type must be one of application/json, proto, grpc, grpc-web or grpc-web-text; of a stream connect+json or connect+proto.";
    return statusResponse(refusal("INVALID_REQUEST", why), 415);
  }
}

/** The request, or why it cannot be one: a Host that makes no URL is a caller's mistake and nobody else's trouble. */
function toUniversal(request: NodeRequest, response: NodeResponse): UniversalServerRequest | RpcError {
  try {
    return { ...universalRequestFromNodeRequest(request, response, undefined, undefined), body: bodyOf(request) };
  } catch {
    return refusal("INVALID_REQUEST", "The Host (or :authority) or the path of the request is not valid.");
  }
}

async function* bodyOf(request: NodeRequest): AsyncGenerator<Uint8Array> {
  try {
    // Connect's own body destroys the request, and with it the connection, when it is not read to its end: the caller
    // would not see why.
    yield* request.iterator({ destroyOnReturn: false });
  } catch {
    throw refusal("CANCELLED", "The connection ended before the request did.");
  }
}

/** Whether the caller left before he was answered, which is no failure. */
function isGone(request: NodeRequest, response: NodeResponse): boolean {
  return "stream" in request ? request.stream.destroyed : response.destroyed;
}

function requestIdOf({ headers }: NodeRequest, newId: () => string): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,100}$/.test(given) ? given : newId();
}

function withHeaders(response: LiveResponse, headers: Record<string, string>): LiveResponse {
  const header = new Headers(response.header);
  for (const [name, value] of Object.entries(headers)) {
    if (name === "vary") header.append(name, value);
    else header.set(name, value);
  }
  return { ...response, header };
}
