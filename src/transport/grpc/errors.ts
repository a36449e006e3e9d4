import { ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { RpcError } from "../../rpc/errors.ts";
import { challengeOf } from "../http/status.ts";

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
