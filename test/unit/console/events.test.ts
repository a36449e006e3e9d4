// Proves that the console knows the types of events that the log has, which it cannot import, and how events become rows.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EventSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { eventsDe, eventsEn } from "../../../src/console/i18n/events.ts";
import { EVENT_GROUPS, rowsOf } from "../../../src/console/user/events.ts";
import { EVENT_TYPES } from "../../../src/domain/event-types.ts";

const sorted = (types: readonly string[]) => [...types].sort();

test.each([
  ["English", eventsEn],
  ["German", eventsDe],
])("every type of event has a name in %s, and no other has one", (_language, names) => {
  expect(sorted(Object.keys(names))).toEqual(sorted(EVENT_TYPES));
});

test("the filter of a user's timeline has every type of a user and of a session once", () => {
  const ofUsers = EVENT_TYPES.filter((type) => /^(user|session)\./.test(type));
  expect(sorted(Object.values(EVENT_GROUPS).flat())).toEqual(sorted(ofUsers));
});

type EventInit = MessageInitShape<typeof EventSchema>;
const failed = { type: "user.login_failed", objectId: "u", address: "203.0.113.7" };
const locked = { type: "user.locked", objectId: "u", change: { case: "lock" as const, value: {} } };

test.each<[what: string, oldestFirst: EventInit[], newestFirst: string[]]>([
  [
    "What one call did is one row, the cause first",
    [
      { ...failed, requestId: "1" },
      { ...locked, requestId: "1" },
    ],
    ["user.login_failed user.locked × 1"],
  ],
  [
    "The same from the same address is one row, with its number",
    [
      { ...failed, requestId: "1" },
      { ...failed, requestId: "2" },
      { ...failed, requestId: "3" },
    ],
    ["user.login_failed × 3"],
  ],
  [
    "The same from another address has its own row",
    [
      { ...failed, requestId: "1" },
      { ...failed, requestId: "2", address: "2001:db8::7" },
    ],
    ["user.login_failed × 1", "user.login_failed × 1"],
  ],
  ["Events without a request are not one call", [failed, locked], ["user.locked × 1", "user.login_failed × 1"]],
  ["Locks are never alike", [locked, locked], ["user.locked × 1", "user.locked × 1"]],
])("%s", (_what, oldestFirst, newestFirst) => {
  const events = oldestFirst.map((event) => create(EventSchema, event)).reverse();
  const rows = rowsOf(events).map((row) => `${row.events.map(({ type }) => type).join(" ")} × ${row.times}`);
  expect(rows).toEqual(newestFirst);
});
