import type { Owner, Permission } from "./access.ts";
import type { Reason } from "./errors.ts";

/** The caller and the call that caused an event, recorded with it. */
export interface Actor {
  subject: string;
  tokenId?: string;
  requestId?: string;
  /** The network address of the caller. */
  address?: string;
  userAgent?: string;
}

/** The time and the actor of a change. */
export interface Occasion {
  /**
   * Microseconds since the Unix epoch. `decide` gets the clock's time. `evolve` gets the event's time, which never
   * decreases within a stream and may be ahead of the clock.
   */
  time: number;
  actor: Actor;
}

export interface DomainEvent {
  /** The type, such as `user.locked`. */
  type: string;
  /** JSON. */
  data: object;
}

/** The rules of one kind of object, as pure functions. State and events are stored as JSON. */
export interface Aggregate<State, Command, Event extends DomainEvent> {
  /** The kind of stream, such as `user`. */
  readonly kind: string;
  /** The reason of the error for a missing object. */
  readonly notFound: Reason;
  /** The permission that is needed to see an object. */
  readonly toSee: Permission;
  /** Returns the command's events, none if it changes nothing. Throws a DomainError if a rule forbids it. */
  decide(state: State | undefined, command: Command, occasion: Occasion): Event[];
  /** Returns the state after the event. Never throws. */
  evolve(state: State | undefined, event: Event, occasion: Occasion): State;
  owner(state: State): Owner;
  /** Unique names that the object holds. */
  claims(state: State): string[];
  /** Whether the object has ended. It is then invisible, and its id stays used. */
  isGone(state: State): boolean;
  /** The user that the object is about, if any. */
  userId?(state: State): string;
  /**
   * The event as the log keeps it forever, without personal data and secrets, given the state after it. Defaults to the
   * event itself.
   */
  logged?(event: Event, after: State, occasion: Occasion): Event;
}
