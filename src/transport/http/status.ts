import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { ERROR_DOMAIN, type RpcError, refusal, rpcErrorOf, statusJson } from "../../rpc/errors.ts";
import type { Answer, Fields } from "./exchange.ts";

/**
 * An error over plain HTTP: a google.rpc.Status as JSON (https://google.aip.dev/193), by default with the HTTP status
 * of its code. TOO_LARGE has its own status (RFC 9110, section 15.5.14).
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

/** An error with its own HTTP status, because no gRPC code maps to it. */
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

/** The answer to a verb that the path does not support. */
export function wrongVerb(allowed: readonly string[]): Answer {
  const allow = allowOf(allowed);
  return statusAnswer(rpcErrorOf(refusal("NOT_SERVED", `The path supports only ${allow}.`)), 405, { allow });
}

/** The value of `Allow`. GET implies HEAD (RFC 9110, section 9.1). */
export function allowOf(verbs: readonly string[]): string {
  return verbs.flatMap((verb) => (verb === "GET" ? ["GET", "HEAD"] : [verb])).join(", ");
}

/** The challenge of UNAUTHENTICATED (RFC 6750, section 3); undefined for other errors. */
export function challengeOf({ code, message, reason }: RpcError): string | undefined {
  if (code !== Code.UNAUTHENTICATED) return undefined;
  const realm = `Bearer realm="${ERROR_DOMAIN}"`;
  // Otherwise the caller's token is missing, or the error concerns another secret.
  if (!reason?.startsWith("TOKEN_") || reason === "TOKEN_MISSING") return realm;
  return `${realm}, error="invalid_token", error_description="${oauthText(message)}"`;
}

/** Replaces characters that an `error_description` may not have (RFC 6749, section 5.2; RFC 6750, section 3). */
export function oauthText(message: string): string {
  return message.replaceAll(/["\\]/g, "'").replaceAll(/[^ -~]/g, "?");
}

/** An answer with a body, its length and no trailers. */
export function plainAnswer(status: number, headers: Fields, body: Uint8Array | string): Answer {
  return { status, headers: { ...headers, "content-length": String(Buffer.byteLength(body)) }, body };
}

/** An answer with status 200 and a JSON body. */
export function jsonAnswer(value: object, headers: Fields = {}): Answer {
  return plainAnswer(200, { ...headers, "content-type": "application/json" }, JSON.stringify(value));
}
