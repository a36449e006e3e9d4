import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RequestInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { DomainError, type ErrorKind, type FieldViolation, type Reason } from "../domain/errors.ts";

/** Domain of every ErrorInfo. */
export const ERROR_DOMAIN = "userlock";

/** Bytes that the details of one error take at most; longer ones break gRPC clients, which keep them in a header. */
const MAX_DETAIL_BYTES = 8 * 1024;
/** Bytes of field violations and metadata that are told; the rest is counted in a sentence. */
const MAX_TEXT = 200;

const CODES: Record<ErrorKind, Code> = {
  aborted: Code.ABORTED,
  already_exists: Code.ALREADY_EXISTS,
  cancelled: Code.CANCELLED,
  deadline_exceeded: Code.DEADLINE_EXCEEDED,
  failed_precondition: Code.FAILED_PRECONDITION,
  invalid_argument: Code.INVALID_ARGUMENT,
  not_found: Code.NOT_FOUND,
  permission_denied: Code.PERMISSION_DENIED,
  resource_exhausted: Code.RESOURCE_EXHAUSTED,
  unauthenticated: Code.UNAUTHENTICATED,
  unavailable: Code.UNAVAILABLE,
  unimplemented: Code.UNIMPLEMENTED,
};

/** One detail of an error: a message of google/rpc/error_details.proto. */
export interface ErrorDetail<Desc extends DescMessage = DescMessage> {
  desc: Desc;
  value: MessageShape<Desc>;
}

/** An error as every protocol can tell it: code, sentence and details (google.rpc.Status). */
export class RpcError extends Error {
  readonly code: Code;
  readonly details: readonly ErrorDetail[];

  constructor(code: Code, message: string, details: readonly ErrorDetail[], cause?: unknown) {
    super(message, { cause });
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }

  get packedDetails(): Any[] {
    return this.details.map(({ desc, value }) => anyPack(desc, value));
  }
}

/**
 * What a caller is told of an error. Of an error that nobody foresaw he is told INTERNAL and the id of his request, by
 * which the log has the cause.
 */
export function toRpcError(error: unknown, requestId: string): RpcError {
  if (error instanceof RpcError) return error;
  if (!(error instanceof DomainError)) {
    const message = `Something went wrong in the server. Its log has more under the request id ${requestId}.`;
    const info = create(RequestInfoSchema, { requestId });
    return new RpcError(Code.INTERNAL, message, [{ desc: RequestInfoSchema, value: info }], error);
  }
  return new RpcError(CODES[error.kind], shorten(error.message), fitting(detailsOf(error)), error);
}

/** The error of a door that cannot read a request, or will not. */
export function refusal(reason: Reason, message: string, violations: FieldViolation[] = []): RpcError {
  return toRpcError(new DomainError(reason, message, { violations }), "");
}

function detailsOf(error: DomainError): ErrorDetail[] {
  const { reason, metadata } = error;
  const info = create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata });
  const details: ErrorDetail[] = [{ desc: ErrorInfoSchema, value: info }];
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.map(({ field, description }) => ({
      field: shorten(field),
      description: shorten(description),
    }));
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (error.kind === "failed_precondition") {
    const subject = metadata.user_id === undefined ? "" : `users/${metadata.user_id}`;
    const violations = [{ type: reason, subject, description: error.message }];
    details.push({ desc: PreconditionFailureSchema, value: create(PreconditionFailureSchema, { violations }) });
  }
  return details;
}

/** Leaves out field violations from the end until the details fit. */
function fitting(details: ErrorDetail[]): ErrorDetail[] {
  const size = () => details.reduce((sum, { desc, value }) => sum + toBinary(desc, value).byteLength, 0);
  for (const { value } of details) {
    if (value.$typeName !== BadRequestSchema.typeName) continue;
    const { fieldViolations } = value as MessageShape<typeof BadRequestSchema>;
    while (fieldViolations.length > 1 && size() > MAX_DETAIL_BYTES) fieldViolations.pop();
  }
  return details;
}

function shorten(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
