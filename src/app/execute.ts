import { authorise, may, missing, type Owner, type Permission, type Principal } from "../domain/access.ts";
import type { Actor, Aggregate, DomainEvent } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";
import { USERLOCK } from "../domain/identifier.ts";
import { type Append, type EventStore, load, type Receipt, type StreamRecord } from "../store/port.ts";

/** How often a change is decided anew because another one came in between. */
const MAX_ATTEMPTS = 20;

/** A stored object with its state. */
export type Stored<State> = StreamRecord<State>;

/** What a change needs to know of the call that it comes from. */
export interface Caller {
  principal: Principal;
  actor: Actor;
  /** Ends the work before it is handed to the store; an append that was handed over goes on. */
  signal: AbortSignal;
}

/** userlock itself, or an operator with access to the store: may do everything, to everybody. */
export function systemCaller(subject = USERLOCK, signal = AbortSignal.any([])): Caller {
  return { principal: { subject, grants: [], isSystem: true }, actor: { subject }, signal };
}

export interface Change<Command, State = never> {
  id: string;
  command: Command;
  permission: Permission;
  /** The organization in which the caller expects the object. */
  organization?: string | undefined;
  /** Owner of a new object; absent if the object must exist. */
  newOwner?: Owner;
  /** The caller is authorised by other means, such as a password. */
  isAuthorised?: true;
  /** Everything but the change itself: what comes back is the object as it is. */
  isDryRun?: boolean;
  guard?: Guard;
  /** The answer to the call, to be stored with the change. */
  receipt?:
    | {
        /** Called at each attempt, with the object as it will be. */
        of(stored: Stored<State>): Receipt;
        /** Called once it is stored. */
        onKept?(): void;
      }
    | undefined;
}

/** A rule about other objects, checked once the object's own rules allow the change. */
export interface Guard {
  /** The rule is skipped if no object of this kind has this subject. */
  unless?: { kind: string; subject: string };
  /** Rejects, or names the objects that must be as it saw them when the change is made. */
  ask(): Promise<readonly { kind: string; id: string; version: number }[]>;
}

/** A stored object after a change, and the types of the events that the change led to. */
interface Changed<State> extends Stored<State> {
  events: readonly string[];
}

export type Execute = <State, Command, Event extends DomainEvent>(
  aggregate: Aggregate<State, Command, Event>,
  change: Change<Command, State>,
  caller: Caller,
) => Promise<Changed<State>>;

/**
 * The one way to change anything: load the object, authorise the caller, decide, append; and again from the start
 * where another change came first, so that every answer is made from what is in the store. Rejects with a
 * DomainError: what the rules say, CONCURRENT_CHANGE when the attempts are used up, STORE_UNAVAILABLE.
 */
export function createExecute({ store, clock }: { store: EventStore; clock: () => number }): Execute {
  return async (aggregate, change, caller) => {
    type State = Parameters<typeof aggregate.owner>[0];
    const { id, isDryRun, receipt } = change;
    /** Whether the guard is asked. The store tells, by a conflict, where `unless` does not hold. */
    let isAsked = isDryRun === true || !change.guard?.unless;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const record = await load<State>(store, aggregate, id);
      const { append, changed } = await decide(aggregate, change, caller, { record, clock, isAsked });
      if (!append) return changed;
      const result = await store.append(append);
      if (result.outcome === "appended") {
        receipt?.onKept?.();
        return changed;
      }
      if (result.outcome === "repeated") break;
      if (result.outcome === "claimed") {
        throw new DomainError("USERNAME_TAKEN", "Another user has this user name: choose another one.");
      }
      isAsked = true;
    }
    throw new DomainError("CONCURRENT_CHANGE", "The object is being changed by many callers at once: try again.");
  };
}

/**
 * What the change makes of the object as it is in the record: how it is afterwards, and what is to be appended for that,
 * if anything is. Rejects with the DomainError of a rule, or with the signal's reason.
 */
async function decide<State, Command, Event extends DomainEvent>(
  aggregate: Aggregate<State, Command, Event>,
  change: Change<Command, State>,
  { principal, actor, signal }: Caller,
  { record, clock, isAsked }: { record: Stored<State> | undefined; clock: () => number; isAsked: boolean },
): Promise<{ changed: Changed<State>; append?: Append }> {
  const { kind, notFound, toSee } = aggregate;
  const { id, command, permission, organization, newOwner, isAuthorised, isDryRun, guard, receipt } = change;
  if (newOwner) {
    if (!may(principal, permission, newOwner)) throw missing(permission);
  } else if (!isAuthorised) {
    const found = record && !aggregate.isGone(record.state) ? record : undefined;
    authorise(principal, { permission, toSee, organization, notFound }, found);
  }

  const now = clock();
  const events = aggregate.decide(record?.state, command, { time: now, actor });
  if (record && events.length === 0) return { changed: { ...record, events: [] } };

  // The events of a stream keep their order, also after a clock that was ahead.
  const time = Math.max(now, record?.changed ?? 0);
  let state = record?.state;
  for (const event of events) state = aggregate.evolve(state, event, { time, actor });
  const next = state as State;
  const before = record ? aggregate.claims(record.state) : [];
  const after = aggregate.claims(next);

  const requires = guard && isAsked ? await guard.ask() : [];
  signal.throwIfAborted();
  const types = events.map(({ type }) => type);
  if (isDryRun && record) return { changed: { ...record, events: types } };
  const owner = aggregate.owner(next);
  const version = record?.version ?? 0;
  const stored = {
    kind,
    id,
    version: version + events.length,
    owner,
    created: record?.created ?? time,
    changed: time,
    state: next,
  };
  const append = {
    kind,
    id,
    expectedVersion: version,
    events: aggregate.logged ? events.map(aggregate.logged) : events,
    userId: aggregate.userId?.(next),
    time,
    now,
    actor,
    owner,
    state: next,
    claims: {
      add: after.filter((claim) => !before.includes(claim)),
      remove: before.filter((claim) => !after.includes(claim)),
    },
    requires,
    absent: isAsked ? undefined : guard?.unless,
    receipt: receipt?.of(stored),
  };
  return { changed: { ...stored, events: types }, append };
}
