import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type DenialCause,
  DenialCauseSchema,
  type WatchLocksRequest,
  type WatchLocksResponse,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { createQuota } from "../../../src/app/fairness.ts";
import { createReadDenied } from "../../../src/app/follow/denied-users.ts";
import { createTail } from "../../../src/app/follow/tail.ts";
import { createWatch } from "../../../src/app/follow/watch.ts";
import type { Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { watchLocks } from "../../../src/rpc/services/locks.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { VIEWER } from "./watching.ts";

/** A stream of WatchLocks without a server. */
export interface LockWatching {
  messages: WatchLocksResponse[];
  /** Reason of the error that ended the stream. */
  ended: Promise<string>;
  /** Cancels the stream. */
  leave(): Promise<string>;
}

export interface LockWatcher {
  principal?: Principal;
  readmit?: () => Promise<Principal>;
  /** Whether the client accepts a message. */
  takes?: () => boolean;
  ready?: () => Promise<boolean> | undefined;
}

/** Returns a function that starts streams of a store. */
export function lockWatchersOf(
  store: EventStore,
  {
    clock,
    page,
    heartbeatMs = 60_000,
    currentMs = 5_000,
    places = 100,
  }: { clock: () => number; page?: number; heartbeatMs?: number; currentMs?: number; places?: number },
) {
  const onError = () => {};
  const tail = createTail({ store, onError, pollMs: 5 });
  const quota = createQuota({ total: places, each: places, full: "Too many watch." });
  const watch = createWatch({ store, tail, places: quota, heartbeatMs, currentMs, onError });
  const handler = watchLocks({ watch, readDenied: createReadDenied({ store, clock, ...(page && { page }) }) });
  return (request: { after?: string; organization?: string } = {}, more: LockWatcher = {}): LockWatching => {
    const { principal = VIEWER, readmit = async () => principal, takes = () => true, ready = () => undefined } = more;
    const messages: WatchLocksResponse[] = [];
    const gone = new AbortController();
    const { after = "", organization } = request;
    const property = organization === undefined ? undefined : { property: { case: "orgId", value: organization } };
    const ended = handler(
      { after, organization: property } as WatchLocksRequest,
      { principal, readmit, signal: gone.signal } as Parameters<typeof handler>[1],
      {
        send(message) {
          if (!takes()) return false;
          messages.push(message);
          return true;
        },
        ready,
      },
    ).then(
      () => "no error",
      (error) => (error instanceof DomainError ? error.reason : String(error)),
    );
    return {
      messages,
      ended,
      leave() {
        gone.abort(new DomainError("CANCELLED", "left"));
        return ended;
      },
    };
  };
}

export const isDone = ({ content }: WatchLocksResponse) => content.case === "snapshot" && content.value.done;

/** Whether the message says that the client has every change up to now. */
export const isCurrent = ({ cursor, content }: WatchLocksResponse) => content.case === undefined && cursor !== "";

/** The ids of a snapshot's users. */
export const idsOf = (messages: readonly WatchLocksResponse[]) =>
  messages.flatMap(({ content }) =>
    content.case === "snapshot" ? content.value.users.map(({ userId }) => userId) : [],
  );

interface Known {
  cause: string;
  /** Milliseconds since the Unix epoch. */
  until: number;
}

/** What a client knows of the denied users, from all messages of its streams. */
export function createKnown() {
  const users = new Map<string, Known>();
  let cursor: string | undefined;
  const put = (
    id: string,
    { cause, until }: { cause: DenialCause; until?: Parameters<typeof timestampMs>[0] | undefined },
  ) =>
    users.set(id, {
      cause: DenialCauseSchema.value[cause]?.localName.toLowerCase() as string,
      until: until ? timestampMs(until) : Number.POSITIVE_INFINITY,
    });
  return {
    /** Where the client resumes. Undefined: it needs a snapshot. */
    cursor: () => cursor,
    /** A stream begins. */
    begin() {
      if (cursor === undefined) users.clear();
    },
    hear(message: WatchLocksResponse) {
      if (message.cursor !== "") cursor = message.cursor;
      const { content } = message;
      if (content.case === "snapshot") for (const one of content.value.users) put(one.userId, one);
      if (content.case !== "change") return;
      if (content.value.denied) put(content.value.userId, content.value);
      else users.delete(content.value.userId);
    },
    /** The causes by id, of those who are denied at this time, milliseconds since the Unix epoch. */
    deniedAt: (time: number) =>
      Object.fromEntries(
        [...users]
          .filter(([, { until }]) => until > time)
          .map(([id, { cause }]) => [id, cause] as const)
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
  };
}
