// Proves that wrong passwords that come at once are counted once each, and a flood of them is bounded.
import { setTimeout as sleep } from "node:timers/promises";
import { LockCause, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, byId, logIn, ok, outcomeOf, PASSWORD, readLog, typesOf } from "../../support/logins.ts";
import { bystanderOf } from "../../support/servers/bystander.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { createUser, getUser, lockUser, unlockUser } = UserService.method;

const TRIES = 200;

const folder = temporaryFolder();
const file = folder.file("crowd.db");
let servers: ServerProcess[] = [];
const opened: Door[] = [];

beforeAll(async () => {
  const settings = { USERLOCK_STORE: `sqlite:${file}` };
  servers = await Promise.all([startServer(settings), startServer(settings)]);
});

afterAll(async () => {
  for (const door of opened) door.close();
  for (const server of servers) await server.stop();
  folder.remove();
});

/** The doors of the first servers, those of each in turn. */
function doorsOf(count: number): Door[] {
  const each = servers.slice(0, count).map(({ url }) => openDoors(url));
  opened.push(...each.flat());
  return each[0]!.flatMap((_, index) => each.map((doors) => doors[index] as Door));
}

/** Outcomes with how often each of them came. */
function count(answers: Answer[]): Record<string, number> {
  const groups = Map.groupBy(answers, outcomeOf);
  return Object.fromEntries([...groups].map(([outcome, all]) => [outcome, all.length]));
}

const COUNTED = ["user.created", ...Array.from({ length: 5 }, () => "user.login_failed"), "user.locked"];

describe.each([
  ["one server", 1],
  ["two servers on one file", 2],
])("200 different wrong passwords at once, through %s", (_what, number) => {
  test.each([1, 2, 3])("five are counted, one lock follows, and all are answered alike (%i)", async (round) => {
    const doors = doorsOf(number);
    const id = await addUser(doors[0] as Door, { id: `crowd-${number}-${round}` });
    let fifthAnswer = () => {};
    const fiveAnswered = new Promise<void>((resolve) => {
      let answered = 0;
      fifthAnswer = () => {
        if (++answered === 5) resolve();
      };
    });
    const crowd = Array.from({ length: TRIES }, async (_, index) => {
      const answer = await logIn(doors[index % doors.length] as Door, { ...byId(id), password: `wrong ${index}` });
      fifthAnswer();
      return answer;
    });
    // The right one comes while most of the others are still there.
    const right = fiveAnswered.then(() => Promise.all(doors.map((door) => logIn(door, byId(id)))));

    expect(count(await Promise.all(crowd))).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": TRIES });
    expect(count(await right)).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": doors.length });
    expect(typesOf(readLog(file, id))).toEqual(COUNTED);
    const { user } = (await (doors[0] as Door).call(getUser, { id }, asOwner)).response!;
    expect(user?.lock?.cause).toBe(LockCause.PASSWORD_FAILURES);
  });
});

test("the right password, sent after five wrong ones without waiting for their answers, is refused", async () => {
  const door = doorsOf(1).find(({ name }) => name === "gRPC, UserService") as Door;
  for (let round = 0; round < 10; round++) {
    const id = await addUser(door, { id: `sixth-${round}` });
    const passwords = ["a", "b", "c", "d", "e", PASSWORD];
    const answers = await Promise.all(passwords.map((password) => logIn(door, { ...byId(id), password })));
    expect(count(answers)).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": 6 });
    expect(typesOf(readLog(file, id))).toEqual(COUNTED);
  }
});

test("the right password at once by 50 callers: all are in, also among four wrong ones", async () => {
  const doors = doorsOf(2);
  const id = await addUser(doors[0] as Door, { id: "popular" });
  const wrong = ["a", "b", "c", "d"].map((password, index) => logIn(doors[index] as Door, { ...byId(id), password }));
  const right = Array.from({ length: 50 }, (_, index) => logIn(doors[index % doors.length] as Door, byId(id)));
  expect(count(await Promise.all(right))).toEqual({ OK: 50 });
  expect(count(await Promise.all(wrong))).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": 4 });
});

describe("a flood of logins of different users", () => {
  const FLOOD = 500;
  /** A hash of that cost takes long enough for the queue to fill, and to stay full for a while. */
  const COST = { USERLOCK_ARGON2: "m=65536,t=3,p=1" };
  let server: ServerProcess;
  let doors: Door[] = [];

  beforeAll(async () => {
    server = await startServer(COST);
    doors = openDoors(server.url);
    opened.push(...doors);
  });
  // The hashes that still wait would take half a minute.
  afterAll(() => server?.stop("SIGKILL"));

  test("beyond the queue it is refused quickly, and all other calls are answered as if there were none", async () => {
    const door = doors.find(({ name }) => name === "gRPC, UserService") as Door;
    ok(await door.call(createUser, { user: { userId: "other" } }, asOwner));
    const bystander = await bystanderOf(server.url);
    // A connection of HTTP/2 takes no more calls at once than the server says, so the flood has one for each call.
    const flooded = doors.find(({ name }) => name === "REST") as Door;
    const refusals: { outcome: string; milliseconds: number }[] = [];
    const flood = Array.from({ length: FLOOD }, async (_, index) => {
      const start = performance.now();
      const outcome = await logIn(flooded, byId(`stranger-${index}`)).then(outcomeOf, () => "cut off");
      refusals.push({ outcome, milliseconds: performance.now() - start });
    });
    try {
      await bystander.isServedDuring(async () => {
        const start = performance.now();
        for (let round = 0; round < 20; round++) {
          ok(await door.call(lockUser, { id: "other" }, asOwner));
          ok(await door.call(unlockUser, { id: "other" }, asOwner));
        }
        expect(performance.now() - start).toBeLessThan(5_000);
      });
    } finally {
      bystander.close();
    }
    const refusedAtOnce = () => refusals.filter(({ outcome }) => outcome === "RESOURCE_EXHAUSTED TOO_MANY_REQUESTS");
    // The bystander may be done before the last of the flood has arrived.
    for (let wait = 0; wait < 50 && refusedAtOnce().length <= FLOOD / 10; wait++) await sleep(100);
    const tooMany = refusedAtOnce();
    expect(tooMany.length).toBeGreaterThan(FLOOD / 10);
    expect(tooMany.length).toBeLessThan(FLOOD / 2);
    expect(tooMany.filter(({ milliseconds }) => milliseconds > 3_000)).toEqual([]);

    await server.stop("SIGKILL");
    await Promise.all(flood);
    const others = new Set(refusals.map(({ outcome }) => outcome));
    others.delete("RESOURCE_EXHAUSTED TOO_MANY_REQUESTS");
    // The rest were answered, or cut off with the server.
    expect([...others].filter((outcome) => !/^(UNAUTHENTICATED LOGIN_FAILED|cut off)$/.test(outcome))).toEqual([]);
  });
});
