// Proves that concurrent wrong passwords are counted correctly, and that a flood of logins is bounded.
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

/** The doors of the first `count` servers, alternating between servers. */
function doorsOf(count: number): Door[] {
  const each = servers.slice(0, count).map(({ url }) => openDoors(url));
  opened.push(...each.flat());
  return each[0]!.flatMap((_, index) => each.map((doors) => doors[index] as Door));
}

/** Outcomes with their counts. */
function count(answers: Answer[]): Record<string, number> {
  const groups = Map.groupBy(answers, outcomeOf);
  return Object.fromEntries([...groups].map(([outcome, all]) => [outcome, all.length]));
}

const COUNTED = ["user.created", ...Array.from({ length: 5 }, () => "user.login_failed"), "user.locked"];

describe.each([
  ["one server", 1],
  ["two servers on one file", 2],
])("200 concurrent wrong passwords at %s", (_what, number) => {
  test.each([1, 2, 3])("count as five, cause one lock, and get the same answer (round %i)", async (round) => {
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
    // The right password arrives while most of the others are in progress.
    const right = fiveAnswered.then(() => Promise.all(doors.map((door) => logIn(door, byId(id)))));

    expect(count(await Promise.all(crowd))).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": TRIES });
    expect(count(await right)).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": doors.length });
    expect(typesOf(readLog(file, id))).toEqual(COUNTED);
    const { user } = (await (doors[0] as Door).call(getUser, { id }, asOwner)).response!;
    expect(user?.lock?.cause).toBe(LockCause.PASSWORD_FAILURES);
  });
});

test("the right password is refused if it follows five wrong ones without waiting for their answers", async () => {
  const door = doorsOf(1).find(({ name }) => name === "gRPC, UserService") as Door;
  for (let round = 0; round < 10; round++) {
    const id = await addUser(door, { id: `sixth-${round}` });
    const passwords = ["a", "b", "c", "d", "e", PASSWORD];
    const answers = await Promise.all(passwords.map((password) => logIn(door, { ...byId(id), password })));
    expect(count(answers)).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": 6 });
    expect(typesOf(readLog(file, id))).toEqual(COUNTED);
  }
});

test("50 concurrent logins with the right password all succeed, even beside four wrong ones", async () => {
  const doors = doorsOf(2);
  const id = await addUser(doors[0] as Door, { id: "popular" });
  const wrong = ["a", "b", "c", "d"].map((password, index) => logIn(doors[index] as Door, { ...byId(id), password }));
  const right = Array.from({ length: 50 }, (_, index) => logIn(doors[index % doors.length] as Door, byId(id)));
  expect(count(await Promise.all(right))).toEqual({ OK: 50 });
  expect(count(await Promise.all(wrong))).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": 4 });
});

describe("a flood of logins of different users", () => {
  const FLOOD = 500;
  /** A hash of this cost takes so long that the queue fills and stays full for a while. */
  const COST = { USERLOCK_ARGON2: "m=65536,t=3,p=1" };
  let server: ServerProcess;
  let doors: Door[] = [];

  beforeAll(async () => {
    server = await startServer(COST);
    doors = openDoors(server.url);
    opened.push(...doors);
  });
  // The waiting hashes would take half a minute.
  afterAll(() => server?.stop("SIGKILL"));

  test("is refused quickly beyond the queue, and does not affect other calls", async () => {
    const door = doors.find(({ name }) => name === "gRPC, UserService") as Door;
    ok(await door.call(createUser, { user: { userId: "other" } }, asOwner));
    const bystander = await bystanderOf(server.url);
    // The flood has a connection for each call, because an HTTP/2 connection limits its concurrent calls.
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
    // The bystander may finish before the whole flood has arrived.
    for (let wait = 0; wait < 50 && refusedAtOnce().length <= FLOOD / 10; wait++) await sleep(100);
    const tooMany = refusedAtOnce();
    expect(tooMany.length).toBeGreaterThan(FLOOD / 10);
    expect(tooMany.length).toBeLessThan(FLOOD / 2);
    expect(tooMany.filter(({ milliseconds }) => milliseconds > 3_000)).toEqual([]);

    await server.stop("SIGKILL");
    await Promise.all(flood);
    const others = new Set(refusals.map(({ outcome }) => outcome));
    others.delete("RESOURCE_EXHAUSTED TOO_MANY_REQUESTS");
    // The rest were answered or ended with the server.
    expect([...others].filter((outcome) => !/^(UNAUTHENTICATED LOGIN_FAILED|cut off)$/.test(outcome))).toEqual([]);
  });
});
