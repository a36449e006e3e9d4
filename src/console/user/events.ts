import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";

/** The types of a user's events, in the groups of the filter. */
export const EVENT_GROUPS = {
  locks: ["user.locked", "user.unlocked", "user.lock_probed", "user.deactivated", "user.activated"],
  logins: ["user.login_succeeded", "user.login_failed"],
  sessions: ["session.opened", "session.ended", "user.sessions_ended"],
  changes: [
    "user.created",
    "user.patched",
    "user.password_changed",
    "user.password_rehashed",
    "user.username_added",
    "user.username_removed",
    "user.deleted",
  ],
} as const;

export type EventType = (typeof EVENT_GROUPS)[keyof typeof EVENT_GROUPS][number];

/** The types of a group or of one type. Anything else: none, which means all. */
export function typesOf(name: string): readonly string[] {
  if (Object.hasOwn(EVENT_GROUPS, name)) return EVENT_GROUPS[name as keyof typeof EVENT_GROUPS];
  return Object.values(EVENT_GROUPS)
    .flat()
    .includes(name as EventType)
    ? [name]
    : [];
}

/** One row of a timeline. */
export interface TimelineRow {
  /** What one call did, the cause first. */
  events: readonly Event[];
  /** How often the same happened one after another. */
  times: number;
  /** The first time of these. */
  oldest: Event;
}

/** The rows of a timeline, for events with the newest first. */
export function rowsOf(events: readonly Event[]): TimelineRow[] {
  const calls: Event[][] = [];
  for (const event of events) {
    const call = calls.at(-1);
    if (call && event.requestId !== "" && call[0]?.requestId === event.requestId) call.unshift(event);
    else calls.push([event]);
  }
  const rows: TimelineRow[] = [];
  for (const call of calls) {
    const oldest = call[0] as Event;
    const row = rows.at(-1);
    if (row && call.length === 1 && row.events.length === 1 && isSame(row.oldest, oldest)) {
      row.times++;
      row.oldest = oldest;
    } else rows.push({ events: call, times: 1, oldest });
  }
  return rows;
}

/** Whether two events say the same, such as one more wrong password from the same address. */
function isSame(one: Event, other: Event): boolean {
  const saysOf = ({ type, objectId, actor, address, userAgent, change }: Event) =>
    JSON.stringify([type, objectId, actor?.subject, actor?.tokenId, address, userAgent, change.case]);
  return one.change.case === undefined && saysOf(one) === saysOf(other);
}
