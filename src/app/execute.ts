import { authorise, may, missing, type Owner, type Permission, type Principal } from "../domain/access.ts";
import type { Actor, Aggregate, DomainEvent } from "../domain/aggregate.ts";
import { DomainError } from "../domain/errors.ts";
import { USERLOCK } from "../domain/identifier.ts";
import {
  type Append,
  type AppendResult,
  type EventStore,
  load,
  type Receipt,
  type StreamRecord,
} from "../store/port.ts";

/** How often a change is tried when other changes come first. */
const MAX_ATTEMPTS = 20;

/** A stored object with its state. */
export type Stored<State> = StreamRecord<State>;

/** The context of the call that a change belongs to. */
export interface Caller {
  principal: Principal;
  actor: Actor;
  /** Aborts the work until it is handed to the store. It does not abort an append. */
  signal: AbortSignal;
}

/** A caller with all permissions: userlock itself, or an operator with access to the store. */
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
  /** The caller is authorised by other means, such as their password. */
  isAuthorised?: true;
  /** Decides everything but appends nothing. Returns the object as it is. */
  isDryRun?: boolean;
  guard?: Guard;
  /** The answer to the call, stored with the change. */
  receipt?:
    | {
        /** Called at each attempt, with the object after the change. */
        of(stored: Stored<State>): Receipt;
        /** Called once it is stored. */
        onKept?(): void;
      }
    | undefined;
}

/** A rule about other objects, checked after the object's own rules. */
export interface Guard {
  /** Skips the rule if no object of this kind has this subject. */
  unless?: { kind: string; subject: string };
  /** Rejects, or returns the objects that must still have these versions when the change is made. */
  check(): Promise<readonly { kind: string; id: string; version: number }[]>;
}

/** A stored object after a change, and the types of the change's events. */
interface Changed<State> extends Stored<State> {
  events: readonly string[];
}

export type Execute = <State, Command, Event extends DomainEvent>(
  aggregate: Aggregate<State, Command, Event>,
  change: Change<Command, State>,
  caller: Caller,
) => Promise<Changed<State>>;

/** Sees every append of this server, and how it ended. It must not throw. */
export type AppendListener = (append: Append, outcome: AppendResult["outcome"]) => void;

/**
 * The only way to change an object: load it, authorise the caller, decide, append. If another change comes first, all
 * steps run again, so every answer is made from the store. Rejects with the DomainError of a rule, with
 * CONCURRENT_CHANGE after the last attempt, or with STORE_UNAVAILABLE.
 */
export function createExecute(parts: {
  store: EventStore;
  clock: () => number;
  onAppend?: AppendListener | undefined;
}): Execute {
  const { store, clock, onAppend } = parts;
  return async (aggregate, change, caller) => {
    type State = Parameters<typeof aggregate.owner>[0];
    const { id, isDryRun, receipt } = change;
    /** Whether the guard is checked. A conflict turns this on, because `unless` may not hold. */
    let isChecked = isDryRun === true || !change.guard?.unless;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const record = await load<State>(store, aggregate, id);
      const { append, changed } = await decide(aggregate, change, caller, { record, clock, isChecked });
      if (!append) return changed;
      const result = await store.append(append);
      onAppend?.(append, result.outcome);
      if (result.outcome === "appended") {
        receipt?.onKept?.();
        return changed;
      }
      if (result.outcome === "repeated") break;
      if (result.outcome === "claimed") {
        throw new DomainError("USERNAME_TAKEN", "Another user has this user name. Choose another one.");
      }
      isChecked = true;
    }
    throw new DomainError("CONCURRENT_CHANGE", "Many callers are changing the object at the same time. Try again.");
  };
}

/**
 * Decides one attempt: the object after the change, and the append that makes it, if the change has events. Rejects
 * with the DomainError of a rule, or with the signal's reason.
 */
async function decide<State, Command, Event extends DomainEvent>(
  aggregate: Aggregate<State, Command, Event>,
  change: Change<Command, State>,
  { principal, actor, signal }: Caller,
  { record, clock, isChecked }: { record: Stored<State> | undefined; clock: () => number; isChecked: boolean },
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

  // The times of a stream never decrease, even if another server's clock was ahead.
  const time = Math.max(now, record?.changed ?? 0);
  const occasion = { time, actor };
  let state = record?.state;
  const recorded = events.map((event) => {
    const after = aggregate.evolve(state, event, occasion);
    state = after;
    return aggregate.logged?.(event, after, { time: now, actor }) ?? event;
  });
  const next = state as State;
  const before = record ? aggregate.claims(record.state) : [];
  const after = aggregate.claims(next);

  const requires = guard && isChecked ? await guard.check() : [];
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
    events: recorded,
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
    absent: isChecked ? undefined : guard?.unless,
    receipt: receipt?.of(stored),
  };
  return { changed: { ...stored, events: types }, append };
}
