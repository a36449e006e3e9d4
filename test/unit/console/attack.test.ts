// Proves what the console's page of attacks makes of events: networks, counts of the last hour, and its verdict.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { EventSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCause } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { networkOf } from "../../../src/console/attack/network.ts";
import { summarize } from "../../../src/console/attack/summary.ts";
import {
  addNewer,
  addOlder,
  createTally,
  type Entry,
  MINUTE_MS,
  MOST,
  toEntry,
} from "../../../src/console/attack/tally.ts";
import { verdictOf } from "../../../src/console/attack/verdict.ts";

test.each([
  ["203.0.113.77", "203.0.113.0/24"],
  ["0.0.0.0", "0.0.0.0/24"],
  ["::ffff:203.0.113.77", "203.0.113.0/24"],
  ["::ffff:cb00:714d", "203.0.113.0/24"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8::7", "2001:db8::/64"],
  ["2001:db8:0:1::", "2001:db8:0:1::/64"],
  ["::1", "::/64"],
  ["fe80::1%eth0", "fe80::/64"],
  ["::203.0.113.77", "::/64"],
  ["64:ff9b::203.0.113.77", "64:ff9b::/64"],
  ["", ""],
  ["203.0.113", ""],
  ["203.0.113.256", ""],
  ["login.example.com", ""],
  ["2001:db8::1::2", ""],
  ["2001:db8::1]/x", ""],
])("the network of %j is %j", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

const NOW = 1_700_000_000_000 + 30_000;
const minutesAgo = (count: number) => NOW - count * MINUTE_MS;
const cursorOf = (number: number) => String(number).padStart(12, "0");

test.each([
  ["user.login_failed", undefined, { kind: "failure" }],
  ["user.lock_probed", undefined, { kind: "failure" }],
  ["user.unlocked", undefined, { kind: "unlock" }],
  ["user.locked", LockCause.MANUAL, { kind: "lock", cause: "manual", until: NOW + 1_000 }],
  ["user.locked", LockCause.PASSWORD_FAILURES, { kind: "lock", cause: "passwords", until: NOW + 1_000 }],
  ["user.created", undefined, undefined],
])("an event of type %s and lock cause %s is kept as %j", (type, cause, kept) => {
  const until = timestampFromMs(NOW + 1_000);
  const change = cause === undefined ? {} : { change: { case: "lock" as const, value: { cause, until } } };
  const event = create(EventSchema, {
    cursor: "1",
    type,
    userId: "alice",
    time: timestampFromMs(NOW),
    address: "203.0.113.7",
    ...change,
  });
  const common = { cursor: "1", at: NOW, userId: "alice", network: "203.0.113.0/24" };
  expect(toEntry(event)).toEqual(kept && { ...common, ...kept });
});

type Told = [minutesAgo: number, userId: string, what?: Partial<Entry> | undefined];
/** A tally of events, oldest first. */
function tallyOf(told: readonly Told[]) {
  const tally = createTally(NOW);
  addOlder(tally, [], minutesAgo(60));
  for (const [index, [ago, userId, what]] of told.entries()) {
    const entry = { cursor: cursorOf(index), at: minutesAgo(ago), userId, network: "203.0.113.0/24" };
    addNewer(tally, { ...entry, kind: "failure", ...what });
  }
  return tally;
}
const times = (count: number, ago: number, id: (index: number) => string, what?: Partial<Entry>): Told[] =>
  Array.from({ length: count }, (_, index): Told => [ago, id(index), what]);
const lock = (cause: "manual" | "passwords", until?: number): Partial<Entry> => ({
  kind: "lock",
  cause,
  ...(until !== undefined && { until }),
});
const OTHER = { network: "198.51.100.0/24" };

test("the summary has sixty minutes, users and networks by their failures, and locks by cause", () => {
  const summary = summarize(
    tallyOf([
      [70, "too-old"],
      [59, "bob"],
      [3, "alice"],
      [2, "alice", OTHER],
      [2, "alice", lock("passwords", minutesAgo(-1))],
      [1, "bob", lock("passwords")],
      [1, "carol", lock("manual")],
      [0, "alice"],
    ]),
    NOW,
  );
  expect(summary.minutes).toHaveLength(60);
  expect(summary.minutes.map(({ failures }) => failures)).toEqual([1, ...Array(55).fill(0), 1, 1, 0, 1]);
  expect(summary.minutes.map(({ locks }) => locks)).toEqual([...Array(57).fill(0), 1, 2, 0]);
  expect(summary.users).toEqual([
    { id: "alice", failures: 3, networks: 2, last: NOW, lock: "passwords" },
    { id: "bob", failures: 1, networks: 1, last: minutesAgo(59), lock: "passwords" },
  ]);
  expect(summary.networks).toEqual([
    { network: "203.0.113.0/24", failures: 3, users: 2, last: NOW },
    { network: "198.51.100.0/24", failures: 1, users: 1, last: minutesAgo(2) },
  ]);
  expect(summary.locks).toEqual({ manual: 1, passwords: 2, endless: 1 });
  expect(summary.standing).toBe(2);
  expect(summary.recent).toMatchObject({ failures: 3, usual: 0, lockedUsers: 2 });
  expect(summary.recent.users).toMatchObject([{ id: "alice", failures: 3 }]);
  expect(summary.recent.networks).toMatchObject([{ failures: 2 }, { failures: 1 }]);
});

test("with a network, the users are those that it failed for, and the networks stay", () => {
  const { users, networks } = summarize(
    tallyOf([
      [3, "alice"],
      [2, "bob", OTHER],
    ]),
    NOW,
    OTHER.network,
  );
  expect(users.map(({ id }) => id)).toEqual(["bob"]);
  expect(networks).toHaveLength(2);
});

test("a lock that ended, by time or by an unlock, is not in force", () => {
  const { users, standing } = summarize(
    tallyOf([
      [9, "alice"],
      [9, "bob"],
      [8, "alice", lock("passwords", minutesAgo(1))],
      [8, "bob", lock("passwords")],
      [7, "bob", { kind: "unlock" }],
    ]),
    NOW,
  );
  expect(users.map((user) => user.lock)).toEqual(["", ""]);
  expect(standing).toBe(0);
});

test("the latest event counts as now if the browser's clock is behind the server's", () => {
  expect(summarize(tallyOf([[0, "alice"]]), minutesAgo(30)).minutes.at(-1)).toMatchObject({ failures: 1 });
});

describe("bounds", () => {
  const failure = (index: number): Entry => ({
    cursor: cursorOf(index),
    at: minutesAgo(50) + index * 100,
    kind: "failure",
    userId: `user-${index}`,
    network: "",
  });

  test("new events push out the oldest, and the minutes keep their counts", () => {
    const tally = tallyOf([]);
    const sent = MOST + 2_000;
    for (let index = 0; index < sent; index++) addNewer(tally, failure(index));
    expect(tally.entries.length).toBeGreaterThanOrEqual(MOST);
    expect(tally.entries.length).toBeLessThan(MOST + 500);
    expect(tally.keptSince).toBe(tally.entries[0]!.at);
    const counted = summarize(tally, NOW).minutes.filter(({ failures }) => failures > 0);
    expect(counted.reduce((sum, { failures }) => sum + failures, 0)).toBe(sent);
    expect(counted.every(({ isCounted }) => isCounted)).toBe(true);
  });

  test("older pages are taken up to the bound, and the minutes before are marked as not counted", () => {
    const tally = createTally(NOW);
    const newestFirst = Array.from({ length: MOST + 2_000 }, (_, index) => failure(MOST + 2_000 - index));
    let wants = true;
    for (let start = 0; wants; start += 1_000) wants = addOlder(tally, newestFirst.slice(start, start + 1_000));
    expect(tally.entries).toHaveLength(MOST);
    expect(tally.keptSince).toBe(failure(2_001).at);
    expect(summarize(tally, NOW).minutes[8]).toMatchObject({ failures: 0, isCounted: false });
    expect(summarize(tally, NOW).minutes[20]).toMatchObject({ isCounted: true });
  });

  test("an event that comes by the page and by the stream counts once", () => {
    const tally = createTally(NOW);
    addNewer(tally, failure(2));
    addOlder(tally, [failure(3), failure(2), failure(1)], minutesAgo(60));
    addNewer(tally, failure(2));
    expect(tally.entries.map(({ cursor }) => cursor)).toEqual([cursorOf(1), cursorOf(2)]);
    expect(tally.keptSince).toBe(minutesAgo(60));
  });

  test("events of more than an hour ago are forgotten", () => {
    const tally = tallyOf(times(600, 59, () => "alice"));
    addNewer(tally, { ...failure(9_999), at: minutesAgo(-5) });
    expect(tally.entries.length).toBeLessThanOrEqual(101);
    expect([...tally.failures.values()]).toEqual([1]);
  });
});

test.each<[level: string, when: string, told: Told[]]>([
  ["quiet", "nothing happened", []],
  ["quiet", "few people mistype", times(9, 2, (index) => `user-${index}`)],
  ["quiet", "many failed, but half an hour ago", times(200, 30, () => "alice")],
  ["raised", "one network fails for many users, but it is the only one", times(12, 2, (index) => `user-${index}`)],
  ["raised", "wrong passwords locked one user", [[2, "alice", lock("passwords", minutesAgo(1))]]],
  [
    "raised",
    "a user is locked by wrong passwords, and their logins leave no trace",
    [[40, "alice", lock("passwords")]],
  ],
  ["quiet", "somebody locked users by hand", times(5, 2, (index) => `user-${index}`, lock("manual"))],
  ["attack", "wrong passwords locked three users", times(3, 2, (index) => `user-${index}`, lock("passwords"))],
  ["attack", "failures are far more than usual", times(30, 2, (index) => `user-${index % 4}`)],
  [
    "raised",
    "failures are many, as usual",
    Array.from({ length: 60 }, (_, ago) => times(4, 59 - ago, () => "a")).flat(),
  ],
  [
    "attack",
    "one network of several fails for five users",
    [[4, "a", OTHER], ...times(5, 2, (index) => `user-${index}`)],
  ],
])("the verdict is %s if %s", (level, _when, told) => {
  expect(verdictOf(summarize(tallyOf(told), NOW))).toBe(level);
});
