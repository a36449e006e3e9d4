import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type EventSchema,
  type EventService,
  UnlockCause,
  WatchEventsResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { ReadDenied } from "../../app/follow/denied-users.ts";
import type { ListEvents, RecordedEvent } from "../../app/follow/events.ts";
import type { Watch } from "../../app/follow/watch.ts";
import { invalidField } from "../../domain/errors.ts";
import { EVENT_TYPES } from "../../domain/event-types.ts";
import { user } from "../../domain/user.ts";
import { lockOfEvent, type UserEvent } from "../../domain/user-state.ts";
import { fromOrganization, fromTimestamp, toLock, toOwner, toTimestamp } from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";
import { oncePer } from "../once-per.ts";
import { deniedAfter, watchLocks } from "./locks.ts";

const DEFAULT_LIMIT = 100;

const UNLOCK_CAUSES: Record<(UserEvent & { type: "user.unlocked" })["data"]["cause"], UnlockCause> = {
  manual: UnlockCause.MANUAL,
  expired: UnlockCause.EXPIRED,
};

type EventInit = MessageInitShape<typeof EventSchema>;

/** EventService. */
export function eventMethods(parts: {
  listEvents: ListEvents;
  watch: Watch;
  readDenied: ReadDenied;
}): Implementation<typeof EventService> {
  const { listEvents, watch } = parts;
  /** All watchers get the same message of an event, so that it is encoded once. */
  const messageOf = oncePer((event: RecordedEvent) =>
    create(WatchEventsResponseSchema, { cursor: event.cursor, event: toEvent(event) }),
  );

  return {
    async listEvents(request, caller) {
      const { organization, userIds, types, cursor, limit, oldestFirst, actor, since, before } = request;
      checkTypes(types);
      const { events, next } = await listEvents(caller, {
        userIds,
        types,
        actor,
        organization: fromOrganization(organization),
        cursor: cursor || undefined,
        limit: limit || DEFAULT_LIMIT,
        descending: !oldestFirst,
        since: since && inRange(fromTimestamp(since)),
        before: before && inRange(fromTimestamp(before)),
      });
      return { events: events.map(toEvent), ...(next !== undefined && { nextCursor: next }) };
    },
    async watchEvents({ organization, after, userIds, types }, { principal, readmit, signal }, outlet) {
      checkTypes(types);
      const question = { organization: fromOrganization(organization), after: after || undefined, userIds, types };
      await watch(question, {
        principal,
        readmit,
        signal,
        send: (event) => outlet.send(messageOf(event)),
        keepAlive: (cursor) => outlet.send(create(WatchEventsResponseSchema, { cursor })),
        ready: () => outlet.ready(),
      });
    },
    watchLocks: watchLocks(parts),
  };
}

/** Rejects unknown types. A mistyped one would give an empty page or stream. */
function checkTypes(types: readonly string[]): void {
  const index = types.findIndex((type) => !EVENT_TYPES.includes(type));
  if (index >= 0) throw invalidField(`types[${index}]`, `must be one of ${EVENT_TYPES.join(", ")}`);
}

/** Clamps a time to what every store can compare. No event is before 1970. */
function inRange(micros: number): number {
  return Math.min(Math.max(micros, 0), Number.MAX_SAFE_INTEGER);
}

/** Converts an event. Its data may have hashes, so only the fields of the contract are copied. */
function toEvent(recorded: RecordedEvent): EventInit {
  const { cursor, type, kind, id, userId, owner, time, actor } = recorded;
  return {
    cursor,
    type,
    objectType: kind,
    objectId: id,
    ...(userId !== undefined && { userId }),
    owner: toOwner(owner),
    time: toTimestamp(time),
    actor: { subject: actor.subject, ...(actor.tokenId !== undefined && { tokenId: actor.tokenId }) },
    ...(actor.requestId !== undefined && { requestId: actor.requestId }),
    ...(actor.address !== undefined && { address: actor.address }),
    ...(actor.userAgent !== undefined && { userAgent: actor.userAgent }),
    ...changeOf(recorded),
    ...denialOf(recorded),
  };
}

function denialOf(recorded: RecordedEvent): Pick<EventInit, "denied" | "deniedUntil"> {
  const denial = recorded.kind === user.kind ? deniedAfter(recorded) : undefined;
  if (!denial) return {};
  return { denied: true, ...(denial.until !== undefined && { deniedUntil: toTimestamp(denial.until) }) };
}

function changeOf({ type, data, actor }: RecordedEvent): Pick<EventInit, "change"> {
  const event = { type, data } as UserEvent;
  switch (event.type) {
    case "user.locked":
      return { change: { case: "lock", value: toLock(lockOfEvent(event.data, actor)) } };
    case "user.unlocked":
      return { change: { case: "unlock", value: { cause: UNLOCK_CAUSES[event.data.cause] } } };
    default:
      return {};
  }
}
