import {
  create,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  type Message,
  type MessageShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import type { Instance } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { ReceiptsOf } from "../app/receipts.ts";
import type { Authenticate, Authenticated } from "../auth/authenticate.ts";
import { holds, isSelf, missing, PERMISSIONS, type Permission, type Principal, SELF_READ } from "../domain/access.ts";
import type { Actor } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";
import { checkRequest } from "./check-request.ts";
import { type End, withDeadline } from "./deadline.ts";
import { errorDetails, namedAsInJson, RpcError, toRpcError } from "./errors.ts";
import type {
  CheckedHandler,
  EnteredCaller,
  Handler,
  Implementation,
  Outlet,
  ResponseFields,
  StreamHandler,
} from "./handler.ts";
import { answerOnce, checkIdempotencyKey, isChanging } from "./idempotency.ts";
import type { ObservedCall } from "./observer.ts";

/** The metadata of a call. Its message is not read yet. */
export interface Call {
  requestId: string;
  authorization: string | undefined;
  /** The client id that came with the token. It must be the token's id or subject. */
  clientId?: string;
  /** The network address of the caller. */
  address: string | undefined;
  userAgent: string | undefined;
  /** Makes a repeated call safe: it changes nothing, and gets the first answer. */
  idempotencyKey: string | undefined;
  /** The caller's deadline, milliseconds from now; undefined if they set none. */
  timeoutMs: number | undefined;
  /** Aborts when the caller disconnects. */
  signal: AbortSignal;
  /** Aborts when the caller's connection has reached its age, which ends streams. */
  retirement?: AbortSignal | undefined;
  /** Whether the caller writes JSON, and names fields as JSON does. */
  isJson?: boolean;
  /** What the handler adds to the response. */
  response: ResponseFields;
  /** What observers get of the call. Absent without observers. */
  observed?: ObservedCall | undefined;
}

/** A method of a kind that the pipeline supports. */
type ServedMethod = DescMethodUnary | DescMethodServerStreaming;

export function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** Calls the method for an authorised caller. Rejects with an RpcError. */
export type Admitted<Method extends DescMethodUnary = DescMethodUnary> = ((
  request: MessageShape<Method["input"]>,
) => Promise<MessageShape<Method["output"]>>) &
  Held;

/** Like Admitted, for a streaming method. It settles when the stream has ended. */
export type AdmittedStream = ((request: Message, outlet: Outlet) => Promise<void>) & Held;

interface Held {
  /** The caller that the call counts for in quotas. */
  holder: string;
}

/** The single entry point of every door. */
export interface Pipeline {
  /** All methods that are served. */
  readonly methods: readonly ServedMethod[];
  /** The message types that JSON may have in a google.protobuf.Any. */
  readonly types: Registry;
  /**
   * Takes steps 1 and 2 of the order of answers before the request is read. It authenticates the caller and checks that
   * they hold the permission anywhere. The returned function does the rest. Rejects with an RpcError.
   */
  admit<Method extends DescMethodUnary>(method: Method, call: Call): Promise<Admitted<Method>>;
  /**
   * Like `admit`, for a streaming method. The stream ends at the caller's deadline, when the caller disconnects, or
   * when the server stops.
   */
  admitStream(method: DescMethod, call: Call): Promise<AdmittedStream>;
  /**
   * Converts an error for the caller. Reports an error of the door itself, such as an invalid message; an RpcError was
   * reported before.
   */
  explain(error: unknown, call: Pick<Call, "requestId" | "observed">): RpcError;
}

export interface PipelineParts {
  authenticate: Authenticate;
  receiptsOf: ReceiptsOf;
  validator: Validator;
  /** The instance of this server. */
  instance: { id: string; domains: readonly string[] };
  /** The maximum and default time of a unary call, milliseconds. */
  maxCallMs: number;
  /** Called with every error that a caller gets. */
  onError(error: RpcError, method: string, requestId: string): void;
  /** Aborts when the server stops. Later calls fail with SHUTTING_DOWN. */
  stopping: AbortSignal;
  /** By default, the types of error details. */
  types?: Registry;
  /** Converts errors for callers. Tests without error details replace it. */
  toError?: typeof toRpcError;
}

export function createPipeline(parts: PipelineParts): Pipeline & {
  /** Adds a service. Throws if a method names no permission: nobody could call it. */
  serve<Service extends DescService>(service: Service, implementation: Implementation<Service>): void;
  /** Compiles the validation rules of every message, so that no caller waits for it. */
  warmUp(): void;
} {
  const served = new Map<DescMethod, Entry>();
  const { types = errorDetails, toError = toRpcError } = parts;

  function explain(
    error: unknown,
    { requestId, observed }: Pick<Call, "requestId" | "observed">,
    method = "",
  ): RpcError {
    if (error instanceof RpcError) return error;
    const answer = toError(error, requestId);
    if (observed) observed.error = answer;
    parts.onError(answer, method, requestId);
    return answer;
  }

  /** The caller, if they hold the permission anywhere. */
  async function letIn({ permission, ...entry }: Entry, { authorization, clientId }: Call): Promise<Authenticated> {
    const authenticated = await parts.authenticate(authorization);
    const { principal } = authenticated;
    if (clientId !== undefined && clientId !== principal.subject && clientId !== principal.tokenId) {
      throw new DomainError("TOKEN_INVALID", "The client id must be the token's id or its subject.");
    }
    const isOpen = entry.isOpenToProof || (entry.isOpenToOwnSession && principal.session !== undefined);
    if (!isOpen && !holds(principal, permission)) throw missing(permission);
    return authenticated;
  }

  /** Takes steps 1 and 2. The returned function takes the other steps and calls `run`. */
  async function enter<Method extends DescMethod, Rest extends unknown[], Result>(
    method: Method,
    call: Call,
    timeoutMs: number | undefined,
    ends: readonly End[],
    run: (
      entry: Entry,
      caller: EnteredCaller,
      request: MessageShape<Method["input"]>,
      ...rest: Rest
    ) => Promise<Result>,
  ): Promise<((request: MessageShape<Method["input"]>, ...rest: Rest) => Promise<Result>) & Held> {
    const deadline = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    try {
      if (parts.stopping.aborted) throw parts.stopping.reason;
      const entry = served.get(method);
      if (!entry) throw new DomainError("METHOD_NOT_FOUND", "The method does not exist.");
      const { observed } = call;
      if (observed) {
        observed.method = method;
        observed.isChanging = isChanging(method, entry.permission);
      }
      // Only for the caller's own deadline, because a timer costs. An invalid one (NaN) is refused with the message.
      const isOwn = call.timeoutMs !== undefined && !Number.isNaN(call.timeoutMs);
      const admission = () => letIn(entry, call);
      const { principal, user } = await (isOwn ? withDeadline(call.timeoutMs, [], admission) : admission());
      const actor = actorOf(principal, call);
      if (observed) {
        observed.principal = principal;
        observed.actor = actor;
      }
      const { permission } = entry;
      const admitted = async (request: MessageShape<Method["input"]>, ...rest: Rest) => {
        try {
          checkOwn(entry, principal, request);
          checkRequest(parts.validator, method.input, request);
          if (observed) observed.request = request;
          checkInstance(parts.instance, request);
          const left = deadline === undefined ? undefined : deadline - performance.now();
          const gone: End = [call.signal, () => new DomainError("CANCELLED", "The caller disconnected.")];
          return await withDeadline(left, [gone, ...ends], (signal) =>
            run(entry, { principal, user, actor, signal, permission, response: call.response }, request, ...rest),
          );
        } catch (error) {
          throw explain(call.isJson ? namedAsInJson(error) : error, call, nameOf(method));
        }
      };
      return Object.assign(admitted, { holder: principal.subject });
    } catch (error) {
      throw explain(error, call, nameOf(method));
    }
  }

  return {
    get methods() {
      return [...served.keys()] as ServedMethod[];
    },
    types,
    serve(service, implementation) {
      for (const method of service.methods) {
        const given = (implementation as Record<string, Handler | CheckedHandler | StreamHandler>)[method.localName];
        const permission = permissionOf(method);
        if (!given) throw new Error(`${nameOf(method)} has no handler`);
        if (!permission) throw new Error(`${nameOf(method)} names no permission`);
        const { run: handler, checkAgain } = "run" in given ? given : { run: given, checkAgain: undefined };
        const { proofInRequest: isOpenToProof, ownSession: isOpenToOwnSession } = getOption(method, policy);
        served.set(method, { handler, checkAgain, permission, isOpenToProof, isOpenToOwnSession });
      }
    },
    warmUp() {
      for (const { input } of served.keys()) parts.validator.validate(input, create(input));
    },
    explain,
    admit<Method extends DescMethodUnary>(method: Method, call: Call) {
      const output: Method["output"] = method.output;
      const timeoutMs = Math.min(call.timeoutMs ?? parts.maxCallMs, parts.maxCallMs);
      return enter(method, call, timeoutMs, [], async (entry, caller, request) => {
        const handler = entry.handler as Handler<Method>;
        const run = async (repeatable = {}) => {
          const response = create(output, await handler(request, { ...caller, ...repeatable }));
          if (call.observed) call.observed.response = response;
          return response;
        };
        const { idempotencyKey } = call;
        if (idempotencyKey === undefined || !isChanging(method, entry.permission)) return run();
        checkIdempotencyKey(idempotencyKey);
        const { principal } = caller;
        const named = { principal, idempotencyKey, method: method.name, request: toBinary(method.input, request) };
        const check = async (answer: MessageShape<Method["output"]>) => entry.checkAgain?.(answer, request, caller);
        return answerOnce(output, parts.receiptsOf(named), run, check);
      });
    },
    admitStream(method, call) {
      const ends: End[] = [[parts.stopping, () => parts.stopping.reason]];
      const { retirement } = call;
      if (retirement) ends.push([retirement, () => retirement.reason]);
      return enter(method, call, call.timeoutMs, ends, (entry, caller, request, outlet: Outlet) =>
        (entry.handler as StreamHandler)(
          request,
          { ...caller, readmit: async () => (await letIn(entry, call)).principal },
          outlet,
        ),
      );
    },
  };
}

/** A served method. */
interface Entry {
  handler: Handler | StreamHandler;
  checkAgain: CheckedHandler["checkAgain"] | undefined;
  permission: Permission;
  /** Also admits callers without the permission. The handler checks their proof instead. */
  isOpenToProof: boolean;
  /** Also admits the session of the user that the request names. */
  isOpenToOwnSession: boolean;
}

function actorOf({ subject, tokenId }: Principal, { requestId, address, userAgent }: Call): Actor {
  return {
    subject,
    ...(tokenId !== undefined && { tokenId }),
    requestId,
    ...(address !== undefined && { address }),
    ...(userAgent !== undefined && { userAgent: userAgent.slice(0, 200) }),
  };
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`;
}

function permissionOf(method: DescMethod): Permission | undefined {
  const named = getOption(method, policy).permission;
  const all: readonly Permission[] = [...PERMISSIONS, SELF_READ];
  return all.find((permission) => permission === named);
}

/** Step 2 for a session's token, which gives access to its own user only. */
function checkOwn({ permission, isOpenToOwnSession }: Entry, principal: Principal, request: Message): void {
  if (!isOpenToOwnSession || isSelf(principal, (request as { id?: string }).id)) return;
  if (!holds(principal, permission)) throw missing(permission);
}

function checkInstance(own: PipelineParts["instance"], request: Message): void {
  const named = (request as { instance?: Instance }).instance?.property;
  if (!named?.case) return;
  const isOwn =
    named.case === "id" ? named.value === own.id : own.domains.includes(named.value.toLowerCase().replace(/\.$/, ""));
  if (!isOwn) throw new DomainError("INSTANCE_NOT_FOUND", "This server does not serve the named instance.");
}
