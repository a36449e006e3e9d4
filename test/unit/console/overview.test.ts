// Proves what the console's overview makes of events: the last locks, and commands for a first user.
import { create } from "@bufbuild/protobuf";
import { EventSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { firstUserCommands } from "../../../src/console/overview/commands.ts";
import { lastLocks } from "../../../src/console/overview/last-locks.ts";

/** Events of users, newest first, such as "bob locked". */
const log = (...lines: string[]) =>
  lines.map((line, index) => {
    const [userId = "", type] = line.split(" ");
    return create(EventSchema, { cursor: String(lines.length - index), userId, type: `user.${type}` });
  });

describe("the last locks", () => {
  test.each([
    ["there are none", [], []],
    ["a lock holds until an event ends it", ["bob locked"], ["bob holds"]],
    ["an unlock ends the lock before it", ["bob unlocked", "bob locked"], ["bob unlocked"]],
    ["a deletion ends a lock, too", ["bob deleted", "bob locked"], ["bob deleted"]],
    ["an unlock of another user ends nothing", ["alice unlocked", "bob locked"], ["bob holds"]],
    [
      "a second lock holds although the first one ended",
      ["bob locked", "bob unlocked", "bob locked"],
      ["bob holds", "bob unlocked"],
    ],
    ["a lock that replaces another one ends it", ["bob locked", "bob locked"], ["bob holds", "bob locked"]],
    ["an end whose lock is older than the events shows nothing", ["bob unlocked"], []],
    ["only the newest are shown", ["a locked", "b locked", "c locked", "d locked"], ["a holds", "b holds", "c holds"]],
  ])("%s", (_name, events, shown) => {
    const locks = lastLocks(log(...events), 3);
    expect(locks.map(({ event, end }) => `${event.userId} ${end ? end.type.slice(5) : "holds"}`)).toEqual(shown);
  });
});

test("the commands for a first user go to the address of the page", () => {
  const { curl, userlock } = firstUserCommands("https://id.example.com");
  expect(curl).toContain("https://id.example.com/userlock.v3alpha.UserService/CreateUser");
  expect(userlock).toContain("USERLOCK_URL=https://id.example.com\n");
});
