import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  DenialCause,
  type DeniedUser,
  type LockChange,
  type WatchLocksResponse,
} from "../../../../gen/userlock/v3alpha/event_service_pb.ts";
import { OrganizationSchema } from "../../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { EventStreams } from "../connection.ts";
import { UserlockError } from "../errors.ts";
import { createDenySet, type DenySet } from "./denied/deny-set.ts";
import { createHasher, type Hasher } from "./denied/siphash.ts";
import type { Denial } from "./events.ts";
import { follow } from "./follow.ts";
import type { ServerClock } from "./server-clock.ts";

/** The users who may not act, as the server streams them. */
export interface Locks {
  /** The hashes of the set. */
  hasher: Hasher;
  isDenied(userId: string): boolean;
  isHashDenied(high: number, low: number): boolean;
  /** Whether the server has said within `maxStaleMs` that the set is current. */
  isFresh(): boolean;
  /** Whether the set was whole at some time. */
  isWhole(): boolean;
  /** The number of denied users, and the memory of their hashes in bytes. */
  readonly size: number;
  readonly bytes: number;
}

/** What happens to the set. */
export interface LocksListener {
  /** The user was not denied before. Not called for the first snapshot. */
  onDenied(denial: Denial): void;
  onAdmitted(userId: string): void;
  /** Each change of a user, whether it denies them or not. */
  onChange(userId: string): void;
  /** Users may have been denied and admitted again meanwhile. */
  onGap(): void;
  onFresh(): void;
  onStale(): void;
  /** The stream has ended, and will be opened again. */
  onEnd(error: UserlockError): void;
}

const CAUSES: Partial<Record<DenialCause, Denial["cause"]>> = {
  [DenialCause.INACTIVE]: "inactive",
  [DenialCause.DELETED]: "deleted",
};

/** Follows WatchLocks until the signal is aborted. */
export function followLocks(
  events: Pick<EventStreams, "watchLocks">,
  options: {
    organizationId?: string | undefined;
    maxStaleMs: number;
    silenceMs?: number | undefined;
    clock: ServerClock;
    signal: AbortSignal;
    listener: LocksListener;
  },
): Locks {
  const { organizationId, maxStaleMs, clock, signal, listener } = options;
  const hasher = createHasher(randomBytes(16));
  const organization =
    organizationId === undefined
      ? undefined
      : create(OrganizationSchema, { property: { case: "orgId", value: organizationId } });

  let current = createDenySet(hasher);
  /** The next set, from the first part of a snapshot until the server says that it is current. */
  let coming: DenySet | undefined;
  /** Where to resume `current`. Undefined: a snapshot is needed. */
  let cursor: string | undefined;
  /** Whether `current` was whole at some time. */
  let isWhole = false;
  /** When the server last said that the set is current, on the monotonic clock. */
  let heard = Number.NEGATIVE_INFINITY;
  let wasFresh = false;
  const isFresh = () => isWhole && performance.now() - heard <= maxStaleMs;
  /** The time by which locks end. While the set is current only the server's message ends one: its clock may be set back. */
  const now = () => (isFresh() ? Number.NEGATIVE_INFINITY : clock.now());

  let staleTimer: NodeJS.Timeout | undefined;
  signal.addEventListener("abort", () => clearTimeout(staleTimer), { once: true });

  /** Reports that the set is stale once it is so. It looks again when the last message will be too old. */
  function awaitStaleness(): void {
    const remainingMs = heard + maxStaleMs - performance.now();
    if (remainingMs >= 0) {
      staleTimer = setTimeout(awaitStaleness, remainingMs + 1).unref();
      return;
    }
    wasFresh = false;
    listener.onStale();
  }

  function hear(): void {
    heard = performance.now();
    if (wasFresh || signal.aborted) return;
    wasFresh = true;
    awaitStaleness();
    listener.onFresh();
  }

  function deny(user: DeniedUser | LockChange): void {
    const until = user.until && timestampMs(user.until);
    // A user who is newly denied is refused at once, and not when the next set is current.
    const isNew = isWhole && !current.has(user.userId, clock.now());
    current.add(user.userId, until);
    if (coming && coming !== current) coming.add(user.userId, until);
    if (!isNew) return;
    const cause = CAUSES[user.cause] ?? "locked";
    listener.onDenied({ userId: user.userId, cause, ...(until !== undefined && { until: new Date(until) }) });
  }

  function change(changed: LockChange): void {
    listener.onChange(changed.userId);
    if (changed.denied) {
      deny(changed);
      return;
    }
    if (coming && coming !== current) {
      // The current set is older than the change may be, and a later one may deny the user again.
      coming.remove(changed.userId);
      return;
    }
    const wasDenied = current.has(changed.userId, Number.NEGATIVE_INFINITY);
    current.remove(changed.userId);
    if (wasDenied && isWhole) listener.onAdmitted(changed.userId);
  }

  function receive({ cursor: next, content }: WatchLocksResponse): void {
    if (content.case === "snapshot") {
      // Until the first snapshot is whole, nothing is lost by filling the set itself.
      coming ??= isWhole ? createDenySet(hasher) : current;
      for (const user of content.value.users) deny(user);
    } else if (content.case === "change") {
      change(content.value);
    } else if (next) {
      becomeCurrent();
    }
    if (coming === undefined && next) cursor = next;
  }

  /** The server says that all changes up to now were sent. */
  function becomeCurrent(): void {
    if (coming) {
      if (isWhole) listener.onGap();
      current = coming;
      coming = undefined;
      isWhole = true;
    }
    hear();
  }

  async function read(stop: AbortSignal, alive: () => void): Promise<void> {
    if (coming === current) current = createDenySet(hasher);
    coming = undefined;
    const request = { ...(organization && { organization }), ...(cursor !== undefined && { after: cursor }) };
    const isResumed = cursor !== undefined;
    let isCurrent = false;
    try {
      for await (const message of events.watchLocks(request, { signal: stop, onHeader: clock.observe })) {
        // A server that cannot read the log keeps the stream alive, but another one may be able to.
        if (!isCurrent || message.cursor !== "") alive();
        isCurrent ||= message.cursor !== "" && message.content.case === undefined;
        receive(message);
      }
    } catch (error) {
      // The cursor is of another store, or of a store that was restored.
      if (isResumed && UserlockError.from(error).code === Code.InvalidArgument) cursor = undefined;
      throw error;
    }
  }

  void follow({
    read,
    onEnd: (error) => listener.onEnd(UserlockError.from(error ?? new Error("the server ended the stream"))),
    signal,
    silenceMs: options.silenceMs,
  });

  return {
    hasher,
    isDenied: (userId) => current.has(userId, now()),
    isHashDenied: (high, low) => current.hasHash(high, low, now()),
    isFresh,
    isWhole: () => isWhole,
    get size() {
      return current.size;
    },
    get bytes() {
      return current.bytes;
    },
  };
}
