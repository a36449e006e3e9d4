import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { isForeseen, RpcError, refusal } from "../../rpc/errors.ts";
import { MAX_MESSAGE_BYTES, tooLarge } from "../http/body.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { challengeOf, plainAnswer } from "../http/status.ts";

/** An error as Connect has it, whose writers of all three protocols are used for errors. */
export function toConnectError(error: unknown): ConnectError {
  if (!(error instanceof RpcError)) return ConnectError.from(error);
  const challenge = challengeOf(error);
  const headers = challenge ? { "www-authenticate": challenge } : undefined;
  return new ConnectError(error.message, error.code as number, headers, [...error.details], error);
}

/** The fields that tell of an error in gRPC: status, message, details. */
export function grpcStatusOf(error: ConnectError): Headers {
  return unescapeMessage(setTrailerStatus(new Headers(), error));
}

/**
 * Connect escapes all that encodeURIComponent does in grpc-message; the protocol asks it for "%" and what is not
 * printable ASCII, and @grpc/grpc-js shows its users the escapes of ":" and "," as they came.
 */
export function unescapeMessage(status: Headers): Headers {
  const message = status.get("grpc-message");
  if (message) status.set("grpc-message", encodeURI(decodeURIComponent(message)).replaceAll("%20", " "));
  return status;
}

/** An error of Connect's own, with its reason; undefined if it is a fault of the server. `isRead`: the message was read. */
export function ownErrorOf({ code, rawMessage, cause }: ConnectError, isRead: boolean) {
  if (isForeseen(cause)) return cause;
  switch (code) {
    case Code.InvalidArgument:
      return refusal("INVALID_REQUEST", rawMessage);
    case Code.Internal:
      // So Connect calls bytes that it cannot read, be they a frame, gzip or Protobuf.
      return isRead ? undefined : refusal("INVALID_REQUEST", rawMessage);
    case Code.ResourceExhausted:
      return tooLarge(MAX_MESSAGE_BYTES);
    case Code.Unimplemented:
      return refusal("NOT_SERVED", rawMessage);
    case Code.DeadlineExceeded:
      return refusal("DEADLINE_EXCEEDED", rawMessage);
    default:
      return undefined;
  }
}

/**
 * An error in the protocol of a request, undefined for another protocol. Without it clients make up a code from
 * the HTTP status, and not all make the same: of 404, grpc-web makes NOT_FOUND.
 */
export function inProtocolOf(
  headers: Exchange["headers"],
  query: string,
  error: () => ConnectError,
): Answer | undefined {
  const type = headers["content-type"] ?? "";
  const [, protocol] = /^application\/(grpc-web-text|grpc-web|grpc)(?:[+; ]|$)/i.exec(type) ?? [];
  if (protocol !== undefined) {
    const status: Fields = Object.fromEntries(grpcStatusOf(error()));
    if (protocol.toLowerCase() === "grpc") return { status: 200, headers: { "content-type": type }, trailers: status };
    return { status: 200, headers: { "content-type": type, ...status } };
  }
  const isConnect =
    headerOf(headers, "connect-protocol-version") !== undefined ||
    new URLSearchParams(query).get("connect") === "v1" ||
    /^application\/(proto|connect\+\w+)(?:[; ]|$)/i.test(type);
  if (!isConnect) return undefined;
  return plainAnswer(404, { "content-type": "application/json" }, errorToJsonBytes(error(), undefined));
}
