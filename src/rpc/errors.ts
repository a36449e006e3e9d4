import { create, type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import {
  type BadRequest_FieldViolation,
  BadRequest_FieldViolationSchema,
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { DomainError, type ErrorKind, type FieldViolation, type Reason } from "../domain/errors.ts";
import { toDuration } from "./convert/messages.ts";

/** Domain of every ErrorInfo. */
export const ERROR_DOMAIN = "userlock";

/**
 * Bytes that the field violations of one error take at most. gRPC clients keep all details in one header, in base64,
 * and some take no more than 8 KiB of headers.
 */
const MAX_VIOLATION_BYTES = 4 * 1024;
/** Characters of one sentence, which may list what is allowed, and of one field path. */
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

/** An error as a caller is told it, in every protocol: code, sentence and details (google.rpc.Status). */
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
 * What a caller is told of an error. An unforeseen error becomes INTERNAL with the id of the request, under which
 * the log has the cause.
 */
export function toRpcError(error: unknown, requestId: string): RpcError {
  if (error instanceof DomainError) return rpcErrorOf(error);
  const message = `Something went wrong in the server. Its log has more under the request id ${requestId}.`;
  const info = create(RequestInfoSchema, { requestId });
  return new RpcError(Code.INTERNAL, message, [{ desc: RequestInfoSchema, value: info }], error);
}

/** What a caller is told of an error that was foreseen. */
export function rpcErrorOf(error: DomainError): RpcError {
  return new RpcError(CODES[error.kind], shorten(error.message), detailsOf(error), error);
}

/** The same error with its ErrorInfo and no other details, for where it stands among many. */
export function inBrief({ code, message, details, cause }: RpcError): RpcError {
  return new RpcError(
    code,
    message,
    details.filter(({ desc }) => desc.typeName === ErrorInfoSchema.typeName),
    cause,
  );
}

/** The error of a door that cannot read a request, or will not. */
export function refusal(reason: Reason, message: string, violations: FieldViolation[] = []): DomainError {
  return new DomainError(reason, message, { violations });
}

/** Whether a caller may be told the error as it is. */
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

/** The first violations, as many as fit. */
function fitting(violations: readonly FieldViolation[]): BadRequest_FieldViolation[] {
  const fit: BadRequest_FieldViolation[] = [];
  let bytes = 0;
  for (const { field, description } of violations) {
    const violation = { field: shorten(field, MAX_FIELD), description: shorten(description) };
    const told = create(BadRequest_FieldViolationSchema, violation);
    bytes += toBinary(BadRequest_FieldViolationSchema, told).byteLength;
    if (bytes > MAX_VIOLATION_BYTES) break;
    fit.push(told);
  }
  return fit;
}

/** Cuts a text, and replaces half surrogate pairs: no header can carry them. */
function shorten(text: string, length = MAX_TEXT): string {
  return (text.length <= length ? text : `${text.slice(0, length)}…`).toWellFormed();
}
