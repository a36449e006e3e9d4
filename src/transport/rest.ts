import { type DescMethod, getOption, type Message, toJsonString } from "@bufbuild/protobuf";
import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import { type RpcError, refusal } from "../rpc/errors.ts";
import type { Call, Pipeline } from "../rpc/invoke.ts";
import { bindRequest } from "./bind.ts";
import { maxBytesOf, readAll, tooLarge, withBodyDeadline } from "./body.ts";
import type { ChannelLimits, LiveResponse } from "./channel.ts";
import { checkStream, eventStream, isStreaming, resumeBehind } from "./event-stream.ts";
import { createRouter, routesOf } from "./http-rule.ts";
import type { Limits } from "./limits.ts";
import { errorDetails, plainResponse, statusResponse } from "./status.ts";

/** Answers shorter than this, in bytes, are not compressed. */
const COMPRESS_FROM_BYTES = 1_024;

/** The door of plain HTTP and JSON, with the routes of the methods' `google.api.http` options. */
export type RestDoor = (request: UniversalServerRequest, call: Call) => Promise<LiveResponse>;

/** A refusal in the terms of HTTP, for which no gRPC code has the right status. */
class HttpRefusal extends Error {
  readonly status: number;
  readonly error: RpcError;
  readonly header: Record<string, string>;

  constructor(status: number, error: RpcError, header: Record<string, string> = {}) {
    super(error.message);
    this.status = status;
    this.error = error;
    this.header = header;
  }
}

/** Throws if a route of a method cannot be served. */
export function createRestDoor(pipeline: Pipeline, limits: Pick<Limits, "bodyMs"> & ChannelLimits): RestDoor {
  const { bodyMs } = limits;
  const routes = pipeline.methods.flatMap(routesOf);
  for (const { method } of routes) checkStream(method);
  const router = createRouter(routes);

  async function answer(request: UniversalServerRequest, call: Call): Promise<LiveResponse> {
    const url = new URL(request.url);
    const match = router.match(request.method, url.pathname);
    if ("allowed" in match) throw noRoute(request, match.allowed);
    const { method } = match.route;

    const timeoutMs = timeoutOf(request);
    const message = async (): Promise<Message> => {
      if (Number.isNaN(timeoutMs)) throw refusal("INVALID_REQUEST", "Connect-Timeout-Ms must be 1 to 10 digits.");
      const body = await readBody(request, maxBytesOf(method), Math.min(timeoutMs ?? bodyMs, bodyMs));
      return bindRequest(match, url.searchParams, body);
    };
    if (isStreaming(method)) {
      const admitted = await pipeline.admitStream(method, { ...call, timeoutMs });
      const asked = await message();
      resumeBehind(asked, request.header);
      return eventStream(pipeline, admitted, asked, call, limits);
    }
    const admitted = await pipeline.admit(method, { ...call, timeoutMs });
    const response = await admitted(await message());
    const json = toJsonString(method.output, response, { alwaysEmitImplicit: true, registry: errorDetails });
    return success(method, `${json}\n`, request.header.get("accept-encoding"));
  }

  return async (request, call) => {
    try {
      return await answer(request, call);
    } catch (error) {
      if (!(error instanceof HttpRefusal)) return statusResponse(pipeline.explain(error, call));
      const response = statusResponse(pipeline.explain(error.error, call), error.status);
      for (const [name, value] of Object.entries(error.header)) response.header?.set(name, value);
      return response;
    }
  };
}

/** The deadline, in the header that Connect has for it; NaN if it is none. */
function timeoutOf({ header }: UniversalServerRequest): number | undefined {
  const value = header.get("connect-timeout-ms");
  if (value === null) return undefined;
  return /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
}

function noRoute({ method, url }: UniversalServerRequest, allowed: string[]): HttpRefusal {
  const path = new URL(url).pathname.slice(0, 200);
  if (allowed.length === 0) {
    return new HttpRefusal(404, refusal("METHOD_NOT_FOUND", `There is nothing at ${path}.`));
  }
  const allow = allowed.join(", ");
  const error = refusal("NOT_SERVED", `${path} does not take ${method}, only ${allow}.`);
  return new HttpRefusal(405, error, { allow });
}

/** The body, decompressed; empty if there is none. Rejects if it is more than `limit` bytes or takes more than `timeoutMs`. */
async function readBody(
  { header, body }: UniversalServerRequest,
  limit: number,
  timeoutMs: number,
): Promise<Uint8Array> {
  if (Number(header.get("content-length") ?? 0) > limit) throw tooLarge(limit);
  const bytes = await readAll(
    withBodyDeadline(body as AsyncIterable<Uint8Array>, () => timeoutMs),
    limit,
  );
  if (bytes.byteLength === 0) return bytes;
  const type = header.get("content-type") ?? "(none)";
  if (!/^application\/json *(;.*)?$/i.test(type)) {
    const why = `The body must be JSON: send "Content-Type: application/json", not ${type.slice(0, 100)}.`;
    throw new HttpRefusal(415, refusal("INVALID_REQUEST", why), { accept: "application/json" });
  }
  const encoding = header.get("content-encoding") ?? "identity";
  if (encoding === "identity") return bytes;
  if (encoding !== compressionGzip.name) {
    const error = refusal("INVALID_REQUEST", "The body may be compressed by gzip, and by nothing else.");
    throw new HttpRefusal(415, error, { "accept-encoding": "gzip" });
  }
  try {
    return await compressionGzip.decompress(bytes, limit);
  } catch (error) {
    if ((error as { code?: number }).code === Code.RESOURCE_EXHAUSTED) throw tooLarge(limit);
    throw refusal("INVALID_REQUEST", "The body is not gzip.");
  }
}

async function success(method: DescMethod, json: string, accepted: string | null): Promise<UniversalServerResponse> {
  const header = new Headers({ "content-type": "application/json", vary: "accept-encoding" });
  let bytes: Uint8Array = new TextEncoder().encode(json);
  const wantsGzip = /(^|,) *gzip *(;q=(?!0(\.0*)? *(,|$))[^,]*)?(,|$)/.test(accepted ?? "");
  if (wantsGzip && bytes.byteLength >= COMPRESS_FROM_BYTES) {
    bytes = await compressionGzip.compress(bytes);
    header.set("content-encoding", compressionGzip.name);
  }
  return plainResponse(getOption(method, policy).httpStatus || 200, header, bytes);
}
