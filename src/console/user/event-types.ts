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
