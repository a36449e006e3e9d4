import { createQuota } from "../../../src/app/fairness.ts";
import { createTail } from "../../../src/app/follow/tail.ts";
import { createWatch, type WatchQuestion } from "../../../src/app/follow/watch.ts";
import type { Owner, Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { change, until } from "../stores/appends.ts";

export const VIEWER: Principal = { subject: "gateway", tokenId: "its-token", grants: [{ role: "INSTANCE_VIEWER" }] };
const EVERYTHING: WatchQuestion = { userIds: [], types: [] };

/** A message to a watcher: a cursor, with an event or alone. */
export type Handed = { cursor: string; event?: RecordedEvent; isCurrent?: boolean };

export interface Watching {
  handed: Handed[];
  /** The cursors of the messages with events. */
  events(): string[];
  /** The cursor from which the watcher would resume. */
  last(): string | undefined;
  /** Reason of the error that ended the stream. */
  ended: Promise<string>;
  /** Cancels the stream. */
  leave(): Promise<string>;
}

/** Returns a function that starts watchers of a store without a server. `onFault` gets survived errors. */
export function watchersOf(
  store: EventStore,
  {
    maxWatchers = 200,
    maxWatchersEach = maxWatchers / 2,
    heartbeatMs = 60_000,
    pollMs = 5,
    onFault = () => {},
  }: {
    maxWatchers?: number;
    maxWatchersEach?: number;
    heartbeatMs?: number;
    pollMs?: number;
    onFault?(error: unknown): void;
  } = {},
) {
  const tail = createTail({ store, onError: onFault, pollMs });
  const places = createQuota({ total: maxWatchers, each: maxWatchersEach, full: "Too many watch." });
  const watch = createWatch({ store, tail, places, heartbeatMs, onError: onFault });
  return (
    question: Partial<WatchQuestion> = {},
    more: {
      principal?: Principal;
      readmit?: () => Promise<Principal>;
      /** Whether the watcher accepts a message. */
      takes?: () => boolean;
      ready?: () => Promise<boolean> | undefined;
    } = {},
  ): Watching => {
    const { principal = VIEWER, readmit = async () => principal, takes = () => true, ready = () => undefined } = more;
    const handed: Handed[] = [];
    const gone = new AbortController();
    const watcher = {
      principal,
      readmit,
      signal: gone.signal,
      ready,
      send(event: RecordedEvent) {
        if (takes()) handed.push({ cursor: event.cursor, event });
        return takes();
      },
      keepAlive(cursor: string, isCurrent: boolean) {
        if (takes()) handed.push({ cursor, isCurrent });
        return takes();
      },
    };
    const ended = watch({ ...EVERYTHING, ...question }, watcher).then(
      () => "no error",
      (error) => (error instanceof DomainError ? error.reason : String(error)),
    );
    return {
      handed,
      events: () => handed.flatMap(({ event }) => event?.cursor ?? []),
      last: () => handed.at(-1)?.cursor,
      ended,
      leave() {
        gone.abort(new DomainError("CANCELLED", "left"));
        return ended;
      },
    };
  };
}

export const INSTANCE: Owner = { type: "instance", id: "default" };
export const SYSTEM: Owner = { type: "system", id: "userlock" };
export const orgOf = (id: string): Owner => ({ type: "org", id });

let streams = 0;
/** Appends an event on a new object. */
export async function happen(
  store: EventStore,
  {
    type = "user.created",
    kind = "user",
    id = `object-${++streams}`,
    userId = id as string | undefined,
    owner = INSTANCE,
    expectedVersion = 0,
  } = {},
): Promise<void> {
  const events = [{ type, data: {} }];
  const { outcome } = await store.append(change(id, { kind, events, userId, owner, expectedVersion }));
  expect(outcome).toBe("appended");
}

/** Waits until each watcher has its first message. */
export async function areWatching(...watchers: Watching[]): Promise<void> {
  await until(() => watchers.every(({ handed }) => handed.length > 0));
}
