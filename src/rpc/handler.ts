import type {
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Bearer } from "../app/authorize.ts";
import type { Caller } from "../app/execute.ts";
import type { Permission, Principal } from "../domain/access.ts";
import type { Repeatable } from "./idempotency.ts";

/**
 * Fields that a handler adds to its response, with names in lower case. The door's own fields take precedence. REST has
 * no trailers. A stored answer that is returned again has neither.
 */
export interface ResponseFields {
  headers?: Record<string, string>;
  trailers?: Record<string, string>;
}

/** An authorised caller, with their user, if they are one, and the permission of the called method. */
export type EnteredCaller = Caller & Bearer & { permission: Permission; response: ResponseFields };

/** Converts, calls the application, converts. The caller is authenticated and the request validated. */
export type Handler<Method extends DescMethodUnary = DescMethodUnary> = (
  request: MessageShape<Method["input"]>,
  caller: EnteredCaller & Repeatable<MessageInitShape<Method["output"]>>,
) => Promise<MessageInitShape<Method["output"]>>;

/** A handler whose stored answer may become invalid before the call is repeated. */
export interface CheckedHandler<Method extends DescMethodUnary = DescMethodUnary> {
  run: Handler<Method>;
  /** Rejects if the stored answer must not be returned again. */
  checkAgain(
    answer: MessageShape<Method["output"]>,
    request: MessageShape<Method["input"]>,
    caller: EnteredCaller,
  ): Promise<void>;
}

/** The output of a stream. */
export interface Outlet<Output extends Message = Message> {
  /** Sends a message. Returns false, without sending it, if the client has too much unread. */
  send(message: Output): boolean;
  /**
   * Undefined if the client has little unread, which is never so after `send` returned false. Otherwise resolves with
   * true once it has little unread or disconnects, or with false if it reads nothing for a while.
   */
  ready(): Promise<boolean> | undefined;
}

/** A handler of a streaming method. The stream ends with the promise. The handler must heed the caller's signal. */
export type StreamHandler<Method extends DescMethodServerStreaming = DescMethodServerStreaming> = (
  request: MessageShape<Method["input"]>,
  caller: EnteredCaller & {
    /** Repeats steps 1 and 2 of the order of answers during a long stream. Rejects with a DomainError. */
    readmit(): Promise<Principal>;
  },
  outlet: Outlet<MessageShape<Method["output"]>>,
) => Promise<void>;

/** A handler for every method of a service. */
export type Implementation<Service extends DescService> = {
  [Name in keyof Service["method"]]: Service["method"][Name] extends DescMethodUnary
    ? Handler<Service["method"][Name]> | CheckedHandler<Service["method"][Name]>
    : Service["method"][Name] extends DescMethodServerStreaming
      ? StreamHandler<Service["method"][Name]>
      : never;
};
