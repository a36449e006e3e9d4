import type { SessionEvent } from "./session.ts";
import type { InstanceKeyEvent, LockoutSettingsEvent } from "./settings.ts";
import type { TokenEvent } from "./token.ts";
import type { UserEvent } from "./user-state.ts";

type EventType = (UserEvent | SessionEvent | TokenEvent | LockoutSettingsEvent | InstanceKeyEvent)["type"];

/** Every type and no other: the compiler checks it. */
const TYPES: Record<EventType, true> = {
  "instance_key.recorded": true,
  "instance_key.reset": true,
  "lockout_policy.reset": true,
  "lockout_policy.set": true,
  "session.ended": true,
  "session.opened": true,
  "token.created": true,
  "token.revoked": true,
  "user.activated": true,
  "user.created": true,
  "user.deactivated": true,
  "user.deleted": true,
  "user.lock_probed": true,
  "user.locked": true,
  "user.login_failed": true,
  "user.login_succeeded": true,
  "user.password_changed": true,
  "user.password_rehashed": true,
  "user.patched": true,
  "user.sessions_ended": true,
  "user.unlocked": true,
  "user.username_added": true,
  "user.username_removed": true,
};

/** The types of all events that the log can have. */
export const EVENT_TYPES: readonly string[] = Object.keys(TYPES);
