import type { Owner } from "../domain/access.ts";
import type { Actor, Aggregate, DomainEvent } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";
import type { CountQuery, Counts, Query } from "./query.ts";

/**
 * Stores a log of events, and for each object (a stream) one row with its state after its last event. Adapters promise
 * what the contract suite tests, and no more.
 *
 * All methods reject with StoreUnavailable if the store is unreachable or closed. Everything belongs to the one
 * instance that the adapter was opened for. All text is Unicode without U+0000: an append with other text rejects,
 * without effect on others. Concurrent callers may share a record, so treat records as immutable.
 */
export interface EventStore {
  /**
   * Adds events to a stream, with the state and the claims that follow from them, atomically. Resolves once the commit
   * is durable. Concurrent appends share one commit; a conflict fails only its own caller.
   */
  append(append: Append): Promise<AppendResult>;

  /** Loads a stream; undefined if it has no events. Sees every append that was answered before the call. */
  load(kind: string, id: string): Promise<StreamRecord | undefined>;

  /** Loads the stream that holds the claim. Sees every append that was answered before the call. */
  loadByClaim(claim: string): Promise<StreamRecord | undefined>;

  /** Like loadByClaim, with the stream that the state links to, as of the same moment. */
  loadByClaimWith(claim: string, link: Link): Promise<LinkedRecord | undefined>;

  /**
   * Returns a page of streams by their states, and the total, as of one moment. The states of a page have a length
   * limit (limits.ts), but one always fits. Aborting the signal ends the search soon, and rejects with the signal's
   * reason.
   */
  search(query: Query, options?: SearchOptions): Promise<SearchResult>;

  /** Counts streams, as of one moment. The signal ends it as it ends a search. */
  count(query: CountQuery, signal?: AbortSignal): Promise<Counts>;

  /**
   * Returns a page of the streams that hold a claim with the prefix, in the order of their claims, as of one moment. A
   * page has a length limit like that of a search. The signal ends it as it ends a search.
   */
  holders(query: HoldersQuery, signal?: AbortSignal): Promise<HoldersPage>;

  /**
   * Returns a page of the log, in commit order or descending. Reading on from the returned cursor misses no matching
   * event and returns none twice, whatever commits meanwhile. Rejects with INVALID_REQUEST for an invalid cursor. The
   * signal ends it as it ends a search.
   */
  read(query: LogQuery, signal?: AbortSignal): Promise<LogPage>;

  /** Returns the end of the log. Events of appends that are called later come after it. */
  head(): Promise<Cursor>;

  /** Loads the answer stored under the key, unless it has expired at `time`. */
  loadReceipt(key: string, time: number): Promise<Receipt | undefined>;

  /** Stores an answer that has no events. Resolves with false if the key has one already. */
  keep(receipt: Receipt, time: number): Promise<boolean>;

  /** Resolves if the store accepts writes now and no damage was found. It writes a little, but no event. */
  check(): Promise<void>;

  /** Calls the listener after appends. It is only a hint to read: calls may be missing, merged or superfluous. */
  onAppend(listener: () => void): () => void;

  /** Returns what is in use now. */
  usage(): StoreUsage;

  /** Finishes accepted appends, then releases all resources. */
  close(): Promise<void>;
}

export interface StoreUsage {
  /** The number of appends without a result. */
  waiting: number;
  /** The pools of connections to a database server. */
  pools: readonly { name: string; used: number; idle: number; pending: number }[];
}

/** Sees the work of a store. It must not throw. */
export interface StoreObserver {
  /** A commit of `rows` appends ended, whether or not it succeeded. */
  committed(rows: number, milliseconds: number, appends: readonly { actor: Actor }[]): void;
  /** A commit is tried again, for this kind of trouble. */
  retried(trouble: string): void;
}

/** A position in the log. It is opaque, but sorts as text: earlier positions are less, and LOG_START is the least. */
export type Cursor = string;

export const LOG_START: Cursor = "0";

export interface LogQuery {
  /** Reads what comes after it, or before it if descending. The default is the start, or the end if descending. */
  from?: Cursor | undefined;
  descending?: boolean;
  limit: number;
  where?: EventFilter;
}

/** Conditions that an event must all meet. An omitted condition matches every event. */
export interface EventFilter {
  ownerTypes?: readonly Owner["type"][];
  /** Ids of organizations that own the object. */
  organizations?: readonly string[];
  userIds?: readonly string[];
  types?: readonly string[];
  /** The actor's subject. */
  actor?: string;
  /** At or after this time, microseconds since the Unix epoch. */
  since?: number;
  /** Before this time, microseconds since the Unix epoch. */
  before?: number;
}

export interface LogPage {
  /**
   * At most `limit` events. There may be fewer, or none, although more follow: a read examines a bounded number of
   * events, and a page has a length limit (limits.ts), which one event may exceed.
   */
  events: RecordedEvent[];
  /** Where to continue: every matching event up to here was read. */
  cursor: Cursor;
  /**
   * Whether more may follow. If not, the cursor of a filtered read is the end of the log at that time, or LOG_START if
   * descending.
   */
  hasMore: boolean;
}

export interface HoldersQuery {
  prefix: string;
  /** The last claim of the page before. */
  after?: string | undefined;
  limit: number;
  /** Returns states with these fields alone, null if absent. The default is the whole state. */
  only?: readonly `state.${string}`[];
}

export interface HoldersPage {
  holders: { claim: string; record: StreamRecord }[];
  /** Whether more may follow. */
  hasMore: boolean;
}

/** A stored answer, which a repeated call with the same key gets again. */
export interface Receipt {
  key: string;
  /** Identifies the request. */
  fingerprint: string;
  answer: Uint8Array;
  /** When it may be deleted, microseconds since the Unix epoch. */
  expires: number;
}

export interface StreamRecord<State = unknown> {
  kind: string;
  id: string;
  /** The number of events in the stream. */
  version: number;
  owner: Owner;
  /** Time of the first event, microseconds since the Unix epoch. */
  created: number;
  /** Time of the last event, microseconds since the Unix epoch. */
  changed: number;
  /** JSON. */
  state: State;
}

/** How a state links to another stream. */
export interface Link {
  /** The kind of the other stream. */
  kind: string;
  /** The path of its id in the linking state, such as `state.userId`. */
  field: string;
}

export interface LinkedRecord<State = unknown, Other = unknown> {
  record: StreamRecord<State>;
  /** Absent if the field has no text, or names no stream of the kind. */
  other?: StreamRecord<Other> | undefined;
}

export interface Append {
  kind: string;
  id: string;
  /** The version that the stream must have; 0 for a new one. */
  expectedVersion: number;
  /** At least one. */
  events: readonly DomainEvent[];
  /** The user that the events are about, if any. */
  userId?: string | undefined;
  /** Time of the events, microseconds since the Unix epoch; not before the stream's last event. */
  time: number;
  /** The clock's time, for the expiry of receipts. Defaults to `time`. */
  now?: number;
  actor: Actor;
  owner: Owner;
  state: unknown;
  claims: { add: readonly string[]; remove: readonly string[] };
  /** Streams that the decision depends on. If one is missing or has another version, the append is a conflict. */
  requires: readonly { kind: string; id: string; version: number }[];
  /**
   * If a stream of this kind has this `subject` in its state, the append is a conflict. It sees every append that was
   * answered before this call.
   */
  absent?: { kind: string; subject: string } | undefined;
  /** Stored atomically with the events. */
  receipt?: Receipt | undefined;
}

export type AppendResult =
  | { outcome: "appended" }
  /** A version differs from `expectedVersion` or `requires`, or the `absent` stream exists. */
  | { outcome: "conflict" }
  /** Another stream holds a claim. */
  | { outcome: "claimed"; claim: string }
  /** The receipt's key has an answer already. */
  | { outcome: "repeated" };

export interface RecordedEvent extends DomainEvent {
  cursor: Cursor;
  kind: string;
  id: string;
  /** The version of the stream after this event. */
  version: number;
  owner: Owner;
  userId: string | undefined;
  time: number;
  actor: Actor;
}

export interface SearchOptions {
  signal?: AbortSignal;
  /** For rules and small look-ups, which never wait for callers' searches. */
  isLookUp?: boolean;
}

export interface SearchResult<State = unknown> {
  records: StreamRecord<State>[];
  /** Whether the page was cut for its length, so that more follow. */
  isCut: boolean;
  total: number;
}

/** The rules of a kind of stream, which give the type of its states. */
type Rules<State> = Pick<Aggregate<State, never, never>, "kind" | "owner">;

/** EventStore.load, typed by the stream's rules. */
export async function load<State>(store: EventStore, { kind }: Rules<State>, id: string) {
  return (await store.load(kind, id)) as StreamRecord<State> | undefined;
}

/** EventStore.loadByClaim, typed. Undefined also if a stream of another kind holds the claim. */
export async function loadByClaim<State>(store: EventStore, { kind }: Rules<State>, claim: string) {
  const record = await store.loadByClaim(claim);
  return record?.kind === kind ? (record as StreamRecord<State>) : undefined;
}

/** EventStore.loadByClaimWith, typed. Undefined also if a stream of another kind holds the claim. */
export async function loadByClaimWith<State, Other>(
  store: EventStore,
  { kind }: Rules<State>,
  claim: string,
  link: { rules: Rules<Other>; field: string },
) {
  const found = await store.loadByClaimWith(claim, { kind: link.rules.kind, field: link.field });
  return found?.record.kind === kind ? (found as LinkedRecord<State, Other>) : undefined;
}

/** The text that sorts directly after all texts with the prefix, in order of code points. The prefix is ASCII. */
export function endOf(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
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

/** The store is unreachable, overloaded or closed. An append may or may not have been committed. */
export class StoreUnavailable extends DomainError {
  override name = "StoreUnavailable";

  /** The cause is for the log. Callers do not see it. */
  constructor(cause: unknown) {
    super("STORE_UNAVAILABLE", "The store is unavailable. Check what was changed, then try again.", {
      cause,
    });
  }
}

/** The store cannot be opened, for example because its schema is too new. The message is for the operator. */
export class StoreRefused extends Error {
  override name = "StoreRefused";
}
