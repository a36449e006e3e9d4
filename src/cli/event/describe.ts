import { type Event, UnlockCauseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { type Column, timeOf, wordOf } from "../output.ts";

/** How events are shown in a table. */
export const EVENT_COLUMNS: Column<Event>[] = [
  ["TIME", ({ time }) => timeOf(time)],
  ["TYPE", ({ type }) => type],
  ["USER", ({ userId }) => userId],
  ["ACTOR", ({ actor }) => actor?.subject ?? ""],
  ["ADDRESS", ({ address }) => address],
  ["DETAILS", detailsOf],
  ["CURSOR", ({ cursor }) => cursor],
];

function detailsOf({ change }: Event): string {
  if (change.case === "lock") {
    const { reason, note, until } = change.value;
    return [reason, note, until && `until ${timeOf(until)}`].filter(Boolean).join(", ");
  }
  return change.case === "unlock" ? wordOf(UnlockCauseSchema.value[change.value.cause]?.localName) : "";
}
