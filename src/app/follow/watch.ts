import type { Principal } from "../../domain/access.ts";
import { DomainError, hasReason, invalidField, isUnavailable } from "../../domain/errors.ts";
import { accessToken } from "../../domain/token.ts";
import { user } from "../../domain/user.ts";
import { retry } from "../../retry.ts";
import type { Cursor, EventStore, LogPage, LogQuery, RecordedEvent } from "../../store/port.ts";
import { createBreather, createFairQueue, type Quota } from "../fairness.ts";
import { type EventQuestion, filterOf, matcher } from "./events.ts";
import type { Following, Tail } from "./tail.ts";

/** Events of one read by which a watcher catches up: they are held until the watcher has read them. */
const PAGE = 200;
/** Events sent in one turn of the event loop. */
const SLICE = 50;
/** Watchers that catch up at the same time: a thousand that reconnect at once leave the store to others, too. */
const MAX_READS = 4;
const TOO_SLOW = "Too much is unread: read faster, and resume behind your last cursor.";

export interface WatchQuestion extends EventQuestion {
  /** The stream goes on behind it; left out, it begins now. */
  after?: Cursor | undefined;
}

interface Watcher {
  principal: Principal;
  /** Authenticates and authorises again. Rejects as a call would be refused. */
  readmit(): Promise<Principal>;
  /** Sends an event, or only the place up to which all was sent. False if too much is unread. */
  send(cursor: Cursor, event?: RecordedEvent): boolean;
  /**
   * Undefined if little is unread, which is never so after `send` was false. Otherwise resolves with true once little is,
   * or with false once nothing was read for a while.
   */
  ready(): Promise<boolean> | undefined;
  /** Ends the stream with its reason. */
  signal: AbortSignal;
}

/**
 * Streams events until the stream ends, which is always an error: that of the signal; WATCHER_TOO_SLOW; the error with
 * which a call would be refused, once a token, a grant or their holder is gone; INVALID_REQUEST for a cursor that is
 * none; PERMISSION_MISSING for an organization out of reach; TOO_MANY_REQUESTS. Faults of the store that come after the
 * first message only delay what is sent.
 */
export type Watch = (question: WatchQuestion, watcher: Watcher) => Promise<never>;

export function createWatch(parts: {
  store: EventStore;
  tail: Tail;
  /** How many may watch at once, in all and of one caller. */
  places: Quota;
  /** Time between signs of life, and between checks of the watcher's right, milliseconds. */
  heartbeatMs: number;
  onError(error: unknown): void;
}): Watch {
  const reads = createFairQueue({ atOnce: MAX_READS, atOnceEach: MAX_READS / 2 });
  const catchingUp: CatchingUp = {
    read: (query, { subject }, signal) => reads(subject, () => parts.store.read(query, signal), signal),
    breathe: createBreather(),
  };
  return async (question, watcher) => {
    const { after } = question;
    if (after !== undefined) await checkPlace(parts.store, after);
    filterOf(watcher.principal, question);
    const leave = parts.places(watcher.principal.subject);
    try {
      const following = await parts.tail.follow();
      try {
        return await stream({ ...parts, ...catchingUp }, following, question, watcher);
      } finally {
        following.leave();
      }
    } finally {
      leave();
    }
  };
}

/** Rejects with INVALID_REQUEST for a cursor at which no stream can begin. */
async function checkPlace(store: EventStore, after: Cursor): Promise<void> {
  try {
    await store.read({ from: after, limit: 1 });
  } catch (error) {
    throw hasReason(error, "INVALID_REQUEST") ? invalidField("after", "is no cursor of this log") : error;
  }
  if (after > (await store.head())) throw invalidField("after", "lies beyond the end of this log");
}

/** Shared by all watchers that catch up. */
interface CatchingUp {
  read: (query: LogQuery, reader: Principal, signal: AbortSignal) => Promise<LogPage>;
  breathe: () => Promise<void>;
}

async function stream(
  { store, read, breathe, heartbeatMs, onError }: Parameters<typeof createWatch>[0] & CatchingUp,
  following: Following,
  question: WatchQuestion,
  watcher: Watcher,
): Promise<never> {
  const end = new AbortController();
  const fail = (error: unknown) => end.abort(error);
  const signal = AbortSignal.any([watcher.signal, end.signal]);
  let { principal } = watcher;
  let where = filterOf(principal, question);
  let passes = matcher(where);
  /** Everything that passes was sent up to here. */
  let cursor: Cursor = question.after ?? (await store.head());
  let isLive = false;
  let heartbeat: NodeJS.Timeout | undefined;
  let check: NodeJS.Timeout | undefined;

  async function readmit(): Promise<void> {
    principal = await watcher.readmit();
    where = filterOf(principal, question);
    passes = matcher(where);
  }

  function send(at: Cursor, event?: RecordedEvent): boolean {
    const isSent = watcher.send(at, event);
    if (isSent) heartbeat?.refresh();
    return isSent;
  }

  /** Whether the event was sent, or does not pass. */
  function deliver(event: RecordedEvent): boolean {
    if (passes(event) && !send(event.cursor, event)) return false;
    cursor = event.cursor;
    return true;
  }

  /** Waits for a slow watcher. */
  async function deliverInTime(events: readonly RecordedEvent[]): Promise<void> {
    for (const [index, event] of events.entries()) {
      if (index % SLICE === 0) await breathe();
      do {
        const ready = watcher.ready();
        if (ready && !(await ready)) throw new DomainError("WATCHER_TOO_SLOW", TOO_SLOW);
        signal.throwIfAborted();
      } while (!deliver(event));
    }
  }

  /**
   * Sends what the tail brings, until an event may have ended the watcher's right, or does not fit: the tail does not
   * wait. From then on the watcher catches up.
   */
  function live(): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const stop = () => {
        detach();
        isLive = false;
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const detach = following.attach((events) => {
        try {
          for (const event of events) {
            if (event.cursor <= cursor) continue;
            if (concerns(event, principal) || !deliver(event)) return stop();
          }
        } catch (error) {
          // An event that cannot be sent ends this stream only.
          fail(error);
        }
      });
      signal.addEventListener("abort", stop);
      isLive = true;
    });
  }

  const persist = <Result>(work: () => Promise<Result>) =>
    retry(work, { signal, mayPass: isUnavailable, onFailure: onError });

  async function run(): Promise<never> {
    // After the start is known. Only events that were read before the last readmission are sent, so nothing is sent that
    // came after the event that ended the right.
    await readmit();
    signal.throwIfAborted();
    send(cursor);
    heartbeat = setTimeout(beat, heartbeatMs);
    check = setInterval(checkRight, heartbeatMs);
    for (;;) {
      // In one turn: between the look at the tail and being attached to it nothing can come.
      if (cursor >= following.cursor) await live();
      const page = await persist(() => read({ from: cursor, limit: PAGE, where }, principal, signal));
      await persist(readmit);
      await deliverInTime(page.events);
      cursor = page.cursor;
    }
  }

  function beat(): void {
    // A watcher with so much unread that it does not fit needs no sign of life.
    send(isLive && following.cursor > cursor ? following.cursor : cursor);
    heartbeat?.refresh();
  }

  let isChecking = false;
  async function checkRight(): Promise<void> {
    if (isChecking) return;
    isChecking = true;
    await readmit().catch((error) => (isUnavailable(error) ? onError(error) : fail(error)));
    isChecking = false;
  }

  try {
    return await Promise.race([
      run(),
      new Promise<never>((_, reject) => {
        const onEnd = () => reject(signal.reason);
        signal.addEventListener("abort", onEnd);
        if (signal.aborted) onEnd();
      }),
    ]);
  } finally {
    clearTimeout(heartbeat);
    clearInterval(check);
    fail("the stream has ended");
  }
}

/** Whether the event may have ended the principal's right: it is about the token, or about the user. */
function concerns({ kind, id }: RecordedEvent, { subject, tokenId }: Principal): boolean {
  return (kind === accessToken.kind && id === tokenId) || (kind === user.kind && id === subject);
}
