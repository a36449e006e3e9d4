// Proves that users are found by their locks.
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  FieldName,
  LockCause,
  type LockFilterSchema,
  State,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, failLogins, ok, refused, seconds, waitUntil } from "../../support/logins.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { getUser, lockUser, unlockUser, deactivateUser, searchUsers } = UserService.method;

type LockFilter = MessageInitShape<typeof LockFilterSchema>;

let server: ServerProcess;
let doors: Door[] = [];

const NAMES = ["REST", "Connect JSON, ZITADELUsers", "gRPC, UserService"];

/** The users that the tables are about, in the order in which they are locked; "free" and "unlocked" are not. */
const times: Record<string, { since: Timestamp; until?: Timestamp }> = {};

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  const [door] = doors as [Door];
  const lock = async (id: string, more: object) => {
    await addUser(door, { id });
    ok(await door.call(lockUser, { id, ...more }, asOwner));
    // No two of them at the same time, also as JSON tells times.
    await sleep(5);
  };
  await addUser(door, { id: "free" });
  await lock("unlocked", {});
  ok(await door.call(unlockUser, { id: "unlocked" }, asOwner));
  await lock("fraud", { reason: "fraud" });
  await lock("short", { end: { case: "duration", value: seconds(600) } });
  await lock("long", { reason: "fraud", end: { case: "duration", value: seconds(6_000) } });
  await addUser(door, { id: "guessed" });
  await failLogins(door, "guessed", 5);
  await sleep(5);
  await lock("idle", {});
  ok(await door.call(deactivateUser, { id: "idle" }, asOwner));
  for (const id of ["fraud", "short", "long", "guessed", "idle"]) {
    const { since, until } = (await door.call(getUser, { id }, asOwner)).response!.user!.lock!;
    times[id] = { since: since as Timestamp, ...(until && { until }) };
  }
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const since = (id: string) => times[id]!.since;
const until = (id: string) => times[id]!.until as Timestamp;
const LOCKED = ["fraud", "guessed", "idle", "long", "short"];

/** Who passes, by id; the filter is made when the locks are there. */
const FILTERS: [what: string, filter: () => LockFilter, found: string[]][] = [
  ["locked", () => ({ locked: true }), LOCKED],
  ["not locked", () => ({ locked: false }), ["free", "unlocked"]],
  ["cause: manual", () => ({ cause: LockCause.MANUAL }), ["fraud", "idle", "long", "short"]],
  ["cause: wrong passwords", () => ({ cause: LockCause.PASSWORD_FAILURES }), ["guessed"]],
  ["reason", () => ({ reason: "fraud" }), ["fraud", "long"]],
  ["reason of those who are given none", () => ({ reason: "manual" }), ["idle", "short"]],
  ["reason, the beginning of it", () => ({ reason: "frau" }), []],
  ["until before: not who has no end", () => ({ untilBefore: timestampFromMs(4e12) }), ["guessed", "long", "short"]],
  ["until before an end: not that end itself", () => ({ untilBefore: until("short") }), ["guessed"]],
  ["until after an end: not that end itself", () => ({ untilAfter: until("short") }), ["long"]],
  ["until after: not who has no end", () => ({ untilAfter: timestampFromMs(0) }), ["guessed", "long", "short"]],
  ["until in between", () => ({ untilAfter: until("guessed"), untilBefore: until("long") }), ["short"]],
  ["since before a beginning: not that itself", () => ({ sinceBefore: since("long") }), ["fraud", "short"]],
  ["since after a beginning: not that itself", () => ({ sinceAfter: since("long") }), ["guessed", "idle"]],
  ["since in between", () => ({ sinceAfter: since("fraud"), sinceBefore: since("guessed") }), ["long", "short"]],
  [
    "all of it",
    () => ({ locked: true, cause: LockCause.MANUAL, reason: "fraud", untilAfter: until("short") }),
    ["long"],
  ],
  ["a lock that is none", () => ({ locked: false, reason: "fraud" }), []],
];

describe.each(NAMES)("SearchUsers by lock, over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });
  const search = (lock: LockFilter, more: object[] = []) =>
    door.call(
      searchUsers,
      {
        sortingColumn: FieldName.ID,
        filters: [{ filter: { case: "lockFilter", value: lock } }, ...more] as never,
      },
      asOwner,
    );

  test.each(FILTERS)("%s", async (_what, filter, found) => {
    const { response } = await search(filter());
    expect(response?.result.map(({ details }) => details?.id)).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
  });

  test("within not, and with a state", async () => {
    const filter = { case: "notFilter", value: { query: { filter: { case: "lockFilter", value: { locked: true } } } } };
    const { response } = await door.call(searchUsers, { filters: [{ filter }] as never }, asOwner);
    expect(response?.result.map(({ details }) => details?.id).sort()).toEqual(["free", "unlocked"]);
    const active = { filter: { case: "stateFilter", value: { state: State.USER_STATE_ACTIVE } } };
    expect((await search({ locked: true }, [active])).response?.result).toEqual([]);
  });

  test("what is found shows its lock, with the end if it has one", async () => {
    const { response } = await search({ locked: true });
    for (const { details, state, lock } of response!.result) {
      expect(state).toBe(State.USER_STATE_LOCKED);
      expect({ since: lock?.since, ...(lock?.until && { until: lock.until }) }).toEqual(times[details!.id]);
    }
    expect(timestampMs(until("short")) - timestampMs(since("short"))).toBeCloseTo(600_000, 0);
  });

  test.each<[what: string, filter: object]>([
    ["no condition", {}],
    ["a cause that is not set", { cause: LockCause.UNSPECIFIED }],
    ["a cause that does not exist", { cause: 99 }],
    ["a reason of 65 characters", { reason: "x".repeat(65) }],
  ])("refused: %s", async (_what, filter) => {
    refused(await search(filter), "INVALID_ARGUMENT", "INVALID_REQUEST");
  });

  test("a lock that has ended is none from that very moment", async () => {
    const id = await addUser(door, { id: `ended-${NAMES.indexOf(name)}` });
    const end = timestampFromMs(Date.now() + 300);
    ok(await door.call(lockUser, { id, reason: "timed", end: { case: "until", value: end } }, asOwner));
    const found = async (filter: LockFilter) =>
      (await search(filter)).response!.result.some(({ details }) => details?.id === id);
    expect(await found({ reason: "timed" })).toBe(true);
    await waitUntil(end);
    expect(await found({ locked: true })).toBe(false);
    expect(await found({ reason: "timed" })).toBe(false);
    expect(await found({ untilBefore: timestampFromMs(4e12) })).toBe(false);
    expect(await found({ locked: false })).toBe(true);
    // The next door's table does not know him.
    ok(await door.call(UserService.method.deleteUser, { id }, asOwner));
  });
});
