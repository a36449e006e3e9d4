import { type DescMethod, getOption, type Message, toJsonString } from "@bufbuild/protobuf";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { refusal } from "../../rpc/errors.ts";
import { oncePer } from "../../rpc/once-per.ts";
import { type Admitted, type AdmittedStream, type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import type { Shares } from "../../rpc/shares.ts";
import { createReceive, maxBytesOf, maxJsonBytesOf, tooLarge } from "../http/body.ts";
import { timeoutOf } from "../http/deadline.ts";
import { acceptsGzip, COMPRESS_FROM_BYTES, decompress, gzip } from "../http/encoding.ts";
import { type Answer, type Exchange, headerOf } from "../http/exchange.ts";
import type { RequestPath } from "../http/request-path.ts";
import { allowOf, HttpRefusal, plainAnswer, statusAnswer } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import type { ChannelLimits, Streamed } from "../streams/channel.ts";
import { parseForm } from "../text.ts";
import { createHint, type Hint } from "./addresses.ts";
import { bindRequest } from "./bind.ts";
import { createRouter, routesOf } from "./routes.ts";
import { checkStream, eventStream, resumeBehind } from "./server-sent-events.ts";

/** The door of REST, with the routes of the methods' `google.api.http` options. */
export type RestDoor = (exchange: Exchange, requestPath: RequestPath, call: Call) => Promise<Answer | Streamed>;

/** Throws if a route of a method cannot be served. */
export function createRestDoor(
  pipeline: Pipeline,
  limits: Pick<Limits, "bodyMs"> & ChannelLimits,
  shares: Shares,
): RestDoor {
  const receive = createReceive(shares, limits);
  const routes = pipeline.methods.flatMap(routesOf);
  for (const { method } of routes) checkStream(method);
  const router = createRouter(routes);
  const hint = createHint(routes, pipeline.methods);

  async function answer(exchange: Exchange, { path, query }: RequestPath, call: Call): Promise<Answer | Streamed> {
    const { verb, headers } = exchange;
    const match = router.match(verb, path);
    if ("allowed" in match) throw noRoute(verb, path, match.allowed, hint);
    const { method, template } = match.route;
    if (call.observed) call.observed.route = template;

    const timeoutMs = timeoutOf("connect-timeout-ms", headerOf(headers, "connect-timeout-ms"));
    const maxBytes = maxBytesOf(method);
    const message = async ({ holder }: Admitted | AdmittedStream): Promise<Message> => {
      if (Number.isNaN(timeoutMs)) throw refusal("INVALID_REQUEST", "Connect-Timeout-Ms must be 1 to 10 digits.");
      if (Number(headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
      const isCoded = headerOf(headers, "content-encoding") !== undefined;
      return receive(exchange, { holder, call: { ...call, timeoutMs }, maxBytes, isCoded }, async (content) => {
        if (content.byteLength > 0) checkType(headers);
        return bindRequest(match, parseForm(query), await decompress(content, exchange, maxJsonBytesOf(method)));
      });
    };
    if (!isUnary(method)) {
      const admitted = await pipeline.admitStream(method, { ...call, timeoutMs, isJson: true });
      const watched = await message(admitted);
      resumeBehind(watched, headers);
      return eventStream(pipeline, admitted, watched, call, limits, shares.backlog);
    }
    const admitted = await pipeline.admit(method, { ...call, timeoutMs, isJson: true });
    const response = await admitted(await message(admitted));
    const json = toJsonString(method.output, response, { alwaysEmitImplicit: true, registry: pipeline.types });
    return success(method, Buffer.from(`${json}\n`), headerOf(headers, "accept-encoding"));
  }

  async function answerOrError(exchange: Exchange, requestPath: RequestPath, call: Call): Promise<Answer | Streamed> {
    try {
      return await answer(exchange, requestPath, call);
    } catch (error) {
      if (!(error instanceof HttpRefusal)) return statusAnswer(pipeline.explain(error, call));
      return statusAnswer(pipeline.explain(error.error, call), error.status, error.headers);
    }
  }

  return async (exchange, requestPath, call) => {
    const response = await answerOrError(exchange, requestPath, call);
    const more = call.response.headers;
    return more ? { ...response, headers: { ...more, ...response.headers } } : response;
  };
}

function noRoute(verb: string, path: string, allowed: string[], hint: Hint): Error {
  const at = path.slice(0, 200);
  const meant = hint(verb, path);
  if (allowed.length === 0) return refusal("METHOD_NOT_FOUND", `There is nothing at ${at}.${meant}`);
  const allow = allowOf(allowed);
  const error = refusal("NOT_SERVED", `${at} does not take ${verb}, only ${allow}.${meant}`);
  return new HttpRefusal(405, error, { allow });
}

/** Throws unless the content type is JSON. */
function checkType(headers: Exchange["headers"]): void {
  const type = headers["content-type"] ?? "(none)";
  if (/^application\/json *(;.*)?$/i.test(type)) return;
  const why = `The body must be JSON. Send "Content-Type: application/json", not ${type.slice(0, 100)}.`;
  throw new HttpRefusal(415, refusal("INVALID_REQUEST", why), { accept: "application/json" });
}

const statusOf = oncePer((method: DescMethod): number => getOption(method, policy).httpStatus || 200);

async function success(method: DescMethod, json: Uint8Array, accepted: string | undefined): Promise<Answer> {
  const status = statusOf(method);
  const headers = { "content-type": "application/json", vary: "accept-encoding" };
  if (json.byteLength < COMPRESS_FROM_BYTES || !acceptsGzip(accepted)) return plainAnswer(status, headers, json);
  return plainAnswer(status, { ...headers, "content-encoding": "gzip" }, await gzip(json));
}
