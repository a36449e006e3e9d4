import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  getOption,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import type { Validator } from "@bufbuild/protovalidate";
import { policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import type { Instance } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Caller } from "../app/execute.ts";
import type { ReceiptsOf } from "../app/receipts.ts";
import type { Authenticate } from "../auth/token.ts";
import { holds, missing, PERMISSIONS, type Permission } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import { type RpcError, toRpcError } from "./errors.ts";
import { checkItems } from "./items.ts";
import { answerOnce, checkIdempotencyKey, isChanging, type Repeatable } from "./repeat.ts";

/** A call as a door hands it over, its message still unread. */
export interface Call {
  requestId: string;
  authorization: string | undefined;
  /** Network address of the caller. */
  address: string | undefined;
  userAgent: string | undefined;
  /** What the caller names the call by, so that he can make it again without making its change again. */
  idempotencyKey: string | undefined;
  /** How long the caller waits, milliseconds; undefined if he did not say. */
  timeoutMs: number | undefined;
  /** Aborted when the caller is gone. */
  signal: AbortSignal;
}

/** Converts, calls the application, converts. The pipeline has authenticated the caller and validated the request. */
export type Handler<Method extends DescMethodUnary = DescMethodUnary> = (
  request: MessageShape<Method["input"]>,
  caller: Caller & { permission: Permission } & Repeatable<MessageInitShape<Method["output"]>>,
) => Promise<MessageInitShape<Method["output"]>>;

/** A handler for every method of a service. */
export type Implementation<Service extends DescService> = {
  [Name in keyof Service["method"]]: Service["method"][Name] extends DescMethodUnary
    ? Handler<Service["method"][Name]>
    : never;
};

/** An entrance for a method whose caller has been let in. Rejects with an RpcError. */
export type Admitted = (request: Message) => Promise<Message>;

/** What every door calls, and the only thing. */
export interface Pipeline {
  /** The methods that are served. */
  readonly methods: readonly DescMethodUnary[];
  /**
   * Steps 1 and 2 of the order of answers, to be taken before the request is read: who calls, and does he hold the
   * method's permission anywhere. What comes back takes the other steps. Rejects with an RpcError.
   */
  admit(method: DescMethod, call: Call): Promise<Admitted>;
  /** What a door tells of an error that it met itself, such as a request that it cannot decode. */
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
  /** A method that is open to proof lets in callers without its permission; its handler asks for the one or the other. */
  const served = new Map<DescMethod, { handler: Handler; permission: Permission; isOpenToProof: boolean }>();

  /** Errors on their way out: a door explains again what the pipeline has explained. */
  const reported = new WeakSet<RpcError>();

  function explain(error: unknown, { requestId }: Pick<Call, "requestId">, method = ""): RpcError {
    const told = toRpcError(error, requestId);
    if (!reported.has(told)) parts.onError(told, method, requestId);
    reported.add(told);
    return told;
  }

  return {
    get methods() {
      return [...served.keys()] as DescMethodUnary[];
    },
    serve(service, implementation) {
      for (const method of service.methods) {
        const handler = (implementation as Record<string, Handler>)[method.localName];
        const permission = permissionOf(method);
        if (!handler) throw new Error(`${nameOf(method)} has no handler`);
        if (!permission) throw new Error(`${nameOf(method)} names no permission`);
        served.set(method, { handler, permission, isOpenToProof: getOption(method, policy).proofInRequest });
      }
    },
    warmUp() {
      for (const { input } of served.keys()) parts.validator.validate(input, create(input));
    },
    explain,
    async admit(method, call) {
      const deadline = performance.now() + Math.min(call.timeoutMs ?? parts.maxCallMs, parts.maxCallMs);
      try {
        if (parts.stopping.aborted) throw parts.stopping.reason;
        const entry = served.get(method);
        if (!entry) throw new DomainError("METHOD_NOT_FOUND", "There is no such method.");
        const { handler, permission, isOpenToProof } = entry;
        const principal = await parts.authenticate(call.authorization);
        if (!isOpenToProof && !holds(principal, permission)) throw missing(permission);

        const { requestId, address, userAgent } = call;
        const actor = {
          subject: principal.subject,
          ...(principal.tokenId !== undefined && { tokenId: principal.tokenId }),
          requestId,
          ...(address !== undefined && { address }),
          ...(userAgent !== undefined && { userAgent: userAgent.slice(0, 200) }),
        };
        return async (request) => {
          try {
            checkItems(method.input, request);
            validate(parts.validator, method.input, request);
            checkInstance(parts.instance, request);
            const idempotencyKey = isChanging(permission) ? call.idempotencyKey : undefined;
            if (idempotencyKey !== undefined) checkIdempotencyKey(idempotencyKey);
            return await withDeadline(call.signal, deadline - performance.now(), (signal) => {
              const run = async (repeatable = {}) => {
                const caller = { principal, actor, signal, permission, ...repeatable };
                return create(method.output, await handler(request as never, caller));
              };
              if (idempotencyKey === undefined) return run();
              const bytes = toBinary(method.input, request);
              const named = { principal, idempotencyKey, method: method.name, request: bytes };
              return answerOnce(method as DescMethodUnary, parts.receiptsOf(named), run);
            });
          } catch (error) {
            throw explain(error, call, nameOf(method));
          }
        };
      } catch (error) {
        throw explain(error, call, nameOf(method));
      }
    },
  };
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`;
}

function permissionOf(method: DescMethod): Permission | undefined {
  const named = getOption(method, policy).permission;
  return PERMISSIONS.find((permission) => permission === named);
}

function validate(validator: Validator, desc: DescMessage, request: Message): void {
  const result = validator.validate(desc, request);
  if (result.kind === "valid") return;
  if (result.kind === "error") throw result.error;
  const violations = result.violations.map((violation) => ({
    field: pathToString(violation.field),
    description: violation.message,
  }));
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  throw new DomainError("INVALID_REQUEST", `${first?.field}: ${first?.description}${more}`, { violations });
}

function checkInstance(own: PipelineParts["instance"], request: Message): void {
  const named = (request as { instance?: Instance }).instance?.property;
  if (!named?.case) return;
  const isOwn =
    named.case === "id" ? named.value === own.id : own.domains.includes(named.value.toLowerCase().replace(/\.$/, ""));
  if (!isOwn) throw new DomainError("INSTANCE_NOT_FOUND", "This server does not serve the instance that you name.");
}

/** Rejects at the deadline or when the caller is gone, whether or not the work heeds its signal. */
async function withDeadline<Result>(
  gone: AbortSignal,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const { signal } = controller;
  const onGone = () => controller.abort(new DomainError("CANCELLED", "The caller is gone."));
  const onDeadline = () =>
    controller.abort(
      new DomainError("DEADLINE_EXCEEDED", "The time is up; a change was either made whole or not at all."),
    );
  const timer = setTimeout(onDeadline, Math.max(timeoutMs, 0));
  if (timeoutMs <= 0) onDeadline();
  if (gone.aborted) onGone();
  gone.addEventListener("abort", onGone, { once: true });
  try {
    const aborted = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return await Promise.race([aborted, work(signal)]);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener("abort", onGone);
  }
}
