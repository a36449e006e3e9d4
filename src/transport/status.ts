import { create, createRegistry, toJsonString } from "@bufbuild/protobuf";
import { createAsyncIterable, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { ERROR_DOMAIN, type RpcError, refusal } from "../rpc/errors.ts";

/** What errors may have in their details, for JSON. */
export const errorDetails = createRegistry(file_google_rpc_error_details);

/** An error of a door that speaks plain HTTP: a google.rpc.Status as JSON (https://google.aip.dev/193). */
export function statusResponse(error: RpcError, httpStatus?: number): UniversalServerResponse {
  const header = new Headers({ "content-type": "application/json" });
  const challenge = challengeOf(error);
  if (challenge) header.set("www-authenticate", challenge);
  return plainResponse(httpStatus ?? codeToHttpStatus(error.code as number), header, `${statusJson(error)}\n`);
}

/** The google.rpc.Status of an error, in one line. */
export function statusJson({ code, message, packedDetails: details }: RpcError): string {
  return toJsonString(StatusSchema, create(StatusSchema, { code, message, details }), { registry: errorDetails });
}

/** The answer to a verb that a path does not take. */
export function wrongVerb(allowed: readonly string[]): UniversalServerResponse {
  const allow = allowed.join(", ");
  const response = statusResponse(refusal("NOT_SERVED", `Only ${allow} is taken here.`), 405);
  response.header?.set("allow", allow);
  return response;
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

/** A response that is there whole. */
export function plainResponse(status: number, header: Headers, body: Uint8Array | string): UniversalServerResponse {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  header.set("content-length", String(bytes.byteLength));
  return { status, header, body: createAsyncIterable([bytes]) };
}
