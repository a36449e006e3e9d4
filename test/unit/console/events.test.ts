// Proves that the console knows the types of events that the log has. It cannot import them.
import { eventsDe, eventsEn } from "../../../src/console/i18n/events.ts";
import { EVENT_GROUPS } from "../../../src/console/user/event-types.ts";
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
