import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** The error of a call. */
export class UserlockError extends Error {
  override readonly name = "UserlockError";
  /** The code, such as `Code.FailedPrecondition`. */
  readonly code: Code;
  /** The reason, such as "USER_ALREADY_LOCKED". Undefined if the error is not from userlock, as on a lost connection. */
  readonly reason: string | undefined;
  /** What the reason is about, such as `{ user_id: "alice" }`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When the server asks to call again, milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      code: Code;
      reason?: string | undefined;
      metadata?: Record<string, string>;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Makes an error of anything that a call rejects with. */
  static from(error: unknown): UserlockError {
    if (error instanceof UserlockError) return error;
    const { code, rawMessage, cause } = ConnectError.from(error);
    const details = ConnectError.from(error);
    const [info] = details.findDetails(ErrorInfoSchema);
    const [retry] = details.findDetails(RetryInfoSchema);
    const delay = retry?.retryDelay;
    return new UserlockError(info ? `${info.reason}: ${rawMessage}` : rawMessage, {
      code,
      reason: info?.reason,
      metadata: info?.metadata ?? {},
      retryAfterMs: delay && Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
      cause: cause ?? error,
    });
  }
}

/** Whether the error is a UserlockError with this reason. */
export function hasReason(error: unknown, reason: string): error is UserlockError {
  return error instanceof UserlockError && error.reason === reason;
}

/** Whether the same call may succeed later: the server is away, or its answer was lost. */
export function isUnavailable(error: unknown): boolean {
  return UserlockError.from(error).code === Code.Unavailable;
}
