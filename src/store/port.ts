import type { Owner } from "../domain/access.ts";
import type { Actor, Aggregate, DomainEvent } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";

/**
 * Where everything is kept: a log of events, and for each object (a stream) one row with its state after its last
 * event. An adapter holds what is said here; what its contract suite does not test, it does not promise.
 *
 * All methods reject with StoreUnavailable if the store cannot be reached or is closed. All that is stored and found
 * belongs to the one instance that the adapter was opened for. All text is Unicode without U+0000: an append with other
 * text rejects, and touches no other one. A record may be given to several who ask, so nobody changes it.
 */
export interface EventStore {
  /**
   * Adds events to a stream, with the state and the claims that follow from them: all of it or nothing. Resolves
   * once it is durable. Appends that arrive together share one commit; what is refused in one does not touch the
   * others.
   */
  append(append: Append): Promise<AppendResult>;

  /** The stream, or undefined if it has no events. Sees every append that was answered before the call. */
  load(kind: string, id: string): Promise<StreamRecord | undefined>;

  /** The stream that holds the claim. Sees every append that was answered before the call. */
  loadByClaim(claim: string): Promise<StreamRecord | undefined>;

  /** The same, and with it the stream that its state names: both as of one moment, in one look-up. */
  loadByClaimWith(claim: string, link: Link): Promise<LinkedRecord | undefined>;

  /**
   * A page of streams by their states, and how many pass in all, both as of one moment. A page holds so many
   * characters of states (limits.ts), or a single one. Soon after the signal is aborted the search ends, and
   * rejects with its reason.
   */
  search(query: Query, options?: SearchOptions): Promise<SearchResult>;

  /**
   * A page of the log, in commit order or against it. Who goes on from the answer's cursor misses no event that passes
   * and gets none twice, whatever commits meanwhile. Rejects with INVALID_REQUEST for an invalid cursor. Ends by the
   * signal as a search does.
   */
  read(query: LogQuery, signal?: AbortSignal): Promise<LogPage>;

  /** The place after the last event. Every event whose append is called later comes after it. */
  head(): Promise<Cursor>;

  /** The answer that is kept under the key, if there is one that has not expired at `time`. */
  loadReceipt(key: string, time: number): Promise<Receipt | undefined>;

  /** Keeps an answer with which no event goes. Resolves with false if there is one under the key already. */
  keep(receipt: Receipt, time: number): Promise<boolean>;

  /** Resolves if the store can be written now, and was not found to be damaged. It writes a little, and no event. */
  check(): Promise<void>;

  /** Calls the listener after appends. Only a hint to read: calls may be missing, merged or superfluous. */
  onAppend(listener: () => void): () => void;

  /** Finishes what was accepted, then lets go of everything. */
  close(): Promise<void>;
}

/**
 * A place in the log: opaque, but for its order. Of two cursors of one log the one that is less as text comes first,
 * and LOG_START before all.
 */
export type Cursor = string;

export const LOG_START: Cursor = "0";

export interface LogQuery {
  /** What comes after it is read, or what comes before it if descending; left out, from the one end or the other. */
  from?: Cursor | undefined;
  descending?: boolean;
  limit: number;
  where?: EventFilter;
}

/** What an event must pass, all of it; what is left out every event passes. */
export interface EventFilter {
  ownerTypes?: readonly Owner["type"][];
  /** Ids of owners of the type org. */
  organizations?: readonly string[];
  userIds?: readonly string[];
  types?: readonly string[];
  /** Subject of the actor. */
  actor?: string;
  /** From this time on, microseconds since the Unix epoch. */
  since?: number;
  /** Before this time. */
  before?: number;
}

export interface LogPage {
  /**
   * No more than were asked for. Fewer, or none, do not mean that none follow: where hardly anything passes, no more is
   * looked at in one go than can be in a short time; and a page holds so many characters of data and actors
   * (limits.ts), or a single event.
   */
  events: RecordedEvent[];
  /** Where to go on: everything that passes up to here was read. */
  cursor: Cursor;
  /**
   * Whether there may be more. If not, and there are conditions, the cursor is the end of the log as it was then; or
   * LOG_START if descending.
   */
  hasMore: boolean;
}

/** An answer that is given again to who asks again with the same key. */
export interface Receipt {
  key: string;
  /** What the request was. */
  fingerprint: string;
  answer: Uint8Array;
  /** Microseconds since the Unix epoch; it may be forgotten from then on. */
  expires: number;
}

export interface StreamRecord<State = unknown> {
  kind: string;
  id: string;
  /** How many events the stream has. */
  version: number;
  owner: Owner;
  /** Time of the first event, microseconds since the Unix epoch. */
  created: number;
  /** Time of the last event, microseconds since the Unix epoch. */
  changed: number;
  /** JSON. */
  state: State;
}

/** How a state names another stream. */
export interface Link {
  /** Kind of the stream that is looked for. */
  kind: string;
  /** Where the id is: a path into the state that names, such as `state.userId`. */
  field: string;
}

export interface LinkedRecord<State = unknown, Other = unknown> {
  record: StreamRecord<State>;
  /** Absent if there is none of this kind with this id, or no text at the field. */
  other?: StreamRecord<Other> | undefined;
}

export interface Append {
  kind: string;
  id: string;
  /** The version that the stream must have; 0 for a new one. */
  expectedVersion: number;
  /** At least one. */
  events: readonly DomainEvent[];
  /** Whom the events are about, if it is a user. */
  userId?: string | undefined;
  /** Time of the events, microseconds since the Unix epoch; not before the stream's last event. */
  time: number;
  /** The clock's time, by which receipts expire; `time` if left out. */
  now?: number;
  actor: Actor;
  owner: Owner;
  state: unknown;
  claims: { add: readonly string[]; remove: readonly string[] };
  /** Streams on which the decision rests: they must be there and still have these versions, else it is a conflict. */
  requires: readonly { kind: string; id: string; version: number }[];
  /**
   * What must not be there, else it is a conflict: streams of a kind that have this text as `subject` in their states.
   * Those are seen whose appends were answered before this call.
   */
  absent?: { kind: string; subject: string } | undefined;
  /** Kept with the events, or not at all. */
  receipt?: Receipt | undefined;
}

export type AppendResult =
  | { outcome: "appended" }
  /** The stream was not as expected, or one that was required had another version; or there was what must not be. */
  | { outcome: "conflict" }
  /** Another stream holds a claim. */
  | { outcome: "claimed"; claim: string }
  /** There is an answer under the receipt's key already. */
  | { outcome: "repeated" };

export interface RecordedEvent extends DomainEvent {
  cursor: Cursor;
  kind: string;
  id: string;
  /** Version of the stream after this event. */
  version: number;
  owner: Owner;
  userId: string | undefined;
  time: number;
  actor: Actor;
}

export interface Query {
  kind: string;
  where: Filter;
  /** Streams that are alike in all keys are ordered by id, in the same direction. */
  order: { keys: readonly SortKey[]; descending: boolean };
  offset: number;
  limit: number;
  /** Nobody asks how many pass in all: to count them takes as long as to look at all of them. `total` is then 0. */
  total?: false;
}

export interface SearchOptions {
  signal?: AbortSignal;
  /** Part of a rule, or a look-up of a few streams: it never waits behind what callers search for. */
  isLookUp?: boolean;
}

export interface SearchResult<State = unknown> {
  records: StreamRecord<State>[];
  /** Whether there are fewer than were asked for because their states are long, and more on the next page. */
  isCut: boolean;
  total: number;
}

/**
 * A condition on a stream. A field is `id`, `owner.type`, `owner.id`, `created`, `changed`, or a path into the state
 * such as `state.email.address`; within `some` it is a path into the element such as `element.name`. A comparison
 * with a field that is not there does not pass, and its negation does. Text is compared by code points.
 */
export type Filter =
  | { all: readonly Filter[] }
  | { any: readonly Filter[] }
  | { not: Filter }
  | { field: string; is: string | number | boolean }
  | { field: string; exists: true }
  /** A number that is at most, or at least, this one. */
  | { field: string; atMost: number }
  | { field: string; atLeast: number }
  | { field: string; text: TextMethod; value: string }
  /** A text that comes after this one. */
  | { field: string; after: string }
  /** At least one element of the array at `some` passes. */
  | { some: string; where: Filter };

/** Where case is ignored, both texts are compared as domain/fold.ts folds them. */
export type TextMethod =
  | "equals_ignore_case"
  | "starts_with"
  | "starts_with_ignore_case"
  | "contains"
  | "contains_ignore_case";

/** A field (absent before present), or a condition (what does not pass before what does). */
export type SortKey = { field: string } | { test: Filter };

/** The rules of a kind of stream, which name it and the type of its states. */
type Rules<State> = Pick<Aggregate<State, never, never>, "kind" | "owner">;

/** EventStore.load, typed by the rules that made the states. */
export async function load<State>(store: EventStore, { kind }: Rules<State>, id: string) {
  return (await store.load(kind, id)) as StreamRecord<State> | undefined;
}

/** EventStore.loadByClaim, typed; undefined also where a stream of another kind holds the claim. */
export async function loadByClaim<State>(store: EventStore, { kind }: Rules<State>, claim: string) {
  const record = await store.loadByClaim(claim);
  return record?.kind === kind ? (record as StreamRecord<State>) : undefined;
}

/** EventStore.loadByClaimWith, typed; undefined also where a stream of another kind holds the claim. */
export async function loadByClaimWith<State, Other>(
  store: EventStore,
  { kind }: Rules<State>,
  claim: string,
  link: { rules: Rules<Other>; field: string },
) {
  const found = await store.loadByClaimWith(claim, { kind: link.rules.kind, field: link.field });
  return found?.record.kind === kind ? (found as LinkedRecord<State, Other>) : undefined;
}

/** EventStore.search, typed. */
export async function search<State>(
  store: EventStore,
  { kind }: Rules<State>,
  query: Omit<Query, "kind">,
  options?: SearchOptions,
) {
  return (await store.search({ kind, ...query }, options)) as SearchResult<State>;
}

/** The store cannot be reached, is overloaded, or is closed. Whether an append was committed is then not known. */
export class StoreUnavailable extends DomainError {
  override name = "StoreUnavailable";

  /** The cause is for the log; a caller is told only to try again. */
  constructor(cause: unknown) {
    super("STORE_UNAVAILABLE", "The store cannot be reached: read what is there, then try again.", { cause });
  }
}

/** The store was not opened: its schema is newer than this program, say. The message is for the operator. */
export class StoreRefused extends Error {
  override name = "StoreRefused";
}
