import { create, createRegistry, toJsonString } from "@bufbuild/protobuf";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { ERROR_DOMAIN, type RpcError, refusal, rpcErrorOf } from "../../rpc/errors.ts";
import type { Answer, Fields } from "./exchange.ts";

/** What errors may have in their details, for JSON. */
export const errorDetails = createRegistry(file_google_rpc_error_details);

/**
 * An error of a door that speaks plain HTTP: a google.rpc.Status as JSON (https://google.aip.dev/193), with the status of
 * its code unless another is given. TOO_LARGE has one of its own (RFC 9110, section 15.5.14).
 */
export function statusAnswer(error: RpcError, httpStatus?: number, headers: Fields = {}): Answer {
  const challenge = challengeOf(error);
  const fields = {
    "content-type": "application/json",
    ...(challenge && { "www-authenticate": challenge }),
    ...headers,
  };
  const status = error.reason === "TOO_LARGE" ? 413 : codeToHttpStatus(error.code as number);
  return plainAnswer(httpStatus ?? status, fields, `${statusJson(error)}\n`);
}

/** A refusal in the terms of HTTP, for which no gRPC code has the right status. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly error: Error;
  readonly headers: Fields;

  constructor(status: number, error: Error, headers: Fields = {}) {
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
  const allow = allowOf(allowed);
  return statusAnswer(rpcErrorOf(refusal("NOT_SERVED", `Only ${allow} is taken here.`)), 405, { allow });
}

/** The value of `Allow`: what takes GET takes HEAD (RFC 9110, section 9.1). */
export function allowOf(verbs: readonly string[]): string {
  return verbs.flatMap((verb) => (verb === "GET" ? ["GET", "HEAD"] : [verb])).join(", ");
}

/** The challenge that goes with UNAUTHENTICATED (RFC 6750, section 3); undefined for other errors. */
export function challengeOf({ code, message, reason }: RpcError): string | undefined {
  if (code !== Code.UNAUTHENTICATED) return undefined;
  const realm = `Bearer realm="${ERROR_DOMAIN}"`;
  // What is wrong otherwise is not the token: it is missing, or it is somebody else's password.
  if (!reason?.startsWith("TOKEN_") || reason === "TOKEN_MISSING") return realm;
  return `${realm}, error="invalid_token", error_description="${oauthText(message)}"`;
}

/** A message in the characters that an `error_description` may have (RFC 6749, section 5.2; RFC 6750, section 3). */
export function oauthText(message: string): string {
  return message.replaceAll(/["\\]/g, "'").replaceAll(/[^ -~]/g, "?");
}

/** An answer with a body and no trailers: it says how long it is, in every version of HTTP. */
export function plainAnswer(status: number, headers: Fields, body: Uint8Array | string): Answer {
  return { status, headers: { ...headers, "content-length": String(Buffer.byteLength(body)) }, body };
}
