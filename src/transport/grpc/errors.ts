import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { isForeseen, RpcError, refusal } from "../../rpc/errors.ts";
import { tooLarge } from "../http/body.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { isRpcPath, type RequestPath } from "../http/request-path.ts";
import { challengeOf, plainAnswer } from "../http/status.ts";

/** The header with the version of Connect's protocol. */
export const VERSION_HEADER = "connect-protocol-version";

/** Converts an error to a ConnectError, whose writers serve all three protocols. */
export function toConnectError(error: unknown): ConnectError {
  if (!(error instanceof RpcError)) return ConnectError.from(error);
  const challenge = challengeOf(error);
  const headers = challenge ? { "www-authenticate": challenge } : undefined;
  return new ConnectError(error.message, error.code as number, headers, [...error.details], error);
}

/** The status fields of an error in gRPC: status, message, details. */
export function grpcStatusOf(error: ConnectError): Headers {
  return unescapeMessage(setTrailerStatus(new Headers(), error));
}

/**
 * Connect escapes grpc-message by encodeURIComponent. The protocol requires it only for "%" and characters outside of
 * printable ASCII, and @grpc/grpc-js shows the escapes of ":" and "," to its users.
 */
export function unescapeMessage(status: Headers): Headers {
  const message = status.get("grpc-message");
  if (message) status.set("grpc-message", encodeURI(decodeURIComponent(message)).replaceAll("%20", " "));
  return status;
}

/**
 * Converts Connect's own error; undefined for a fault of the server. `isRead`: the message was decoded. `maxBytes`: the
 * size limit of the message.
 */
export function ownErrorOf(
  { code, rawMessage, cause }: ConnectError,
  { isRead, maxBytes }: { isRead: boolean; maxBytes: number },
) {
  if (isForeseen(cause)) return cause;
  switch (code) {
    case Code.InvalidArgument:
      return refusal("INVALID_REQUEST", rawMessage);
    case Code.Internal:
      // Connect reports any bytes that it cannot read as INTERNAL: a frame, gzip or Protobuf.
      return isRead ? undefined : refusal("INVALID_REQUEST", rawMessage);
    case Code.ResourceExhausted:
      return tooLarge(maxBytes);
    case Code.Unimplemented:
      return refusal("NOT_SERVED", rawMessage);
    case Code.DeadlineExceeded:
      return refusal("DEADLINE_EXCEEDED", rawMessage);
    default:
      return undefined;
  }
}

/**
 * An error in the protocol of the request; undefined for other requests. Otherwise clients derive a code from the HTTP
 * status, each differently: grpc-web makes NOT_FOUND of 404. Only paths of methods get it, and in gRPC only POST: its
 * HTTP status is 200, which a gateway that asks by a wrong path would take for a yes.
 */
export function inProtocolOf(
  { headers, verb }: Pick<Exchange, "headers" | "verb">,
  { path, query }: Pick<RequestPath, "path" | "query">,
  error: () => ConnectError,
): Answer | undefined {
  if (!isRpcPath(path)) return undefined;
  const type = headers["content-type"] ?? "";
  const [, protocol] = /^application\/(grpc-web-text|grpc-web|grpc)(?:[+; ]|$)/i.exec(type) ?? [];
  if (protocol !== undefined) {
    if (verb !== "POST") return undefined;
    const status: Fields = Object.fromEntries(grpcStatusOf(error()));
    if (protocol.toLowerCase() === "grpc") return { status: 200, headers: { "content-type": type }, trailers: status };
    return { status: 200, headers: { "content-type": type, ...status } };
  }
  const isConnect =
    headerOf(headers, VERSION_HEADER) !== undefined ||
    new URLSearchParams(query).get("connect") === "v1" ||
    /^application\/(json|proto|connect\+\w+)(?:[; ]|$)/i.test(type);
  if (!isConnect) return undefined;
  return plainAnswer(404, { "content-type": "application/json" }, errorToJsonBytes(error(), undefined));
}
