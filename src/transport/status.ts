import { create, createRegistry, toJsonString } from "@bufbuild/protobuf";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { ERROR_DOMAIN, type RpcError, refusal } from "../rpc/errors.ts";
import type { Answer, Fields } from "./exchange.ts";

/** What errors may have in their details, for JSON. */
export const errorDetails = createRegistry(file_google_rpc_error_details);

/** An error of a door that speaks plain HTTP: a google.rpc.Status as JSON (https://google.aip.dev/193). */
export function statusAnswer(error: RpcError, httpStatus?: number, headers: Fields = {}): Answer {
  const challenge = challengeOf(error);
  const told = { "content-type": "application/json", ...(challenge && { "www-authenticate": challenge }), ...headers };
  return plainAnswer(httpStatus ?? codeToHttpStatus(error.code as number), told, `${statusJson(error)}\n`);
}

/** A refusal in the terms of HTTP, for which no gRPC code has the right status. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly error: RpcError;
  readonly headers: Fields;

  constructor(status: number, error: RpcError, headers: Fields = {}) {
    super(error.message);
    this.status = status;
    this.error = error;
    this.headers = headers;
  }
}

/** The google.rpc.Status of an error, in one line. */
export function statusJson({ code, message, packedDetails: details }: RpcError): string {
  return toJsonString(StatusSchema, create(StatusSchema, { code, message, details }), { registry: errorDetails });
}

/** The answer to a verb that a path does not take. */
export function wrongVerb(allowed: readonly string[]): Answer {
  const allow = allowed.join(", ");
  return statusAnswer(refusal("NOT_SERVED", `Only ${allow} is taken here.`), 405, { allow });
}

/** The challenge that goes with UNAUTHENTICATED (RFC 6750, section 3); undefined for other errors. */
export function challengeOf({ code, message, details }: RpcError): string | undefined {
  if (code !== Code.UNAUTHENTICATED) return undefined;
  const reason = details.map(({ value }) => (value as { reason?: string }).reason).find(Boolean);
  const realm = `Bearer realm="${ERROR_DOMAIN}"`;
  // What is wrong otherwise is not the token: it is missing, or it is somebody else's password.
  if (!reason?.startsWith("TOKEN_") || reason === "TOKEN_MISSING") return realm;
  return `${realm}, error="invalid_token", error_description="${message.replaceAll(/["\\]/g, "'").replaceAll(/[^ -~]/g, "?")}"`;
}

/** An answer with a body and no trailers: it says how long it is, in every version of HTTP. */
export function plainAnswer(status: number, headers: Fields, body: Uint8Array | string): Answer {
  return { status, headers: { ...headers, "content-length": String(Buffer.byteLength(body)) }, body };
}
