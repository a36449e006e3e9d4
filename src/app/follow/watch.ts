import type { Principal } from "../../domain/access.ts";
import { DomainError, hasReason, invalidField, isUnavailable } from "../../domain/errors.ts";
import { accessToken } from "../../domain/token.ts";
import { user } from "../../domain/user.ts";
import { retry } from "../../retry.ts";
import type { Cursor, EventFilter, EventStore, RecordedEvent } from "../../store/port.ts";
import { createBreather, createFairQueue, type FairQueue, type Quota } from "../fairness.ts";
import { type EventQuestion, filterOf, matcher } from "./events.ts";
import type { Following, Tail } from "./tail.ts";

/** The number of events of one catch-up read. They are held until the watcher has read them. */
const PAGE = 200;
/** The number of events sent in one event-loop tick. */
const SLICE = 50;
/** The number of watchers that catch up at once, so that a thousand reconnects leave capacity to others. */
export const MAX_READS = 4;
/** The tail reads to the end of the log each second, or at a hint. Milliseconds. */
const CURRENT_MS = 5_000;
const TOO_SLOW = "The client reads too slowly. Resume after the last cursor.";

export interface WatchQuestion extends EventQuestion {
  /** The stream continues after it. Omitted: it begins now. */
  after?: Cursor | undefined;
}

interface Watcher {
  principal: Principal;
  /** Authenticates and authorises again. Rejects like a call. */
  readmit(): Promise<Principal>;
  /** Sends an event. Returns false if too much is unread. */
  send(event: RecordedEvent): boolean;
  /**
   * Sends a message that keeps the stream alive. `isCurrent`: the watcher has everything up to now. Returns false if too
   * much is unread.
   */
  keepAlive(cursor: Cursor, isCurrent: boolean): boolean;
  /**
   * Undefined if little is unread, which is never so after `send` returned false. Otherwise resolves with true once
   * little is unread, or with false if the client reads nothing for a while.
   */
  ready(): Promise<boolean> | undefined;
  /** Ends the stream with its reason. */
  signal: AbortSignal;
  /**
   * What the watcher gets before the events, unless they resume after a cursor. Such a watcher is told, by a message of
   * its own, as soon as it has everything up to now.
   */
  snapshot?: Snapshot<unknown>;
}

/** The state at the start of a stream, in parts. */
interface Snapshot<Part> {
  /** Reads the next part. `next` is the place after it, undefined after the last. */
  read(from: string | undefined, signal: AbortSignal): Promise<PartOfSnapshot<Part>>;
  /** Sends a part. Returns false if too much is unread. */
  send(part: Part): boolean;
  /** Sends the end. Returns false if too much is unread. */
  end(): boolean;
}

export interface PartOfSnapshot<Part> {
  /** What the filter allows of the part. */
  visible(where: EventFilter): Part;
  next?: string;
}

/**
 * Streams events until the stream ends, always with an error: the signal's reason; WATCHER_TOO_SLOW; the error of a
 * call once a token, a grant or its holder is gone; INVALID_REQUEST for an invalid cursor; PERMISSION_MISSING for an
 * organization out of reach; TOO_MANY_REQUESTS. Store errors after the first message only delay the stream.
 */
export type Watch = (question: WatchQuestion, watcher: Watcher) => Promise<never>;

export function createWatch(parts: {
  store: EventStore;
  tail: Tail;
  /** The number of streams, in all and per caller. */
  places: Quota;
  /** The time between keep-alive messages, which is that between checks of the watcher's permission, milliseconds. */
  heartbeatMs: number;
  /** How old the last read to the end of the log may be for a watcher to be current, milliseconds. */
  currentMs?: number;
  onError(error: unknown): void;
}): Watch {
  const reads = createFairQueue({ atOnce: MAX_READS, atOnceEach: MAX_READS / 2 });
  const catchingUp: CatchingUp = {
    read: reads,
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

/** Rejects with INVALID_REQUEST for an invalid cursor. */
async function checkPlace(store: EventStore, after: Cursor): Promise<void> {
  try {
    await store.read({ from: after, limit: 1 });
  } catch (error) {
    throw hasReason(error, "INVALID_REQUEST") ? invalidField("after", "is not a cursor of this log") : error;
  }
  if (after > (await store.head())) throw invalidField("after", "is beyond the end of this log");
}

/** Shared by all watchers. */
interface CatchingUp {
  /** Runs a read in turn. */
  read: FairQueue;
  breathe: () => Promise<void>;
}

async function stream(
  {
    store,
    read,
    breathe,
    heartbeatMs,
    currentMs = CURRENT_MS,
    onError,
  }: Parameters<typeof createWatch>[0] & CatchingUp,
  following: Following,
  question: WatchQuestion,
  watcher: Watcher,
): Promise<never> {
  const end = new AbortController();
  const fail = (error: unknown) => end.abort(error);
  const signal = AbortSignal.any([watcher.signal, following.signal, end.signal]);
  let { principal } = watcher;
  let where = filterOf(principal, question);
  let passes = matcher(where);
  /** Every matching event up to here was sent. */
  let cursor: Cursor = question.after ?? (await store.head());
  let isLive = false;
  let heartbeat: NodeJS.Timeout | undefined;

  async function readmit(): Promise<void> {
    principal = await watcher.readmit();
    where = filterOf(principal, question);
    passes = matcher(where);
  }

  /** Whether the event was sent or does not match. */
  function deliver(event: RecordedEvent): boolean {
    if (passes(event) && !watcher.send(event)) return false;
    cursor = event.cursor;
    return true;
  }

  /** Sends the events, waiting for a slow watcher. */
  async function deliverInTime(events: readonly RecordedEvent[]): Promise<void> {
    for (const [index, event] of events.entries()) {
      if (index % SLICE === 0) await breathe();
      await inTime(() => deliver(event));
    }
  }

  /** Sends something as soon as the watcher has read enough. */
  async function inTime(sendIt: () => boolean): Promise<void> {
    do {
      const ready = watcher.ready();
      if (ready && !(await ready)) throw new DomainError("WATCHER_TOO_SLOW", TOO_SLOW);
      signal.throwIfAborted();
    } while (!sendIt());
  }

  /** Sends the state. Changes meanwhile come after it, because the cursor is from before. */
  async function sendSnapshot(snapshot: Snapshot<unknown>): Promise<void> {
    let from: string | undefined;
    do {
      const { visible, next } = await persist(() => read(principal.subject, () => snapshot.read(from, signal), signal));
      await persist(readmit);
      await breathe();
      await inTime(() => snapshot.send(visible(where)));
      from = next;
    } while (from !== undefined);
    await inTime(() => snapshot.end());
  }

  /**
   * Sends the tail's events until one may end the watcher's permission, or does not fit. Then the watcher catches up,
   * because the tail does not wait.
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
    // Runs after the start is known. Only events from before the last readmission are sent, so none that came after an
    // event that ended the permission.
    await readmit();
    signal.throwIfAborted();
    heartbeat = setInterval(beat, heartbeatMs);
    watcher.keepAlive(cursor, false);
    if (watcher.snapshot && question.after === undefined) await sendSnapshot(watcher.snapshot);
    for (let isCurrent = !watcher.snapshot; ; ) {
      // In one tick, so that no event comes between the comparison and the attachment.
      if (isCurrent && cursor >= following.cursor) await live();
      const query = { from: cursor, limit: PAGE, where };
      const page = await persist(() => read(principal.subject, () => store.read(query, signal), signal));
      await persist(readmit);
      await deliverInTime(page.events);
      cursor = page.cursor;
      if (isCurrent || page.hasMore) continue;
      await inTime(() => watcher.keepAlive(cursor, true));
      isCurrent = true;
    }
  }

  function beat(): void {
    const isCurrent = isLive && performance.now() - following.readAt <= currentMs;
    // A watcher whose buffer is full needs no keep-alive.
    watcher.keepAlive(isLive && following.cursor > cursor ? following.cursor : cursor, isCurrent);
    void checkRight();
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
    clearInterval(heartbeat);
    fail("the stream has ended");
  }
}

/** Whether the event is about the principal's token or user, and may have ended their permission. */
function concerns({ kind, id }: RecordedEvent, { subject, tokenId }: Principal): boolean {
  return (kind === accessToken.kind && id === tokenId) || (kind === user.kind && id === subject);
}
