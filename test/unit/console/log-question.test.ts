// Proves how the address of the console's log becomes a question, and which new events answer it.
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { EventSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { matches, questionOf, requestOf } from "../../../src/console/log/question.ts";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const ask = (query: string) => questionOf(new URL(`http://host/console/log${query}`));
const at = (text: string) => timestampFromDate(new Date(text));

test.each([
  ["", { types: [], userIds: [] }],
  ["?type=user.locked,user.unlocked", { types: ["user.locked", "user.unlocked"], userIds: [] }],
  ["?user=bob,%20alice,bob", { types: [], userIds: ["bob", "alice"] }],
  ["?actor=fraud+bot", { types: [], userIds: [], actor: "fraud bot" }],
  ["?org=acme", { types: [], userIds: [], organization: { property: { case: "orgId", value: "acme" } } }],
  ["?last=900", { types: [], userIds: [], since: at("2026-05-01T11:45:00Z") }],
  ["?last=5", { types: [], userIds: [] }],
  [
    "?since=2026-04-01T00:00:00Z&before=2026-04-02T00:00:00Z",
    { types: [], userIds: [], since: at("2026-04-01T00:00:00Z"), before: at("2026-04-02T00:00:00Z") },
  ],
  ["?since=yesterday", { types: [], userIds: [] }],
  ["?last=900&since=2026-04-01T00:00:00Z", { types: [], userIds: [], since: at("2026-05-01T11:45:00Z") }],
])("the address with %s asks for %j", (query, request) => {
  expect(requestOf(ask(query), NOW)).toEqual(request);
});

const EVENT = create(EventSchema, {
  type: "user.locked",
  userId: "bob",
  actor: { subject: "fraud-bot" },
  owner: { type: OwnerType.ORG, id: "acme" },
  time: at("2026-05-01T12:00:00Z"),
});

test.each([
  ["", true],
  ["?type=user.locked", true],
  ["?type=user.unlocked", false],
  ["?user=alice,bob", true],
  ["?user=alice", false],
  ["?actor=fraud-bot", true],
  ["?actor=fraud", false],
  ["?org=acme", true],
  ["?org=globex", false],
  ["?since=2026-05-01T12:00:00Z", true],
  ["?since=2026-05-01T12:00:01Z", false],
  ["?before=2026-05-01T12:00:00Z", false],
  ["?type=user.locked&user=bob&org=globex", false],
])("a new event belongs to the log with %s: %s", (query, isShown) => {
  expect(matches(EVENT, ask(query))).toBe(isShown);
});

test("an owner that is no organization has no organization's name", () => {
  const event = create(EventSchema, { type: EVENT.type, owner: { type: OwnerType.INSTANCE, id: "acme" } });
  expect(matches(event, ask("?org=acme"))).toBe(false);
});
