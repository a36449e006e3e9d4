/** Every reason of an error, with its kind (https://grpc.io/docs/guides/status-codes/). */
export const REASONS = {
  INVALID_REQUEST: "invalid_argument",
  IDEMPOTENCY_KEY_REUSED: "invalid_argument",
  TOKEN_MISSING: "unauthenticated",
  TOKEN_INVALID: "unauthenticated",
  TOKEN_EXPIRED: "unauthenticated",
  LOGIN_FAILED: "unauthenticated",
  PERMISSION_MISSING: "permission_denied",
  USER_NOT_FOUND: "not_found",
  USERNAME_NOT_FOUND: "not_found",
  TOKEN_NOT_FOUND: "not_found",
  SESSION_NOT_FOUND: "not_found",
  POLICY_NOT_FOUND: "not_found",
  KEY_NOT_FOUND: "not_found",
  INSTANCE_NOT_FOUND: "not_found",
  METHOD_NOT_FOUND: "not_found",
  SERVICE_NOT_FOUND: "not_found",
  USER_ALREADY_EXISTS: "already_exists",
  USERNAME_TAKEN: "already_exists",
  TOKEN_ALREADY_EXISTS: "already_exists",
  USER_ALREADY_LOCKED: "failed_precondition",
  USER_NOT_LOCKED: "failed_precondition",
  USER_ALREADY_INACTIVE: "failed_precondition",
  USER_NOT_INACTIVE: "failed_precondition",
  SELF_LOCK: "failed_precondition",
  LAST_OWNER: "failed_precondition",
  USER_LOCKED: "failed_precondition",
  TOO_MANY_USERNAMES: "failed_precondition",
  CONCURRENT_CHANGE: "aborted",
  TOO_LARGE: "resource_exhausted",
  TOO_MANY_REQUESTS: "resource_exhausted",
  WATCHER_TOO_SLOW: "resource_exhausted",
  DEADLINE_EXCEEDED: "deadline_exceeded",
  CANCELLED: "cancelled",
  SHUTTING_DOWN: "unavailable",
  CONNECTION_AGED: "unavailable",
  STORE_UNAVAILABLE: "unavailable",
  KEYS_UNAVAILABLE: "unavailable",
  NOT_SERVED: "unimplemented",
  ENCODING_MISSING: "internal",
} as const;

export type Reason = keyof typeof REASONS;
export type ErrorKind = (typeof REASONS)[Reason];

/** An invalid field of the request. */
export interface FieldViolation {
  /** The path of the field in the request message, such as `user.contact.email.address`. */
  field: string;
  description: string;
}

/** An error that the caller sees. The message says what is wrong and what to do. `cause` is for the log only. */
export class DomainError extends Error {
  override readonly name: string = "DomainError";
  readonly reason: Reason;
  readonly kind: ErrorKind;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  /** How long the caller should wait before the next try, microseconds. */
  readonly retryAfter: number | undefined;

  constructor(
    reason: Reason,
    message: string,
    more: {
      metadata?: Record<string, string>;
      violations?: FieldViolation[];
      retryAfter?: number | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: more.cause });
    this.reason = reason;
    this.kind = REASONS[reason];
    this.metadata = more.metadata ?? {};
    this.violations = more.violations ?? [];
    this.retryAfter = more.retryAfter;
  }
}

export function hasReason(error: unknown, reason: Reason): boolean {
  return error instanceof DomainError && error.reason === reason;
}

/** Whether the error is temporary and not caused by the request. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof DomainError && error.kind === "unavailable";
}

/** An INVALID_REQUEST about one field. */
export function invalidField(field: string, description: string): DomainError {
  return new DomainError("INVALID_REQUEST", `${field}: ${description}`, { violations: [{ field, description }] });
}
