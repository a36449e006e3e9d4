import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";

/** Both lists as one, newest first. An event may come by the stream and by a page. */
export function mergeEvents(some: readonly Event[], more: readonly Event[]): Event[] {
  const byCursor = new Map([...some, ...more].map((event) => [event.cursor, event]));
  return [...byCursor.values()].sort((a, b) => (a.cursor < b.cursor ? 1 : -1));
}
