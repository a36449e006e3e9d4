import { create, createRegistry, type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import {
  type BadRequest_FieldViolation,
  BadRequest_FieldViolationSchema,
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  PreconditionFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { DomainError, type ErrorKind, type FieldViolation, type Reason } from "../domain/errors.ts";
import { toDuration } from "./convert/messages.ts";

/** The message types of error details, for JSON. */
export const errorDetails = createRegistry(file_google_rpc_error_details);

/** The domain of every ErrorInfo. */
export const ERROR_DOMAIN = "userlock";

/**
 * The maximum size of the field violations of one error, bytes. gRPC clients keep all details in one base64 header, and
 * some accept only 8 KiB of headers.
 */
const MAX_VIOLATION_BYTES = 4 * 1024;
/** The maximum length of a message or description, which may list allowed values, and of a field path. */
const MAX_TEXT = 500;
const MAX_FIELD = 200;

const CODES: Record<ErrorKind, Code> = {
  aborted: Code.ABORTED,
  already_exists: Code.ALREADY_EXISTS,
  cancelled: Code.CANCELLED,
  deadline_exceeded: Code.DEADLINE_EXCEEDED,
  failed_precondition: Code.FAILED_PRECONDITION,
  internal: Code.INTERNAL,
  invalid_argument: Code.INVALID_ARGUMENT,
  not_found: Code.NOT_FOUND,
  permission_denied: Code.PERMISSION_DENIED,
  resource_exhausted: Code.RESOURCE_EXHAUSTED,
  unauthenticated: Code.UNAUTHENTICATED,
  unavailable: Code.UNAVAILABLE,
  unimplemented: Code.UNIMPLEMENTED,
};

/** One detail of an error: a message of google/rpc/error_details.proto. */
interface ErrorDetail {
  desc: DescMessage;
  value: Message;
}

/** An error as callers get it on every protocol: code, message and details (google.rpc.Status). */
export class RpcError extends Error {
  readonly code: Code;
  readonly details: readonly ErrorDetail[];

  constructor(code: Code, message: string, details: readonly ErrorDetail[], cause?: unknown) {
    super(message, { cause });
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }

  /** The reason of its ErrorInfo, if it has one. */
  get reason(): string | undefined {
    return this.details.map(({ value }) => (value as { reason?: string }).reason).find(Boolean);
  }

  get packedDetails(): Any[] {
    return this.details.map(({ desc, value }) => anyPack(desc, value));
  }
}

/**
 * Converts an error for the caller. An unexpected error becomes INTERNAL with the request id, under which the log has
 * the cause.
 */
export function toRpcError(error: unknown, requestId: string): RpcError {
  if (error instanceof DomainError) return rpcErrorOf(error);
  const message = `An internal error occurred. The server's log has the cause under the request id ${requestId}.`;
  const info = create(RequestInfoSchema, { requestId });
  return new RpcError(Code.INTERNAL, message, [{ desc: RequestInfoSchema, value: info }], error);
}

/** Converts an expected error for the caller. */
export function rpcErrorOf(error: DomainError): RpcError {
  return new RpcError(CODES[error.kind], shorten(error.message), detailsOf(error), error);
}

/** The google.rpc.Status of an error as one line of JSON. */
export function statusJson({ code, message, packedDetails: details }: RpcError): string {
  return toJsonString(StatusSchema, create(StatusSchema, { code, message, details }), { registry: errorDetails });
}

/** The error with its ErrorInfo as the only detail, for responses with many errors. */
export function inBrief({ code, message, details, cause }: RpcError): RpcError {
  return new RpcError(
    code,
    message,
    details.filter(({ desc }) => desc.typeName === ErrorInfoSchema.typeName),
    cause,
  );
}

/**
 * The same error for a caller who writes JSON: its message names the field in lowerCamelCase. Violations keep the name
 * of the proto file (google/rpc/error_details.proto).
 */
export function namedAsInJson(error: unknown): unknown {
  if (!(error instanceof DomainError)) return error;
  const { reason, message, metadata, violations, retryAfter, cause } = error;
  const field = violations[0]?.field;
  if (!field?.includes("_") || !message.startsWith(field)) return error;
  const inJson = field.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const more = { metadata: { ...metadata }, violations: [...violations], retryAfter, cause };
  return new DomainError(reason, inJson + message.slice(field.length), more);
}

/** The error of a door that cannot or will not read a request. */
export function refusal(reason: Reason, message: string, violations: FieldViolation[] = []): DomainError {
  return new DomainError(reason, message, { violations });
}

/** Whether the error is expected, so that callers may see it. */
export function isForeseen(error: unknown): error is DomainError {
  return error instanceof DomainError;
}

function detailsOf(error: DomainError): ErrorDetail[] {
  const { reason, metadata } = error;
  const info = create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata });
  const details: ErrorDetail[] = [{ desc: ErrorInfoSchema, value: info }];
  if (error.violations.length > 0) {
    const fieldViolations = fitting(error.violations);
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (error.retryAfter !== undefined) {
    const retryDelay = toDuration(error.retryAfter);
    details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  if (error.kind === "failed_precondition") {
    const subject = metadata.user_id === undefined ? "" : `users/${metadata.user_id}`;
    const violations = [{ type: reason, subject, description: error.message }];
    details.push({ desc: PreconditionFailureSchema, value: create(PreconditionFailureSchema, { violations }) });
  }
  return details;
}

/** The first violations that fit. */
function fitting(violations: readonly FieldViolation[]): BadRequest_FieldViolation[] {
  const fit: BadRequest_FieldViolation[] = [];
  let bytes = 0;
  for (const { field, description } of violations) {
    const violation = { field: shorten(field, MAX_FIELD), description: shorten(description) };
    const message = create(BadRequest_FieldViolationSchema, violation);
    bytes += toBinary(BadRequest_FieldViolationSchema, message).byteLength;
    if (bytes > MAX_VIOLATION_BYTES) break;
    fit.push(message);
  }
  return fit;
}

/** Cuts a text, and replaces lone surrogates, which headers cannot carry. */
function shorten(text: string, length = MAX_TEXT): string {
  return (text.length <= length ? text : `${text.slice(0, length)}…`).toWellFormed();
}
