// Proves that wrong passwords lock a user as the policy says.
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import type { LockoutPolicySchema } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { LockCause, State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  failLogins,
  inOrganization,
  logIn,
  ok,
  openSession,
  outcomeOf,
  PASSWORD,
  readLog,
  refused,
  seconds,
  setPolicy,
  typesOf,
  waitUntil,
} from "../../support/logins.ts";
import { QUICK, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { getUser, lockUser, unlockUser, deactivateUser, activateUser, setPassword } = UserService.method;
const { deleteSessions } = SessionService.method;

const folder = temporaryFolder();
const file = folder.file("lockout.db");
let server: ServerProcess;
let doors: Door[] = [];
let door: Door;

/** The policies of the tests, each in its own organization. */
const POLICIES: Record<string, MessageInitShape<typeof LockoutPolicySchema>> = {
  short: { lockDuration: seconds(1) },
  capped: { lockDuration: seconds(1), maxLockDuration: { seconds: 1n, nanos: 500_000_000 } },
  endless: { maxLockDuration: seconds(0) },
  off: { maxAttempts: 0 },
  two: { maxAttempts: 2, window: seconds(1) },
  strict: { knownDevicesPass: false },
  open: { revealLock: true, maxAttempts: 2 },
};

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` }, QUICK);
  doors = openDoors(server.url);
  door = doors.find(({ name }) => name === "gRPC, UserService") as Door;
  for (const [organization, policy] of Object.entries(POLICIES)) await setPolicy(door, policy, organization);
});

afterAll(async () => {
  for (const each of doors) each.close();
  await server?.stop();
  folder.remove();
});

let users = 0;
const newUser = (organization?: keyof typeof POLICIES) =>
  addUser(door, { id: `user-${++users}`, ...(organization !== undefined && { organization }) });
const lockOf = async (id: string) => (await door.call(getUser, { id }, asOwner)).response?.user?.lock;
const typesOfUser = (id: string) => typesOf(readLog(file, id));
const failed = (count: number) => Array.from({ length: count }, () => "user.login_failed");
const isIn = async (id: string, more: object = {}) => (await logIn(door, { ...byId(id), ...more })).code === "OK";
/** Length of the user's lock in milliseconds. Undefined if it has no end. */
async function lockLength(id: string): Promise<number | undefined> {
  const { since, until } = (await lockOf(id))!;
  return until && Number(until.seconds - since!.seconds) * 1_000 + (until.nanos - since!.nanos) / 1e6;
}

test("the fifth wrong password locks for the policy's time", async () => {
  const id = await newUser();
  await failLogins(door, id, 4);
  expect(await lockOf(id)).toBeUndefined();
  await failLogins(door, id, 1);
  const { user } = (await door.call(getUser, { id }, asOwner)).response!;
  expect(user?.state).toBe(State.USER_STATE_LOCKED);
  const cause = { cause: LockCause.PASSWORD_FAILURES, reason: "password-failures", lockedBy: "userlock", note: "" };
  expect(user?.lock).toMatchObject({ ...cause, since: user?.details?.changed });
  expect(await lockLength(id)).toBe(60_000);
  expect(typesOfUser(id)).toEqual(["user.created", ...failed(5), "user.locked"]);
  // The last wrong password and the lock are one change.
  const [last, lock] = readLog(file, id).slice(-2);
  expect(lock?.time).toBe(last?.time);
});

test("during a lock no password is counted or accepted, and the lock is not extended", async () => {
  const id = await newUser();
  await failLogins(door, id, 5);
  const [before, lock] = [typesOfUser(id), await lockOf(id)];
  await failLogins(door, id, 6);
  refused(await logIn(door, byId(id)), "UNAUTHENTICATED", "LOGIN_FAILED");
  expect(typesOfUser(id)).toEqual(before);
  expect(await lockOf(id)).toEqual(lock);
});

test("an automatic lock ends by itself, and the user can log in again", async () => {
  const id = await newUser("short");
  await failLogins(door, id, 5);
  expect(await isIn(id)).toBe(false);
  await waitUntil((await lockOf(id))?.until);
  expect(await lockOf(id)).toBeUndefined();
  ok(await logIn(door, byId(id)));
  expect(typesOfUser(id)).toEqual([
    "user.created",
    ...failed(5),
    "user.locked",
    "user.unlocked",
    "user.login_succeeded",
  ]);
});

/** Histories with the resulting lock: its length in milliseconds, "endless" or "none". */
const HISTORIES: {
  name: string;
  organization?: string;
  history: (id: string) => Promise<unknown>;
  lock: number | "endless" | "none";
}[] = [
  {
    name: "five wrong passwords with max_lock_duration 0",
    organization: "endless",
    history: (id) => failLogins(door, id, 5),
    lock: "endless",
  },
  {
    name: "eight wrong passwords with max_attempts 0",
    organization: "off",
    history: (id) => failLogins(door, id, 8),
    lock: "none",
  },
  {
    name: "two wrong passwords with max_attempts 2",
    organization: "two",
    history: (id) => failLogins(door, id, 2),
    lock: 60_000,
  },
  {
    name: "five wrong passwords, one of them older than the window",
    organization: "two",
    async history(id) {
      await failLogins(door, id, 1);
      await sleep(1_010);
      await failLogins(door, id, 1);
    },
    lock: "none",
  },
  {
    name: "the wrong passwords for a second lock since the last successful login",
    organization: "short",
    async history(id) {
      await failLogins(door, id, 5);
      await waitUntil((await lockOf(id))?.until);
      await failLogins(door, id, 5);
    },
    lock: 2_000,
  },
  {
    name: "the wrong passwords for a second lock, limited by max_lock_duration",
    organization: "capped",
    async history(id) {
      await failLogins(door, id, 5);
      await waitUntil((await lockOf(id))?.until);
      await failLogins(door, id, 5);
    },
    lock: 1_500,
  },
  {
    name: "the wrong passwords for a second lock after a successful login",
    organization: "short",
    async history(id) {
      await failLogins(door, id, 5);
      await waitUntil((await lockOf(id))?.until);
      ok(await logIn(door, byId(id)));
      await failLogins(door, id, 5);
    },
    lock: 1_000,
  },
  {
    name: "wrong passwords with a successful login in between",
    async history(id) {
      await failLogins(door, id, 4);
      ok(await logIn(door, byId(id)));
      await failLogins(door, id, 4);
    },
    lock: "none",
  },
  {
    name: "wrong passwords with a new password in between",
    async history(id) {
      await failLogins(door, id, 4);
      const newPassword = { type: { case: "password" as const, value: PASSWORD } };
      ok(await door.call(setPassword, { id, newPassword }, asOwner));
      await failLogins(door, id, 4);
    },
    lock: "none",
  },
  {
    name: "wrong passwords with an unlock in between",
    async history(id) {
      await failLogins(door, id, 5);
      ok(await door.call(unlockUser, { id }, asOwner));
      await failLogins(door, id, 4);
    },
    lock: "none",
  },
];

test.each(HISTORIES)("the lock after $name is $lock", async ({ organization, history, lock }) => {
  const id = await newUser(organization);
  await history(id);
  const found = await lockOf(id);
  if (lock === "none") {
    expect(found).toBeUndefined();
    ok(await logIn(door, byId(id)));
  } else {
    expect(found).toMatchObject({ cause: LockCause.PASSWORD_FAILURES });
    expect(await lockLength(id)).toBe(lock === "endless" ? undefined : lock);
  }
});

/** Sequences of wrong passwords, one letter each, and how many are counted. */
const REPETITIONS: [tries: string, counted: number][] = [
  ["aaaaaaaa", 1],
  ["abcabcabc", 3],
  ["abcda", 5],
  ["abab", 2],
];

test.each(REPETITIONS)("the sequence %s of wrong passwords counts as %i", async (tries, counted) => {
  const id = await newUser();
  for (const password of tries)
    refused(await logIn(door, { ...byId(id), password }), "UNAUTHENTICATED", "LOGIN_FAILED");
  expect(typesOfUser(id).filter((type) => type === "user.login_failed")).toEqual(failed(counted));
  expect((await lockOf(id)) !== undefined).toBe(counted >= 5);
  expect(readLog(file, id).flatMap(({ data }) => data.mac ?? [])).toEqual(failed(counted).map(() => ""));
});

describe("a known device", () => {
  /** A user of an organization, with the device token from a login. */
  async function withDevice(organization?: string) {
    const id = await newUser(organization);
    const { deviceToken } = await openSession(door, id);
    return { id, deviceToken };
  }

  test("can log in during a lock by strangers, with its token and the renewed one", async () => {
    const { id, deviceToken } = await withDevice();
    await failLogins(door, id, 5);
    expect(await isIn(id)).toBe(false);
    const again = await openSession(door, id, { deviceToken });
    expect(again.deviceToken.split(".")[0]).toBe(deviceToken.split(".")[0]);
    expect(await isIn(id)).toBe(false);
    expect(await isIn(id, { deviceToken })).toBe(true);
    expect(await isIn(id, { deviceToken: again.deviceToken })).toBe(true);
  });

  const newPassword = { type: { case: "password" as const, value: PASSWORD } };
  const byHand =
    (method: DescMethodUnary, more: object = {}) =>
    async (id: string) =>
      ok(await door.call(method, { id, ...more } as never, asOwner));

  test.each<[what: string, end: (id: string) => Promise<unknown>]>([
    ["a lock and an unlock", async (id) => byHand(lockUser)(id).then(() => byHand(unlockUser)(id))],
    ["a deactivation and an activation", async (id) => byHand(deactivateUser)(id).then(() => byHand(activateUser)(id))],
    ["a password set by an admin", byHand(setPassword, { newPassword })],
    ["DeleteSessions", byHand(deleteSessions)],
    [
      "20 more devices",
      async (id) => {
        for (let device = 0; device < 20; device++) await openSession(door, id);
      },
    ],
  ])("is unknown after %s", async (_what, end) => {
    const { id, deviceToken } = await withDevice();
    await end(id);
    await failLogins(door, id, 3, { deviceToken });
    await failLogins(door, id, 2);
    expect(await lockOf(id)).toMatchObject({ cause: LockCause.PASSWORD_FAILURES });
    expect(await isIn(id, { deviceToken })).toBe(false);
    const devices = readLog(file, id).flatMap(({ type, data }) => (type === "user.login_failed" ? data.device : []));
    expect(devices).toEqual(["", "", "", "", ""]);
  });

  test("does not help an attacker with many tokens to guess the next password", async () => {
    const id = await newUser();
    const tokens: string[] = [];
    for (let device = 0; device < 24; device++) tokens.push((await openSession(door, id)).deviceToken);
    await byHand(lockUser)(id);
    await byHand(setPassword, { newPassword: { type: { case: "password", value: "next" } } })(id);
    await byHand(deleteSessions)(id);
    await byHand(unlockUser)(id);
    await Promise.all(tokens.map((deviceToken) => failLogins(door, id, 4, { deviceToken })));
    expect(await lockOf(id)).toMatchObject({ cause: LockCause.PASSWORD_FAILURES });
    expect(typesOfUser(id).filter((type) => type === "user.login_failed")).toEqual(failed(5));
    expect(await isIn(id, { password: "next", deviceToken: tokens.at(-1) })).toBe(false);
  });

  test("shares its attempts with all known devices", async () => {
    const id = await newUser();
    const tokens: string[] = [];
    for (let device = 0; device < 10; device++) tokens.push((await openSession(door, id)).deviceToken);
    await Promise.all(tokens.map((deviceToken) => failLogins(door, id, 4, { deviceToken })));
    expect(await lockOf(id)).toMatchObject({ cause: LockCause.PASSWORD_FAILURES });
    expect(typesOfUser(id).filter((type) => type === "user.login_failed")).toEqual(failed(5));
    expect(await isIn(id, { deviceToken: tokens[0] })).toBe(false);
  });

  test("is known for the time of USERLOCK_DEVICE_LIFETIME", async () => {
    const shortFile = folder.file("short.db");
    const settings = { USERLOCK_DEVICE_LIFETIME: "1s", USERLOCK_STORE: `sqlite:${shortFile}` };
    const short = await startServer(settings, QUICK);
    const through = openDoors(short.url);
    try {
      const one = through.find(({ name }) => name === "gRPC, UserService") as Door;
      await addUser(one, { id: "ann" });
      const { deviceToken } = await openSession(one, "ann");
      await sleep(1_010);
      await failLogins(one, "ann", 1, { deviceToken });
      expect(readLog(shortFile, "ann").at(-1)).toMatchObject({ type: "user.login_failed", data: { device: "" } });
    } finally {
      for (const each of through) each.close();
      await short.stop();
    }
  });

  test("has its own count, and is stopped by the lock that it causes", async () => {
    const { id, deviceToken } = await withDevice();
    await failLogins(door, id, 4);
    await failLogins(door, id, 4, { deviceToken });
    expect(await lockOf(id)).toBeUndefined();
    await failLogins(door, id, 1, { deviceToken });
    expect(await lockOf(id)).toMatchObject({ cause: LockCause.PASSWORD_FAILURES });
    expect(await isIn(id, { deviceToken })).toBe(false);
    expect(await isIn(id)).toBe(false);
  });

  test("is stopped by any lock if the policy says so", async () => {
    const { id, deviceToken } = await withDevice("strict");
    await failLogins(door, id, 5);
    expect(await isIn(id, { deviceToken })).toBe(false);
  });

  test("is stopped by LockUser, also after a lock that did not stop it", async () => {
    const { id, deviceToken } = await withDevice();
    await failLogins(door, id, 5);
    expect(await isIn(id, { deviceToken })).toBe(true);
    ok(await door.call(lockUser, { id, reason: "fraud" }, asOwner));
    expect(await isIn(id, { deviceToken })).toBe(false);
    expect(await lockOf(id)).toMatchObject({ cause: LockCause.MANUAL, reason: "fraud", lockedBy: "admin" });
    expect((await lockOf(id))?.until).toBeUndefined();
  });

  test.each<[what: string, forge: (token: string, other: string) => string]>([
    ["of another user", (_own, other) => other],
    ["with another device's id", (own, other) => [other.split(".")[0], ...own.split(".").slice(1)].join(".")],
    ["with a later end", (own) => own.replace(/\.[^.]+\./, (end) => `.1${end.slice(1)}`)],
    ["without its proof", (own) => own.split(".")[0] as string],
    ["that is malformed", () => "known-device"],
  ])("is not recognised by a token %s", async (_what, forge) => {
    const { id, deviceToken } = await withDevice();
    const { deviceToken: other } = await withDevice();
    await failLogins(door, id, 5);
    expect(await isIn(id, { deviceToken: forge(deviceToken, other) })).toBe(false);
    expect(await isIn(id, { deviceToken })).toBe(true);
  });
});

describe("the policy reveal_lock", () => {
  const manually = async (id: string) => ok(await door.call(lockUser, { id }, asOwner));
  const NAMES = openDoors("http://127.0.0.1:1").map((each) => {
    each.close();
    return each.name;
  });

  test.each(NAMES)("reveals a lock over %s for the right password only", async (name) => {
    const through = doors.find((each) => each.name === name) as Door;
    const id = await newUser("open");
    await failLogins(door, id, 2);
    refused(await logIn(through, { ...byId(id), password: "wrong" }), "UNAUTHENTICATED", "LOGIN_FAILED");
    const answer = await logIn(through, { ...byId(id), ...inOrganization("open") });
    refused(answer, "FAILED_PRECONDITION", "USER_LOCKED");
    expect(answer.detailTypes.sort()).toEqual(["ErrorInfo", "PreconditionFailure", "RetryInfo"]);
    const { seconds: whole } = answer.retryInfo!.retryDelay!;
    expect(Number(whole)).toBeGreaterThan(40);
    expect(Number(whole)).toBeLessThan(60);
  });

  test("reveals a lock without an end without a time", async () => {
    const id = await newUser("open");
    await manually(id);
    const answer = await logIn(door, byId(id));
    refused(answer, "FAILED_PRECONDITION", "USER_LOCKED");
    expect(answer.retryInfo).toBeUndefined();
  });

  test("checks at most max_attempts passwords during a lock", async () => {
    const id = await newUser("open");
    await manually(id);
    await failLogins(door, id, 2);
    refused(await logIn(door, byId(id)), "UNAUTHENTICATED", "LOGIN_FAILED");
  });

  test("if off, answers the right password like any other", async () => {
    const id = await newUser();
    await manually(id);
    expect(outcomeOf(await logIn(door, byId(id)))).toBe("UNAUTHENTICATED LOGIN_FAILED");
  });
});
