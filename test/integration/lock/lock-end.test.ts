// Proves that locks with an end are over on time, and that the log has each end once.
import { setTimeout as sleep } from "node:timers/promises";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  failLogins,
  logIn,
  ok,
  readLog,
  refused,
  seconds,
  setPolicy,
  typesOf,
  waitUntil,
} from "../../support/logins.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { createUser, getUser, lockUser, unlockUser } = UserService.method;

const folder = temporaryFolder();
const file = folder.file("ends.db");
const SETTINGS = { USERLOCK_STORE: `sqlite:${file}` };
const servers: ServerProcess[] = [];
const opened: Door[] = [];
let doors: Door[] = [];
let door: Door;

async function startAnother(): Promise<{ server: ServerProcess; doors: Door[] }> {
  const server = await startServer(SETTINGS);
  servers.push(server);
  const doors = openDoors(server.url);
  opened.push(...doors);
  return { server, doors };
}

beforeAll(async () => {
  ({ doors } = await startAnother());
  door = doors.find(({ name }) => name === "gRPC, UserService") as Door;
});

afterAll(async () => {
  for (const each of opened) each.close();
  for (const server of servers) await server.stop();
  folder.remove();
});

let users = 0;
const newUser = () => addUser(door, { id: `user-${++users}` });
const until = (milliseconds: number) => ({
  end: { case: "until" as const, value: timestampFromMs(Date.now() + milliseconds) },
});
const lasting = (whole: number) => ({ end: { case: "duration" as const, value: seconds(whole) } });
const userOf = async (id: string) => (await door.call(getUser, { id }, asOwner)).response!.user!;
const unlocks = (id: string) => readLog(file, id).filter(({ type }) => type === "user.unlocked");

/** Waits for the events that end the user's lock. */
async function endsOf(id: string, from: number): Promise<ReturnType<typeof unlocks>> {
  for (;;) {
    const found = unlocks(id);
    if (found.length > 0 || Date.now() > from + LATEST_MS) return found;
    await sleep(20);
  }
}

/** The log usually has a lock's end within a second, and on a busy machine within this many milliseconds. */
const LATEST_MS = 10_000;
const micros = (time: Timestamp | undefined) => Number(time?.seconds) * 1e6 + Number(time?.nanos) / 1e3;

test.each<[what: string, end: () => object]>([
  ["until", () => until(2_000)],
  ["duration", () => lasting(2)],
])("a lock with `%s` shows its end, and the log has its end once", async (_what, end) => {
  const id = await newUser();
  const before = Date.now();
  ok(await door.call(lockUser, { id, ...end() }, asOwner));
  const { lock } = await userOf(id);
  expect(Math.abs(timestampMs(lock!.until!) - before - 2_000)).toBeLessThan(1_000);

  await waitUntil(lock?.until);
  const shown = await userOf(id);
  expect(shown).toMatchObject({ state: State.USER_STATE_ACTIVE });
  expect(shown.lock).toBeUndefined();
  const [event] = await endsOf(id, timestampMs(lock!.until!));
  expect(event).toMatchObject({ data: { cause: "expired" }, actor: { subject: "userlock" } });
  expect(event!.time).toBeGreaterThanOrEqual(micros(lock?.until));
  expect(event!.time).toBeLessThan(micros(lock?.until) + LATEST_MS * 1e3);
  expect(micros((await userOf(id)).details?.changed)).toBe(event!.time);
  await sleep(600);
  expect(typesOf(readLog(file, id))).toEqual(["user.created", "user.locked", "user.unlocked"]);
});

test("the right password is refused until the lock's end and accepted from then on", async () => {
  const id = await newUser();
  const end = until(2_000);
  ok(await door.call(lockUser, { id, ...end }, asOwner));
  const endMs = timestampMs(end.end.value);
  const tries: { from: number; to: number; code: string }[] = [];
  do {
    const from = Date.now();
    const { code } = await logIn(door, byId(id));
    tries.push({ from, to: Date.now(), code });
  } while (tries.at(-1)!.from <= endMs);
  // The clocks of two processes may round differently.
  expect(tries.filter(({ to, code }) => to < endMs - 1 && code === "OK")).toEqual([]);
  expect(tries.filter(({ from, code }) => from > endMs + 1 && code !== "OK")).toEqual([]);
  expect(tries[0]?.code).toBe("UNAUTHENTICATED");
});

test("an ended lock does not exist for UnlockUser and LockUser", async () => {
  const [one, two] = [await newUser(), await newUser()];
  const end = until(800);
  for (const id of [one, two]) ok(await door.call(lockUser, { id, ...end }, asOwner));
  refused(await door.call(lockUser, { id: two }, asOwner), "FAILED_PRECONDITION", "USER_ALREADY_LOCKED");
  await waitUntil(end.end.value);
  refused(await door.call(unlockUser, { id: one }, asOwner), "FAILED_PRECONDITION", "USER_NOT_LOCKED");
  ok(await door.call(lockUser, { id: two }, asOwner));
  expect(typesOf(readLog(file, two))).toEqual(["user.created", "user.locked", "user.unlocked", "user.locked"]);
});

test("an unlock, or a manual lock without an end after an automatic one, cancels the end", async () => {
  const organization = "short";
  await setPolicy(door, { maxAttempts: 1, lockDuration: seconds(1) }, organization);
  const unlocked = await newUser();
  ok(await door.call(lockUser, { id: unlocked, ...lasting(1) }, asOwner));
  ok(await door.call(unlockUser, { id: unlocked }, asOwner));
  const locked = await addUser(door, { id: "locked-for-good", organization });
  await failLogins(door, locked, 1);
  ok(await door.call(lockUser, { id: locked }, asOwner));
  await sleep(1_800);
  expect(unlocks(unlocked).map(({ data }) => data)).toEqual([{ cause: "manual" }]);
  expect(unlocks(locked)).toEqual([]);
  expect((await userOf(locked)).state).toBe(State.USER_STATE_LOCKED);
});

describe("LockUser refuses an end", () => {
  const YEAR = 366 * 24 * 3_600;
  const INVALID: [what: string, end: object][] = [
    ["in the past", until(-1)],
    ["at the Unix epoch", { end: { case: "until", value: seconds(0) } }],
    ["after more than 10 years", lasting(10 * YEAR + 60)],
    ["after a duration of zero", lasting(0)],
    ["after a negative duration", lasting(-1)],
  ];
  test.each(INVALID)("%s", async (_what, end) => {
    const id = await newUser();
    for (const through of doors) {
      refused(await through.call(lockUser, { id, ...end }, asOwner), "INVALID_ARGUMENT", "INVALID_REQUEST");
    }
    expect((await userOf(id)).lock).toBeUndefined();
  });

  test("with both a time and a duration", async () => {
    const id = await newUser();
    const response = await fetch(`${servers[0]!.url}/resources/v3alpha/users/${id}/_lock`, {
      method: "POST",
      headers: { authorization: `Bearer ${asOwner.token}`, "content-type": "application/json" },
      body: JSON.stringify({ until: new Date(Date.now() + 60_000).toISOString(), duration: "60s" }),
    });
    expect(response.status).toBe(400);
    expect((await userOf(id)).lock).toBeUndefined();
  });

  test("only beyond 10 years", async () => {
    const id = await newUser();
    ok(await door.call(lockUser, { id, ...lasting(10 * 365 * 24 * 3_600) }, asOwner));
    expect((await userOf(id)).lock?.until).toBeDefined();
  });
});

test("two servers on one file log each of 30 simultaneous ends once", async () => {
  const other = await startAnother();
  const ids = Array.from({ length: 30 }, (_, index) => `twin-${index}`);
  const make = async (id: string) => ok(await door.call(createUser, { user: { userId: id } }, asOwner));
  await Promise.all(ids.map(make));
  const end = until(3_000);
  const both = [door, other.doors[0] as Door];
  await Promise.all(
    ids.map(async (id, index) => ok(await (both[index % 2] as Door).call(lockUser, { id, ...end }, asOwner))),
  );
  await waitUntil(end.end.value);
  for (const id of ids) await endsOf(id, timestampMs(end.end.value));
  // Time for the other server to log the ends again.
  await sleep(1_200);
  const endMicros = micros(end.end.value);
  for (const id of ids) {
    const [event, ...more] = unlocks(id);
    expect(more).toEqual([]);
    expect(event?.data).toEqual({ cause: "expired" });
    expect(event!.time - endMicros).toBeGreaterThanOrEqual(0);
    expect(event!.time - endMicros).toBeLessThan(LATEST_MS * 1e3);
  }
  await other.server.stop();
});

test("a lock that ended while the server was down is logged as ended after its start", async () => {
  const id = await newUser();
  const end = until(2_000);
  ok(await door.call(lockUser, { id, ...end }, asOwner));
  await servers[0]!.stop("SIGKILL");
  await waitUntil(end.end.value);
  expect(unlocks(id)).toEqual([]);

  const { doors: later } = await startAnother();
  const started = Date.now();
  const [event] = await endsOf(id, started);
  expect(event).toMatchObject({ data: { cause: "expired" }, actor: { subject: "userlock" } });
  expect(event!.time / 1e3).toBeLessThan(started + LATEST_MS);
  ok(await logIn(later[0] as Door, byId(id)));
  expect(unlocks(id)).toHaveLength(1);
});
