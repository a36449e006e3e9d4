import type {
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Caller } from "../app/execute.ts";
import type { Permission, Principal } from "../domain/access.ts";
import type { Repeatable } from "./idempotency.ts";

/** A caller who was let in, and the permission of the method that they call. */
export type EnteredCaller = Caller & { permission: Permission };

/** Converts, calls the application, converts. The pipeline has authenticated the caller and validated the request. */
export type Handler<Method extends DescMethodUnary = DescMethodUnary> = (
  request: MessageShape<Method["input"]>,
  caller: EnteredCaller & Repeatable<MessageInitShape<Method["output"]>>,
) => Promise<MessageInitShape<Method["output"]>>;

/** A handler whose first answer may not be good any more when its call comes again. */
export interface CheckedHandler<Method extends DescMethodUnary = DescMethodUnary> {
  run: Handler<Method>;
  /** Rejects if the first answer must not be given again. */
  checkAgain(
    answer: MessageShape<Method["output"]>,
    request: MessageShape<Method["input"]>,
    caller: EnteredCaller,
  ): Promise<void>;
}

/** Where the messages of a stream go out. */
export interface Outlet<Output extends Message = Message> {
  /** Sends a message. False, and the message is not sent, if the client has too much unread. */
  send(message: Output): boolean;
  /**
   * Undefined if the client has little unread, which is never so after a message was not sent. Otherwise it resolves
   * when the client has, or is gone; with false once the client has read nothing for a while.
   */
  ready(): Promise<boolean> | undefined;
}

/** The same for a method that answers with a stream, which ends with the promise. It heeds its caller's signal. */
export type StreamHandler<Method extends DescMethodServerStreaming = DescMethodServerStreaming> = (
  request: MessageShape<Method["input"]>,
  caller: EnteredCaller & {
    /** Steps 1 and 2 of the order of answers once more, for a stream that outlives them. Rejects with a DomainError. */
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
