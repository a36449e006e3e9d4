import {
  create,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import type { Instance } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { ReceiptsOf } from "../app/receipts.ts";
import type { Authenticate } from "../auth/authenticate.ts";
import { holds, isSelf, missing, PERMISSIONS, type Permission, type Principal } from "../domain/access.ts";
import type { Actor } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";
import { checkRequest } from "./check-request.ts";
import { type End, withDeadline } from "./deadline.ts";
import { RpcError, toRpcError } from "./errors.ts";
import type { CheckedHandler, EnteredCaller, Handler, Implementation, Outlet, StreamHandler } from "./handler.ts";
import { answerOnce, checkIdempotencyKey, isChanging } from "./idempotency.ts";

/** A call as a door hands it over, its message still unread. */
export interface Call {
  requestId: string;
  authorization: string | undefined;
  /** Client id that the caller gave with the token: must be the id or the subject of the token. */
  clientId?: string;
  /** Network address of the caller. */
  address: string | undefined;
  userAgent: string | undefined;
  /** The caller's name for the call, by which it can come again without making its change again. */
  idempotencyKey: string | undefined;
  /** How long the caller waits, milliseconds; undefined if they set no deadline. */
  timeoutMs: number | undefined;
  /** Aborted when the caller is gone. */
  signal: AbortSignal;
}

/** A method that can be served. */
type ServedMethod = DescMethodUnary | DescMethodServerStreaming;

export function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** An entrance for a method whose caller has been let in. Rejects with an RpcError. */
export type Admitted<Method extends DescMethodUnary = DescMethodUnary> = ((
  request: MessageShape<Method["input"]>,
) => Promise<MessageShape<Method["output"]>>) &
  Held;

/** The same for a method that answers with a stream: it resolves or rejects when the stream has ended. */
export type AdmittedStream = ((request: Message, outlet: Outlet) => Promise<void>) & Held;

interface Held {
  /** Whose share the call takes of what all callers have. */
  holder: string;
}

/** What every door calls, and the only thing. */
export interface Pipeline {
  /** The methods that are served. */
  readonly methods: readonly ServedMethod[];
  /**
   * Steps 1 and 2 of the order of answers, to be taken before the request is read: who calls, and do they hold
   * the method's permission anywhere. What comes back takes the other steps. Rejects with an RpcError.
   */
  admit<Method extends DescMethodUnary>(method: Method, call: Call): Promise<Admitted<Method>>;
  /**
   * The same for a method that answers with a stream. It ends at the caller's deadline if
   * there is one, when the caller leaves, and when the server stops.
   */
  admitStream(method: DescMethod, call: Call): Promise<AdmittedStream>;
  /**
   * An error on its way out: what the caller is told of it. One that a door met itself, such as a request that it cannot
   * decode, is reported; an RpcError was already.
   */
  explain(error: unknown, call: Pick<Call, "requestId">): RpcError;
}

export interface PipelineParts {
  authenticate: Authenticate;
  receiptsOf: ReceiptsOf;
  validator: Validator;
  /** The instance that is served. */
  instance: { id: string; domains: readonly string[] };
  /** How long a call may take if its caller sets no deadline, or a later one, milliseconds. */
  maxCallMs: number;
  /** Told of every error that a caller is given. */
  onError(error: RpcError, method: string, requestId: string): void;
  /** Aborted when the server stops; calls that come later are refused with SHUTTING_DOWN. */
  stopping: AbortSignal;
}

export function createPipeline(parts: PipelineParts): Pipeline & {
  /** Serves a service. Throws if a method names no permission: such a method would be closed to everybody. */
  serve<Service extends DescService>(service: Service, implementation: Implementation<Service>): void;
  /** Validates a message of each type, so that no caller waits for the rules to be compiled. */
  warmUp(): void;
} {
  const served = new Map<DescMethod, Entry>();

  function explain(error: unknown, { requestId }: Pick<Call, "requestId">, method = ""): RpcError {
    if (error instanceof RpcError) return error;
    const told = toRpcError(error, requestId);
    parts.onError(told, method, requestId);
    return told;
  }

  /** Who calls, if they hold the permission anywhere. */
  async function letIn({ permission, ...entry }: Entry, { authorization, clientId }: Call): Promise<Principal> {
    const principal = await parts.authenticate(authorization);
    if (clientId !== undefined && clientId !== principal.subject && clientId !== principal.tokenId) {
      throw new DomainError("TOKEN_INVALID", "The client id is neither the token's id nor its subject.");
    }
    const isOpen = entry.isOpenToProof || (entry.isOpenToOwnSession && principal.session !== undefined);
    if (!isOpen && !holds(principal, permission)) throw missing(permission);
    return principal;
  }

  /** Steps 1 and 2; what comes back takes the others, and lets `run` call the handler. */
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
      if (!entry) throw new DomainError("METHOD_NOT_FOUND", "There is no such method.");
      const principal = await letIn(entry, call);
      const actor = actorOf(principal, call);
      const admitted = async (request: MessageShape<Method["input"]>, ...rest: Rest) => {
        try {
          checkOwn(entry, principal, request);
          checkRequest(parts.validator, method.input, request);
          checkInstance(parts.instance, request);
          const left = deadline === undefined ? undefined : deadline - performance.now();
          const gone: End = [call.signal, () => new DomainError("CANCELLED", "The caller is gone.")];
          return await withDeadline(left, [gone, ...ends], (signal) =>
            run(entry, { principal, actor, signal, permission: entry.permission }, request, ...rest),
          );
        } catch (error) {
          throw explain(error, call, nameOf(method));
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
        const run = async (repeatable = {}) => create(output, await handler(request, { ...caller, ...repeatable }));
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
      const stopped: End = [parts.stopping, () => parts.stopping.reason];
      return enter(method, call, call.timeoutMs, [stopped], (entry, caller, request, outlet: Outlet) =>
        (entry.handler as StreamHandler)(request, { ...caller, readmit: () => letIn(entry, call) }, outlet),
      );
    },
  };
}

/** A method that is served. */
interface Entry {
  handler: Handler | StreamHandler;
  checkAgain: CheckedHandler["checkAgain"] | undefined;
  permission: Permission;
  /** It lets in callers without its permission; its handler asks for the one or the other. */
  isOpenToProof: boolean;
  /** It lets in the own session of the user whom the request names, too. */
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
  return PERMISSIONS.find((permission) => permission === named);
}

/** Step 2 for a session's token: it opens its own user's methods for that user alone. */
function checkOwn({ permission, isOpenToOwnSession }: Entry, principal: Principal, request: Message): void {
  if (!isOpenToOwnSession || isSelf(principal, (request as { id?: string }).id)) return;
  if (!holds(principal, permission)) throw missing(permission);
}

function checkInstance(own: PipelineParts["instance"], request: Message): void {
  const named = (request as { instance?: Instance }).instance?.property;
  if (!named?.case) return;
  const isOwn =
    named.case === "id" ? named.value === own.id : own.domains.includes(named.value.toLowerCase().replace(/\.$/, ""));
  if (!isOwn) throw new DomainError("INSTANCE_NOT_FOUND", "This server does not serve the instance that you name.");
}
