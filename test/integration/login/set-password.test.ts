// Proves that passwords are set, imported and replaced.
import { setTimeout as sleep } from "node:timers/promises";
import { hash as argon2Hash } from "@node-rs/argon2";
import { hash as bcryptHash } from "@node-rs/bcrypt";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  dump,
  failLogins,
  inOrganization,
  logIn,
  ok,
  openSession,
  outcomeOf,
  PASSWORD,
  readLog,
  refused,
  typesOf,
} from "../../support/logins.ts";
import {
  ADMIN_TOKEN,
  QUICK,
  type ServerProcess,
  startServer,
  temporaryFolder,
} from "../../support/servers/server-process.ts";

const { createUser, getUser, lockUser, unlockUser, setPassword } = UserService.method;
const { getSession, listSessions, deleteSessions } = SessionService.method;

const folder = temporaryFolder();
const file = folder.file("passwords.db");
let server: ServerProcess;
let doors: Door[] = [];
const tokens: Record<string, string | undefined> = { owner: ADMIN_TOKEN };

/** One door for each kind of encoding. */
const NAMES = ["REST", "Connect JSON, ZITADELUsers", "gRPC-Web text, UserService", "gRPC, ZITADELUsers"];

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` }, QUICK);
  doors = openDoors(server.url);
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.managerOfA = (await make.create("manager-a", ["ORG_USER_MANAGER", "a"])).secret;
  tokens.viewerOfA = (await make.create("viewer-a", ["ORG_VIEWER", "a"])).secret;
  tokens.viewer = (await make.create("viewer", ["INSTANCE_VIEWER"])).secret;
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
  folder.remove();
});

let users = 0;
const newUser = (door: Door, organization?: string) =>
  addUser(door, { id: `user-${++users}`, ...(organization !== undefined && { organization }) });

const plain = (value: string, current?: string, changeRequired = false) => ({
  type: { case: "password" as const, value },
  changeRequired,
  ...(current !== undefined && { verification: { case: "currentPassword" as const, value: current } }),
});
const hashed = (value: string) => ({ type: { case: "hash" as const, value } });
const NEW = "another password";

/** Hashes of "p" made by other programs. */
const IMPORTS: [kind: string, hash: string][] = [
  [
    "argon2id with another cost",
    "$argon2id$v=19$m=64,t=2,p=2$igHivy/cjM6PIDzauE+j0Q$fmvE1skNpwPIrLgjFRGT+u8vhTvFcOHP81xVjNgUQdI",
  ],
  ["argon2i", "$argon2i$v=19$m=64,t=1,p=1$dWYd4GqmI1vwotaxN5KOIw$J8gOLdCQ35xjwab5iIqkVDwEPo6cmIgA8sYFK7DjxlI"],
  ["bcrypt", "$2y$04$iJUStS07YUKyAM1FuG4XIeG1AzohZR0WHC5sp9UHt3QcZNuRpSumC"],
];

const BAD_HASHES: [what: string, hash: string][] = [
  ["of an unknown algorithm", "$6$saltsalt$hash"],
  ["of argon2d", "$argon2d$v=19$m=64,t=1,p=1$dWYd4GqmI1vwotaxN5KOIw$J8gOLdCQ35xjwab5iIqkVDwEPo6cmIgA8sYFK7DjxlI"],
  ["that needs 4 GiB", IMPORTS[1]![1].replace("m=64", "m=4194304")],
  ["that needs hours", IMPORTS[2]![1].replace("$04", "$31")],
  ["that argon2 cannot check", IMPORTS[1]![1].replace("m=64", "m=1")],
];

/** Callers who set the password of a user of organization a without the current one, with the outcomes. */
const ADMINS: [who: string, token: string | undefined, request: object, outcome: string][] = [
  ["a caller with user.write", "owner", {}, "OK"],
  ["a caller with user.write on the organization", "managerOfA", inOrganization("a"), "OK"],
  ["a caller without a token", undefined, {}, "UNAUTHENTICATED TOKEN_MISSING"],
  ["a caller with user.read", "viewerOfA", {}, "PERMISSION_DENIED PERMISSION_MISSING"],
  ["an organization outside the grants", "managerOfA", inOrganization("b"), "PERMISSION_DENIED PERMISSION_MISSING"],
  ["an organization that the user is not in", "owner", inOrganization("b"), "NOT_FOUND USER_NOT_FOUND"],
  ["an unknown user", "owner", { id: "nobody" }, "NOT_FOUND USER_NOT_FOUND"],
  ["an empty id", "owner", { id: "" }, "INVALID_ARGUMENT INVALID_REQUEST"],
  ["no password", "owner", { newPassword: {} }, "INVALID_ARGUMENT INVALID_REQUEST"],
  ["an empty password", "owner", { newPassword: plain("") }, "INVALID_ARGUMENT INVALID_REQUEST"],
  [
    "a password of 1001 characters",
    "owner",
    { newPassword: plain("x".repeat(1_001)) },
    "INVALID_ARGUMENT INVALID_REQUEST",
  ],
  ["another user's current password", "owner", { newPassword: plain(NEW, PASSWORD) }, "UNAUTHENTICATED LOGIN_FAILED"],
  [
    "a verification code",
    "owner",
    { newPassword: { ...plain(NEW), verification: { case: "verificationCode", value: "123" } } },
    "UNIMPLEMENTED NOT_SERVED",
  ],
];

describe.each(NAMES)("over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });
  const isRight = async (id: string, password: string) =>
    outcomeOf(await logIn(door, { ...byId(id), password })) === "OK";

  test("CreateUser sets a password, and GetUser shows the time", async () => {
    const id = `created-${NAMES.indexOf(name)}`;
    const authenticators = { password: plain(NEW, undefined, true) };
    ok(await door.call(createUser, { user: { userId: id, authenticators } }, asOwner));
    const { user } = (await door.call(getUser, { id }, asOwner)).response!;
    expect(user?.authenticators?.password?.lastChanged).toEqual(user?.details?.created);
    expect(await isRight(id, PASSWORD)).toBe(false);
    const { response } = await logIn(door, { ...byId(id), password: NEW });
    expect(response?.changeRequired).toBe(true);
    ok(await door.call(setPassword, { id, newPassword: plain(PASSWORD) }, asOwner));
    expect((await logIn(door, byId(id))).response?.changeRequired).toBe(false);
  });

  test.each(ADMINS)("SetPassword gives the expected answer for %s", async (_who, token, request, outcome) => {
    const id = await newUser(door, "a");
    const wanted = { id, newPassword: plain(NEW), ...request };
    const answer = await door.call(setPassword, wanted as never, { token: token && tokens[token] });
    expect(outcomeOf(answer)).toBe(outcome);
    expect(await isRight(id, NEW)).toBe(outcome === "OK");
    expect(await isRight(id, PASSWORD)).toBe(outcome !== "OK");
    const { user } = (await door.call(getUser, { id }, asOwner)).response!;
    if (outcome === "OK") {
      expect(answer.response?.details?.id).toBe(id);
      expect(user?.authenticators?.password?.lastChanged).toEqual(answer.response?.details?.changed);
    } else expect(user?.authenticators?.password?.lastChanged).toEqual(user?.details?.created);
  });

  test.each(IMPORTS)(
    "an imported hash of %s is checked, and replaced at the next successful login",
    async (_kind, hash) => {
      const id = await newUser(door);
      ok(await door.call(setPassword, { id, newPassword: hashed(hash) }, asOwner));
      expect(await isRight(id, "q")).toBe(false);
      expect(JSON.stringify(dump(file))).toContain(hash);
      expect(await isRight(id, "p")).toBe(true);
      expect(JSON.stringify(dump(file))).not.toContain(hash);
      expect(await isRight(id, "p")).toBe(true);
      expect(typesOf(readLog(file, id)).slice(2)).toEqual([
        "user.login_failed",
        "user.login_succeeded",
        "user.password_rehashed",
        "user.login_succeeded",
      ]);
    },
  );

  test("a password with U+0000 is refused in every request", async () => {
    const id = await newUser(door);
    const { sessionToken: token } = await openSession(door, id);
    const zero = `${PASSWORD}\0${PASSWORD}`;
    const user = { userId: `${id}-zero`, authenticators: { password: plain(zero) } };
    const answers = [
      await door.call(createUser, { user }, asOwner),
      await door.call(setPassword, { id, newPassword: plain(zero) }, asOwner),
      await door.call(setPassword, { id, newPassword: plain(NEW, zero) }, { token }),
      ...(await Promise.all([id, "nobody"].map((who) => logIn(door, { ...byId(who), password: zero })))),
    ];
    for (const answer of answers) refused(answer, "INVALID_ARGUMENT", "INVALID_REQUEST");
    expect(await isRight(id, PASSWORD)).toBe(true);
  });

  test("a password matches in NFC and NFD, and an imported hash of its NFD is replaced", async () => {
    const [nfc, nfd] = ["p\u00e4ssw\u00f6rd", "pa\u0308sswo\u0308rd"];
    const id = await newUser(door);
    ok(await door.call(setPassword, { id, newPassword: plain(nfd) }, asOwner));
    for (const typed of [nfc, nfd]) expect(await isRight(id, typed)).toBe(true);
    const imported = await argon2Hash(nfd, { memoryCost: 64, timeCost: 1, parallelism: 1 });
    ok(await door.call(setPassword, { id, newPassword: hashed(imported) }, asOwner));
    for (const [typed, right] of [
      [nfc, false],
      [nfd, true],
      [nfc, true],
      [nfd, true],
    ] as const) {
      expect([typed, await isRight(id, typed)]).toEqual([typed, right]);
    }
  });

  test("a login with the first 72 bytes of an imported bcrypt password does not change the password", async () => {
    const password = `${"x".repeat(72)}and more`;
    const id = await newUser(door);
    ok(await door.call(setPassword, { id, newPassword: hashed(await bcryptHash(password, 4)) }, asOwner));
    for (const typed of [password.slice(0, 72), password]) expect(await isRight(id, typed)).toBe(true);
    expect(typesOf(readLog(file, id))).not.toContain("user.password_rehashed");
  });

  test.each(BAD_HASHES)("an imported hash %s is refused", async (_what, hash) => {
    const id = await newUser(door);
    const set = await door.call(setPassword, { id, newPassword: hashed(hash) }, asOwner);
    refused(set, "INVALID_ARGUMENT", "INVALID_REQUEST");
    const user = { userId: `${id}-2`, authenticators: { password: hashed(hash) } };
    refused(await door.call(createUser, { user }, asOwner), "INVALID_ARGUMENT", "INVALID_REQUEST");
    expect(await isRight(id, PASSWORD)).toBe(true);
  });

  describe("SetPassword by the user", () => {
    test("with the current password keeps the calling session open and ends all others", async () => {
      const id = await newUser(door);
      const [before, own, after] = [
        await openSession(door, id),
        await openSession(door, id),
        await openSession(door, id),
      ];
      const isOpen = async ({ sessionId }: { sessionId: string }) =>
        (await door.call(getSession, { sessionId }, asOwner)).code === "OK";
      const setOwn = async (from: string, to: string) =>
        ok(await door.call(setPassword, { id, newPassword: plain(to, from) }, { token: own.sessionToken }));
      const list = async () =>
        (await door.call(listSessions, { id }, asOwner)).response?.result.map(({ details }) => details?.id);

      await setOwn(PASSWORD, NEW);
      expect([await isOpen(before), await isOpen(own), await isOpen(after)]).toEqual([false, true, false]);
      expect(await list()).toEqual([own.sessionId]);
      expect(await isRight(id, NEW)).toBe(true);
      expect(await isRight(id, PASSWORD)).toBe(false);

      const next = await openSession(door, id, { password: NEW });
      await setOwn(NEW, PASSWORD);
      expect([await isOpen(own), await isOpen(next)]).toEqual([true, false]);
      ok(await door.call(deleteSessions, { id }, asOwner));
      expect(await isOpen(own)).toBe(false);
    });

    test("keeps the calling session's device known and forgets all others", async () => {
      const id = await newUser(door);
      const [other, own] = [await openSession(door, id), await openSession(door, id)];
      const { sessionToken: token } = own;
      ok(await door.call(setPassword, { id, newPassword: plain(NEW, PASSWORD) }, { token }));
      await failLogins(door, id, 5, { deviceToken: other.deviceToken });
      const isIn = async (deviceToken: string) =>
        (await logIn(door, { ...byId(id), password: NEW, deviceToken })).code === "OK";
      expect([await isIn(other.deviceToken), await isIn(own.deviceToken)]).toEqual([false, true]);
    });

    test("with an access token ends all sessions", async () => {
      const id = await newUser(door);
      const { sessionId } = await openSession(door, id);
      const { secret: token } = await tokenMaker(server.url, ADMIN_TOKEN).create(id, ["INSTANCE_VIEWER"]);
      ok(await door.call(setPassword, { id, newPassword: plain(NEW, PASSWORD) }, { token }));
      refused(await door.call(getSession, { sessionId }, asOwner), "NOT_FOUND", "SESSION_NOT_FOUND");
    });

    test("is refused without the current password, for another user, and outside the user's organization", async () => {
      const [id, other] = [await newUser(door, "a"), await newUser(door)];
      const asUser = { token: (await openSession(door, id)).sessionToken };
      const set = async (request: object) =>
        outcomeOf(await door.call(setPassword, { id, newPassword: plain(NEW, PASSWORD), ...request }, asUser));
      expect(await set({ newPassword: plain(NEW) })).toBe("PERMISSION_DENIED PERMISSION_MISSING");
      expect(await set({ id: other })).toBe("UNAUTHENTICATED LOGIN_FAILED");
      expect(await set(inOrganization("b"))).toBe("UNAUTHENTICATED LOGIN_FAILED");
      for (const each of [id, other]) expect(await isRight(each, PASSWORD)).toBe(true);
      expect(await set(inOrganization("a"))).toBe("OK");
    });

    test("counts wrong current passwords like others, and the fifth locks", async () => {
      const id = await newUser(door);
      const asUser = { token: (await openSession(door, id)).sessionToken };
      const set = async (current: string) =>
        outcomeOf(await door.call(setPassword, { id, newPassword: plain(NEW, current) }, asUser));
      for (const current of ["a", "b", "c", "d", "e"]) expect(await set(current)).toBe("UNAUTHENTICATED LOGIN_FAILED");
      expect(await set(PASSWORD)).toBe("UNAUTHENTICATED TOKEN_INVALID");
      expect(typesOf(readLog(file, id)).slice(-6)).toEqual([
        ...Array.from({ length: 5 }, () => "user.login_failed"),
        "user.locked",
      ]);
    });
  });
});

test("a locked user stays locked when an admin sets the password", async () => {
  const [door] = doors as [Door];
  const id = await newUser(door);
  ok(await door.call(lockUser, { id }, asOwner));
  ok(await door.call(setPassword, { id, newPassword: plain(NEW) }, asOwner));
  refused(await logIn(door, { ...byId(id), password: NEW }), "UNAUTHENTICATED", "LOGIN_FAILED");
  expect((await door.call(getUser, { id }, asOwner)).response?.user?.lock).toBeDefined();
});

describe("SetPassword by the user, overtaken between the check and the change", () => {
  const slowFile = folder.file("slow.db");
  let slow: ServerProcess;
  let slowDoors: Door[] = [];

  beforeAll(async () => {
    slow = await startServer({ USERLOCK_ARGON2: "m=131072,t=4,p=1", USERLOCK_STORE: `sqlite:${slowFile}` });
    slowDoors = openDoors(slow.url);
  });
  afterAll(async () => {
    for (const door of slowDoors) door.close();
    await slow?.stop();
  });

  test.each<[by: string, overtake: (door: Door, id: string) => Promise<unknown>, password: string]>([
    [
      "a password set by an admin",
      async (door, id) => ok(await door.call(setPassword, { id, newPassword: hashed(IMPORTS[2]![1]) }, asOwner)),
      "p",
    ],
    [
      "a lock and an unlock",
      async (door, id) => {
        ok(await door.call(lockUser, { id }, asOwner));
        ok(await door.call(unlockUser, { id }, asOwner));
      },
      PASSWORD,
    ],
  ])("by %s changes nothing", async (by, overtake, password) => {
    const door = slowDoors.find(({ name }) => name === "Connect proto, UserService") as Door;
    const id = await addUser(door, { id: by.replaceAll(/\W/g, "-") });
    const { sessionToken: token } = await openSession(door, id);
    const goodLogins = () => typesOf(readLog(slowFile, id)).filter((type) => type === "user.login_succeeded").length;

    const change = door.call(setPassword, { id, newPassword: plain(NEW, PASSWORD) }, { token });
    // The current password is checked, and the new one is being hashed.
    while (goodLogins() < 2) await sleep(5);
    await overtake(door, id);
    refused(await change, "UNAUTHENTICATED", "LOGIN_FAILED");
    ok(await logIn(door, { ...byId(id), password }));
  });

  test("a session that tries to set 450 other users' passwords costs no hash, and does not delay logins", async () => {
    const door = slowDoors.find(({ name }) => name === "Connect proto, UserService") as Door;
    const own = await addUser(door, { id: "mallory" });
    const victim = await addUser(door, { id: "victim" });
    const { sessionToken: token } = await openSession(door, own);
    const guess = async (id: string) => {
      const start = performance.now();
      const outcome = outcomeOf(await door.call(setPassword, { id, newPassword: plain(NEW, "guess") }, { token }));
      return { outcome, milliseconds: performance.now() - start };
    };
    const failed = await guess(own);
    const guesses = Array.from({ length: 450 }, (_, index) => guess(index === 0 ? victim : `nobody-${index}`));
    ok(await logIn(door, byId(victim)));
    const answers = await Promise.all(guesses);
    expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set([failed.outcome]));
    expect(Math.min(...answers.map(({ milliseconds }) => milliseconds))).toBeGreaterThan(failed.milliseconds / 2);
    expect(Math.max(...answers.map(({ milliseconds }) => milliseconds))).toBeLessThan(20_000);
  });
});
