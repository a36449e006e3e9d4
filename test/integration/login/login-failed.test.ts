// Proves that failed logins cannot be told apart, neither by answer nor by time.
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { SETTINGS } from "../../../src/config.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { RAW_LOGINS, withoutIdentity } from "../../support/clients/raw-login.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { addUser, asOwner, byId, byName, type Login, logIn, ok, PASSWORD, setPolicy } from "../../support/logins.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { lockUser, deactivateUser, deleteUser } = UserService.method;

/** With the product's cost of hashes and slots of failed logins. */
let server: ServerProcess;
/** Answers as the other does, sooner. */
let quick: ServerProcess;
let doors: Door[] = [];
let quickDoors: Door[] = [];
let door: Door;

const NAMES = openDoors("http://127.0.0.1:1").map((each) => {
  each.close();
  return each.name;
});

/** Everybody who does not get in, and how they are named and what they say. */
const KINDS: Record<string, { id: string; password: string; isRepeated?: true }> = {
  "unknown user": { id: "nobody", password: PASSWORD },
  "wrong password": { id: "active", password: "wrong" },
  "locked, right password": { id: "locked", password: PASSWORD },
  "locked, wrong password": { id: "locked", password: "wrong" },
  "inactive, right password": { id: "inactive", password: PASSWORD },
  "inactive, wrong password": { id: "inactive", password: "wrong" },
  "deleted, right password": { id: "deleted", password: PASSWORD },
  "without a password": { id: "without", password: PASSWORD },
  "repeated, and locked since": { id: "locked", password: PASSWORD, isRepeated: true },
};

/** The call is known by this key from when the login was good. */
const keyOf = (who: Login) => `a login of ${who.user?.case} ${who.user?.value}`;

beforeAll(async () => {
  server = await startServer({ USERLOCK_ARGON2: SETTINGS.USERLOCK_ARGON2.default });
  quick = await startServer({}, QUICK);
  doors = openDoors(server.url);
  quickDoors = openDoors(quick.url);
  door = doors.find(({ name }) => name === "Connect proto, UserService") as Door;
  await fill(door);
  await fill(quickDoors[0] as Door);
});

afterAll(async () => {
  for (const each of [...doors, ...quickDoors]) each.close();
  await server?.stop();
  await quick?.stop();
});

/** Adds everybody to a server that does not lock by itself. */
async function fill(through: Door): Promise<void> {
  await setPolicy(through, { maxAttempts: 0 });
  for (const id of ["active", "locked", "inactive", "deleted"]) await addUser(through, { id, names: [[`${id}@here`]] });
  await addUser(through, { id: "without", password: "", names: [["without@here"]] });
  for (const [, named] of NAMED) {
    const who = named("locked");
    ok(await logIn(through, who, ADMIN_TOKEN, keyOf(who)));
  }
  ok(await through.call(lockUser, { id: "locked" }, asOwner));
  ok(await through.call(deactivateUser, { id: "inactive" }, asOwner));
  ok(await through.call(deleteUser, { id: "deleted" }, asOwner));
}

const NAMED = [
  ["id", byId],
  ["login name", (id: string) => byName(`${id}@here`)],
] as const;

describe.each(NAMED)("by %s", (_how, named) => {
  test.each(NAMES)("over %s: one answer for all", async (name) => {
    const through = quickDoors.find((each) => each.name === name) as Door;
    const answers = await Promise.all(
      Object.values(KINDS).map(({ id, password, isRepeated }) =>
        logIn(through, { ...named(id), password }, ADMIN_TOKEN, isRepeated && keyOf(named(id))),
      ),
    );
    const [first] = answers;
    expect(first).toMatchObject({ code: "UNAUTHENTICATED", reason: "LOGIN_FAILED", detailTypes: ["ErrorInfo"] });
    expect(first?.info?.metadata).toEqual({});
    for (const answer of answers) expect(answer).toEqual(first);
  });
});

test.each(RAW_LOGINS)("over $name: the same to the byte, headers and trailers too", async ({ name, send }) => {
  const answers = await Promise.all(
    Object.values(KINDS)
      .filter(({ isRepeated }) => !isRepeated)
      .map(({ id, password }) => send(quick.url, { ...byId(id), password } as never)),
  );
  const [first, ...others] = answers.map(withoutIdentity);
  const { code, reason } = WIRES.find((wire) => wire.name === name)!.read(answers[0]!);
  expect({ code, reason }).toEqual({ code: "UNAUTHENTICATED", reason: "LOGIN_FAILED" });
  for (const other of others) expect(other).toEqual(first);
});

/** Those that must not be told apart. */
const ALIKE = [
  "unknown user",
  "wrong password",
  "locked, right password",
  "inactive, right password",
  "repeated, and locked since",
];
const rounds = (count: number) => Array.from({ length: count }, (_, round) => round);

/** Milliseconds that each kind took, in rising order; all kinds take turns, so that noise falls on all of them. */
async function measure(through: Door, count: number): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(ALIKE.map((kind) => [kind, []]));
  for (const round of rounds(count)) {
    for (const kind of ALIKE) {
      const { id, password, isRepeated } = KINDS[kind]!;
      // A wrong password that was tried before would not be compared with the hash.
      const said = password === PASSWORD ? password : `${password} ${round}`;
      const start = performance.now();
      const { code } = await logIn(
        through,
        { ...byId(id), password: said },
        ADMIN_TOKEN,
        isRepeated && keyOf(byId(id)),
      );
      times[kind]!.push(performance.now() - start);
      expect(code).toBe("UNAUTHENTICATED");
    }
  }
  for (const all of Object.values(times)) all.sort((a, b) => a - b);
  return times;
}

/** What is below the given share of the kinds' times, each kind's in whole milliseconds, and how far they are apart. */
function compare(times: Record<string, number[]>, share: number) {
  const values = Object.values(times).map((all) => Math.round(all[Math.floor(all.length * share)] as number));
  return { values, apart: Math.max(...values) - Math.min(...values) };
}

test("the time tells nothing: medians and spread of 24 logins of each kind are alike", async () => {
  // A hash that is left out would show by the tens of milliseconds that it takes. They are answered at multiples of
  // 100 ms, so one that is late by a little is late by much; a few of each kind are, on a busy machine.
  const bounds = { 0.1: 10, 0.5: 20, 0.9: 150 };
  const differences = async () => {
    const times = await measure(door, 24);
    return Object.entries(bounds)
      .map(([share, bound]) => ({ share, bound, ...compare(times, Number(share)) }))
      .filter(({ apart, bound }) => apart >= bound);
  };
  // What a kind gives away it gives away each time. Noise of the machine differs from time to time.
  let found = await differences();
  for (let again = 0; found.length > 0 && again < 3; again++) found = await differences();
  expect(found).toEqual([]);
}, 180_000);

test("each of them costs a hash, unknown users too", async () => {
  const costly = await startServer({ USERLOCK_ARGON2: "m=65536,t=3,p=1" }, QUICK);
  const through = openDoors(costly.url);
  try {
    const one = through.find(({ name }) => name === "Connect proto, UserService") as Door;
    await fill(one);
    const hashes: number[] = [];
    for (const id of ["one", "two", "three"]) {
      const start = performance.now();
      await addUser(one, { id });
      hashes.push(performance.now() - start);
    }
    // The least, like the logins' own: on a busy machine any one may take much longer.
    const hashing = Math.min(...hashes);
    const fastest = compare(await measure(one, 3), 0).values;
    expect({ hashing, fastest, isLess: fastest.some((value) => value < hashing / 2) }).toMatchObject({ isLess: false });
  } finally {
    for (const each of through) each.close();
    await costly.stop();
  }
});
