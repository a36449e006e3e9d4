import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Principal } from "../domain/access.ts";
import type { Actor } from "../domain/aggregate.ts";
import type { RpcError } from "./errors.ts";

/** The protocol of a call, as in OpenTelemetry's `rpc.system.name`. `http` is REST. */
export type CallSystem = "grpc" | "connectrpc" | "http";

/** What is known of a call. The doors and the pipeline complete it while the call runs. */
export interface ObservedCall {
  readonly system: CallSystem;
  readonly requestId: string;
  /** The network address of the caller. */
  readonly address: string | undefined;
  /** The method and the scheme of its HTTP request. */
  readonly verb: string;
  readonly scheme: "http" | "https";
  /** The trace that the caller sends (https://www.w3.org/TR/trace-context/), as it is written. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** The time of its begin, as by `performance.now()`. */
  readonly started: number;
  /** The id of the caller's trace, or of a new one. */
  traceId?: string | undefined;
  /** Absent if no such method is served. */
  method?: DescMethod;
  /** Whether the method changes anything. */
  isChanging?: boolean;
  /** The template of the path, such as `/resources/v3alpha/users/{id}`. Only REST has it. */
  route?: string;
  /** The HTTP status. Absent if there was no answer. */
  status?: number;
  /** Absent unless the caller was authenticated. */
  principal?: Principal;
  /** The actor of the events of this call: the same object. Absent like the principal. */
  actor?: Actor;
  /** Absent unless it was valid. */
  request?: Message;
  /** What the handler of a unary method returned. Absent if it failed, and for an answer that is repeated. */
  response?: Message;
  /** The error that the caller got. Absent if the call succeeded. */
  error?: RpcError;
}

/** Sees every request of the public port. It must not throw or wait. */
export interface CallObserver {
  /** Called when the request has arrived. */
  began(call: ObservedCall): void;
  /**
   * Called once, when the answer is written or the client is gone. A request with neither method nor error was no call,
   * such as a probe.
   */
  ended(call: ObservedCall): void;
}
