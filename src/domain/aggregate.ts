import type { Owner, Permission } from "./access.ts";
import type { Reason } from "./errors.ts";

/** Who caused an event, and through which call. It is recorded with the event. */
export interface Actor {
  subject: string;
  tokenId?: string;
  requestId?: string;
  /** Network address of the caller. */
  address?: string;
  userAgent?: string;
}

/** When something happens, and by whom. */
export interface Occasion {
  /**
   * Microseconds since the Unix epoch. To `decide` it is the clock's time. To `evolve` it is the event's, which is never
   * before the event that precedes it in the stream: it may be ahead of the clock.
   */
  time: number;
  actor: Actor;
}

export interface DomainEvent {
  /** Such as `user.locked`. */
  type: string;
  /** JSON. */
  data: object;
}

/**
 * The rules of one kind of object, as plain functions. State and events are stored as JSON.
 */
export interface Aggregate<State, Command, Event extends DomainEvent> {
  /** Kind of stream, such as `user`. */
  readonly kind: string;
  /** The reason for an object that is not there. */
  readonly notFound: Reason;
  /** The permission without which an object is not visible. */
  readonly toSee: Permission;
  /** The events that the command leads to; none if it changes nothing. Throws a DomainError where a rule forbids it. */
  decide(state: State | undefined, command: Command, occasion: Occasion): Event[];
  /** The state after the event. Never throws. */
  evolve(state: State | undefined, event: Event, occasion: Occasion): State;
  owner(state: State): Owner;
  /** The names that the object holds and nobody else may hold at the same time. */
  claims(state: State): string[];
  /** Whether the object has ended: it is not visible any more, and its id stays used. */
  isGone(state: State): boolean;
  /** Whom the object is about, if it is a user. */
  userId?(state: State): string;
  /** The event as it is kept in the log, which is for ever; the event itself if nothing of it is to be left out. */
  logged?(event: Event): Event;
}
