import { randomUUID } from "node:crypto";
import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { type CallOptions, type Client, createClient } from "@connectrpc/connect";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { checkNumber } from "./check-options.ts";
import { type ConnectionOptions, connect } from "./connection.ts";
import { isUnavailable, UserlockError } from "./errors.ts";
import { type RetryOptions, retry } from "./retry.ts";

/** Options of `createUserlock`. */
export interface UserlockOptions extends ConnectionOptions {
  /**
   * The time for a call with all its retries, milliseconds, 15,000 by default. 0 sets no limit. `timeoutMs` of a call
   * replaces it.
   */
  timeoutMs?: number;
  retry?: RetryOptions;
}

/** A client of each service. Calls reject with UserlockError. */
export interface Userlock {
  users: Client<typeof UserService>;
  sessions: Client<typeof SessionService>;
  access: Client<typeof AccessService>;
  settings: Client<typeof SettingsService>;
  events: Client<typeof EventService>;
  authz: Client<typeof AuthzService>;
  /** Ends all calls and closes the sockets. */
  close(): void;
}

const IDEMPOTENCY_KEY = "idempotency-key";
const DEFAULT_TIMEOUT_MS = 15_000;

/**
 * Creates clients of all services. A call that finds no server, or whose answer is lost, is made again until its time is
 * used up. A method that changes something gets an Idempotency-Key for all attempts, so that it happens once. Streams
 * are not retried: they resume by their last cursor. Throws TypeError for invalid options.
 */
export function createUserlock(options: UserlockOptions): Userlock {
  checkNumber("timeoutMs", options.timeoutMs);
  checkNumber("retry.attempts", options.retry?.attempts, 1);
  checkNumber("retry.firstMs", options.retry?.firstMs);
  checkNumber("retry.longestMs", options.retry?.longestMs);
  const { transport, close } = connect(options);
  const clientOf = <Service extends DescService>(service: Service) =>
    retrying(service, createClient(service, transport), options);
  return {
    users: clientOf(UserService),
    sessions: clientOf(SessionService),
    access: clientOf(AccessService),
    settings: clientOf(SettingsService),
    events: clientOf(EventService),
    authz: clientOf(AuthzService),
    close,
  };
}

type Unary = (request: object, options?: CallOptions) => Promise<object>;
type Streaming = (request: object, options?: CallOptions) => AsyncIterable<object>;

/** The client with retries and UserlockErrors. */
function retrying<Service extends DescService>(
  service: Service,
  client: Client<Service>,
  options: UserlockOptions,
): Client<Service> {
  const calls = client as Record<string, unknown>;
  const methods = service.methods.map((method) => {
    const call = calls[method.localName];
    const wrapped =
      method.methodKind === "unary" ? unary(method, call as Unary, options) : streaming(call as Streaming);
    return [method.localName, wrapped];
  });
  return Object.fromEntries(methods) as Client<Service>;
}

function unary(
  method: DescMethod,
  call: Unary,
  { timeoutMs = DEFAULT_TIMEOUT_MS, retry: times }: UserlockOptions,
): Unary {
  const hasKey = isChanging(method);
  return async (request, options = {}) => {
    const headers = new Headers(options.headers);
    if (hasKey && !headers.has(IDEMPOTENCY_KEY)) headers.set(IDEMPOTENCY_KEY, randomUUID());
    const { signal } = options;
    const allMs = options.timeoutMs ?? timeoutMs;
    const attempt = (remainingMs: number | undefined) =>
      call(request, { ...options, headers, ...(remainingMs !== undefined && { timeoutMs: remainingMs }) });
    const patience = { timeoutMs: allMs > 0 ? allMs : undefined, signal, mayPass: isUnavailable, pauseOf };
    return retry(attempt, { ...times, ...patience }).catch((error) => {
      throw UserlockError.from(error);
    });
  };
}

const pauseOf = (error: unknown) => UserlockError.from(error).retryAfterMs;

function streaming(call: Streaming): Streaming {
  return async function* stream(request, options) {
    try {
      yield* call(request, options);
    } catch (error) {
      throw UserlockError.from(error);
    }
  };
}

/** Whether the method changes something, as the server decides it: reads declare it, or need only the right to read. */
function isChanging(method: DescMethod): boolean {
  const { permission } = getOption(method, policy);
  return method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && !permission.endsWith(".read");
}
