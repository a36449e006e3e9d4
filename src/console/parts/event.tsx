import { type Event, UnlockCause } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import { LockLine } from "./state.tsx";

const TONES: Record<string, "danger" | "warn" | "good"> = {
  "user.locked": "danger",
  "user.deleted": "danger",
  "user.login_failed": "warn",
  "user.lock_probed": "warn",
  "user.deactivated": "warn",
  "user.unlocked": "good",
  "user.activated": "good",
};

/** The name of a type of events. Servers may be newer than the page: an unknown type is its own name. */
export function titleOfType(type: string): string {
  return (texts.value.events as Record<string, string>)[type] ?? type;
}

/** Whether a type of events is bad news, a warning or good news, as a class. */
export const toneOfType = (type: string): string => TONES[type] ?? "";

/** What happened, with a mark for good and bad news. */
export function EventTitle({ event: { type } }: { event: Event }) {
  return <span class={`event ${toneOfType(type)}`}>{titleOfType(type)}</span>;
}

/** What an event has beside its title: the lock, the end of one, or the object that is no user. */
export function EventChange({ event: { change, objectType, objectId } }: { event: Event }) {
  if (change.case === "lock") {
    return (
      <>
        <LockLine lock={change.value} /> {change.value.note}
      </>
    );
  }
  if (change.case === "unlock" && change.value.cause === UnlockCause.EXPIRED) return <>{texts.value.common.expired}</>;
  return objectType === "user" || objectType === "" ? null : <code>{objectId}</code>;
}
