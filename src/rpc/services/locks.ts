import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DenialCause,
  type DeniedUserSchema,
  type EventService,
  type LockChangeSchema,
  WatchLocksResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { DENIAL_TYPES, type DeniedUser, type ReadDenied } from "../../app/follow/denied-users.ts";
import type { RecordedEvent } from "../../app/follow/events.ts";
import type { Watch } from "../../app/follow/watch.ts";
import type { Denial, Recorded } from "../../domain/user-state.ts";
import { fromOrganization, toTimestamp } from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";
import { oncePer } from "../once-per.ts";

const CAUSES: Record<Denial["cause"], DenialCause> = {
  locked: DenialCause.LOCKED,
  inactive: DenialCause.INACTIVE,
  deleted: DenialCause.DELETED,
};

/** EventService.WatchLocks. */
export function watchLocks(parts: {
  watch: Watch;
  readDenied: ReadDenied;
}): Implementation<typeof EventService>["watchLocks"] {
  const { watch, readDenied } = parts;
  /** All watchers get the same message of an event, so that it is encoded once. */
  const messageOf = oncePer((event: RecordedEvent) =>
    create(WatchLocksResponseSchema, { cursor: event.cursor, content: { case: "change", value: toChange(event) } }),
  );
  const snapshotOf = (users: readonly DeniedUser[], done: boolean) =>
    create(WatchLocksResponseSchema, { content: { case: "snapshot", value: { users: users.map(toDenied), done } } });

  return async ({ organization, after }, { principal, readmit, signal }, outlet) => {
    const place = { organization: fromOrganization(organization), after: after || undefined };
    await watch(
      { ...place, userIds: [], types: DENIAL_TYPES },
      {
        principal,
        readmit,
        signal,
        send: (event) => outlet.send(messageOf(event)),
        keepAlive: (cursor, isCurrent) => outlet.send(create(WatchLocksResponseSchema, isCurrent ? { cursor } : {})),
        ready: () => outlet.ready(),
        snapshot: {
          read: readDenied,
          // The number of empty parts would show how many users of others are denied.
          send: (users: readonly DeniedUser[]) => users.length === 0 || outlet.send(snapshotOf(users, false)),
          end: () => outlet.send(snapshotOf([], true)),
        },
      },
    );
  };
}

/** What denied the user after a recorded event. */
export function deniedAfter({ data }: Pick<RecordedEvent, "data">): Denial | undefined {
  return (data as Recorded).denied;
}

function toChange(event: RecordedEvent): MessageInitShape<typeof LockChangeSchema> {
  const denial = deniedAfter(event);
  return { userId: event.id, denied: denial !== undefined, ...(denial && toFields(denial)) };
}

function toDenied({ id, denial }: DeniedUser): MessageInitShape<typeof DeniedUserSchema> {
  return { userId: id, ...toFields(denial) };
}

function toFields({ cause, until }: Denial) {
  return { cause: CAUSES[cause], ...(until !== undefined && { until: toTimestamp(until) }) };
}
