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
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, failLogins, ok, refused, seconds, waitUntil } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { getUser, lockUser, unlockUser, deactivateUser, searchUsers, countUsers } = UserService.method;

type LockFilter = MessageInitShape<typeof LockFilterSchema>;

let server: ServerProcess;
let doors: Door[] = [];
let viewerOfA = "";
let gateway = "";

const NAMES = ["REST", "Connect JSON, ZITADELUsers", "gRPC, UserService"];

/** The locks of the users of the tables, in order of locking. The users "free" and "unlocked" have none. */
const times: Record<string, { since: Timestamp; until?: Timestamp }> = {};

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  const [door] = doors as [Door];
  const lock = async (id: string, more: object) => {
    await addUser(door, { id });
    ok(await door.call(lockUser, { id, ...more }, asOwner));
    // Locks need distinct times, also in the precision of JSON.
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
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  viewerOfA = (await make.create("viewer-a", ["ORG_VIEWER", "a"])).secret;
  gateway = (await make.create("gateway", ["GATEWAY"])).secret;
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

/** Filters, which are built after the locks exist, with the ids of the matching users. */
const FILTERS: [what: string, filter: () => LockFilter, found: string[]][] = [
  ["a lock", () => ({ locked: true }), LOCKED],
  ["the absence of a lock", () => ({ locked: false }), ["free", "unlocked"]],
  ["the cause manual", () => ({ cause: LockCause.MANUAL }), ["fraud", "idle", "long", "short"]],
  ["the cause wrong passwords", () => ({ cause: LockCause.PASSWORD_FAILURES }), ["guessed"]],
  ["a reason", () => ({ reason: "fraud" }), ["fraud", "long"]],
  ["the default reason", () => ({ reason: "manual" }), ["idle", "short"]],
  ["the start of a reason, which does not match", () => ({ reason: "frau" }), []],
  [
    "an end before a time, without locks that have no end",
    () => ({ untilBefore: timestampFromMs(4e12) }),
    ["guessed", "long", "short"],
  ],
  ["an end before a lock's end, which is excluded", () => ({ untilBefore: until("short") }), ["guessed"]],
  ["an end after a lock's end, which is excluded", () => ({ untilAfter: until("short") }), ["long"]],
  [
    "an end after a time, without locks that have no end",
    () => ({ untilAfter: timestampFromMs(0) }),
    ["guessed", "long", "short"],
  ],
  ["an end between two times", () => ({ untilAfter: until("guessed"), untilBefore: until("long") }), ["short"]],
  ["a start before a lock's start, which is excluded", () => ({ sinceBefore: since("long") }), ["fraud", "short"]],
  ["a start after a lock's start, which is excluded", () => ({ sinceAfter: since("long") }), ["guessed", "idle"]],
  [
    "a start between two times",
    () => ({ sinceAfter: since("fraud"), sinceBefore: since("guessed") }),
    ["long", "short"],
  ],
  [
    "all conditions",
    () => ({ locked: true, cause: LockCause.MANUAL, reason: "fraud", untilAfter: until("short") }),
    ["long"],
  ],
  ["contradictory conditions", () => ({ locked: false, reason: "fraud" }), []],
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

  test.each(FILTERS)("finds users by %s", async (_what, filter, found) => {
    const { response } = await search(filter());
    expect(response?.result.map(({ details }) => details?.id)).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
  });

  test("accepts a lock filter within a negation and beside a state filter", async () => {
    const filter = { case: "notFilter", value: { query: { filter: { case: "lockFilter", value: { locked: true } } } } };
    const { response } = await door.call(searchUsers, { filters: [{ filter }] as never }, asOwner);
    expect(response?.result.map(({ details }) => details?.id).sort()).toEqual(["free", "unlocked"]);
    const active = { filter: { case: "stateFilter", value: { state: State.USER_STATE_ACTIVE } } };
    expect((await search({ locked: true }, [active])).response?.result).toEqual([]);
  });

  test("returns each lock, with its end if it has one", async () => {
    const { response } = await search({ locked: true });
    for (const { details, state, lock } of response!.result) {
      expect(state).toBe(State.USER_STATE_LOCKED);
      expect({ since: lock?.since, ...(lock?.until && { until: lock.until }) }).toEqual(times[details!.id]);
    }
    expect(timestampMs(until("short")) - timestampMs(since("short"))).toBeCloseTo(600_000, 0);
  });

  test("counts the users whom a search finds, by state, cause, end and reason", async () => {
    const counts = async (filters: object[], token = ADMIN_TOKEN) =>
      door.call(countUsers, { filters: filters as never }, { token });
    expect((await counts([])).response).toMatchObject({
      ...{ total: 7n, active: 2n, inactive: 0n, locked: 5n },
      ...{ lockedManually: 4n, lockedByPasswordFailures: 1n, endingSoon: 2n },
      lockReasons: [
        { reason: "fraud", users: 2n },
        { reason: "manual", users: 2n },
        { reason: "password-failures", users: 1n },
      ],
    });
    const isFraud = { filter: { case: "lockFilter", value: { reason: "fraud" } } };
    expect((await counts([isFraud])).response).toMatchObject({
      ...{ total: 2n, active: 0n, locked: 2n, lockedManually: 2n, lockedByPasswordFailures: 0n, endingSoon: 0n },
      lockReasons: [{ reason: "fraud", users: 2n }],
    });
    expect((await counts([], viewerOfA)).response).toMatchObject({ total: 0n, active: 0n, lockReasons: [] });
    refused(await counts([], gateway), "PERMISSION_DENIED", "PERMISSION_MISSING");
    refused(await counts([{}]), "INVALID_ARGUMENT", "INVALID_REQUEST");
  });

  test.each<[what: string, filter: object]>([
    ["a filter without conditions", {}],
    ["the cause UNSPECIFIED", { cause: LockCause.UNSPECIFIED }],
    ["an unknown cause", { cause: 99 }],
    ["a reason of 65 characters", { reason: "x".repeat(65) }],
  ])("refuses %s", async (_what, filter) => {
    refused(await search(filter), "INVALID_ARGUMENT", "INVALID_REQUEST");
  });

  test("excludes a lock from the moment of its end", async () => {
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
    // The tables of the next door do not include this user.
    ok(await door.call(UserService.method.deleteUser, { id }, asOwner));
  });
});
