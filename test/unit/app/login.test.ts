// Proves that a login is decided and answered by the state of its user.
import type { HashQueue, Turn } from "../../../src/app/hash-queue.ts";
import { createPolicies } from "../../../src/app/lockout-policies.ts";
import { createLogin, type Login, type LoginAttempt } from "../../../src/app/login.ts";
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import type { LockoutPolicy } from "../../../src/domain/lockout.ts";
import { lockoutSettings, settingsId } from "../../../src/domain/settings.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE, usersIn } from "../../support/servers/app.ts";
import { timeAt } from "../../support/user-story.ts";

const IN = "in";
const FAILED = "LOGIN_FAILED";

let store: EventStore;
let clock: ReturnType<typeof handClock>;
let users: ReturnType<typeof usersIn>;
let login: Login;
/** Passwords that were compared with a hash, and how many comparisons were only pretended. */
let compared: string[];
let pretended: number;
let lastTurn: Turn | undefined;
/** Resolves when a password may be compared. */
let hold: () => Promise<void>;
/** Runs once, while a password is compared. */
let meanwhile: (() => Promise<unknown>) | undefined;

const secrets = createInstanceSecrets(Buffer.alloc(32, 7));

/** A hash is the password after a prefix of four characters. The prefix `old:` marks an outdated hash. */
const hasher: HashQueue = {
  hash: async (password) => `new:${password}`,
  async verify(password, hash, turn) {
    compared.push(password);
    lastTurn = turn;
    await hold();
    const work = meanwhile;
    meanwhile = undefined;
    await work?.();
    return { isRight: hash.slice("new:".length) === password, isOutdated: hash.startsWith("old:") };
  },
  async pretend(_password, turn) {
    pretended++;
    lastTurn = turn;
    await hold();
  },
};

beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
  clock = handClock(timeAt(0));
  users = usersIn(store, clock);
  compared = [];
  pretended = 0;
  hold = async () => {};
  meanwhile = undefined;
  const policies = createPolicies({ store, instanceId: INSTANCE.id });
  login = createLogin({ store, execute: users.execute, policies, hasher, secrets, clock });
  await users.add("ann", "new:right");
});
afterEach(() => store.close());

const setPolicy = (policy: Partial<LockoutPolicy>) =>
  users.execute(
    lockoutSettings,
    {
      id: settingsId(INSTANCE),
      command: { type: "set", owner: INSTANCE, policy },
      permission: "settings.write",
      newOwner: INSTANCE,
    },
    callerOf("operator"),
  );

const setPassword = (hash: string) => users.do("ann", { type: "set_password", hash, changeRequired: false });

const attemptOf = (password: string, more: Partial<LoginAttempt> = {}): LoginAttempt => ({
  organization: undefined,
  user: { id: "ann" },
  password,
  deviceToken: "",
  ...more,
});

/** A token of the device that a successful login makes known. It is valid for 100 s. */
async function newDeviceToken(): Promise<string> {
  const { state } = await login.logIn(attemptOf("right"), callerOf("login page"));
  return secrets.deviceToken("ann", state.devices?.at(-1) as string, timeAt(100));
}

/** "in", or the reason of the refusal. */
const logIn = (password: string, more: Partial<LoginAttempt> = {}) =>
  login.logIn(attemptOf(password, more), callerOf("login page")).then(
    () => IN,
    (error) => error.reason as string,
  );

const eventsOf = async (id: string) => (await users.log(id)).map(({ type }) => type.replace("user.", ""));

/** What happens while Ann's password is compared, and the answer. */
const RACES: [name: string, password: string, work: () => Promise<unknown>, answer: string][] = [
  ["nothing happens", "right", async () => {}, IN],
  ["nothing happens and the password is wrong", "wrong", async () => {}, FAILED],
  ["the user is deleted", "right", () => users.do("ann", { type: "delete" }), FAILED],
  ["the user is locked", "right", () => users.lock("ann"), FAILED],
  ["the user is deactivated", "right", () => users.do("ann", { type: "deactivate" }), FAILED],
  ["the password changes, and the old one was typed", "right", () => setPassword("new:other"), FAILED],
  ["the password changes, and the new one was typed", "other", () => setPassword("new:other"), IN],
  [
    "another login replaces the hash by a stronger one",
    "right",
    () => users.do("ann", { type: "rehash_password", hash: "NEW:right", replaced: "new:right" }),
    IN,
  ],
  [
    "the user is locked and unlocked",
    "right",
    () => users.lock("ann").then(() => users.do("ann", { type: "unlock" })),
    IN,
  ],
  ["the user is patched", "right", () => users.do("ann", { type: "patch", profile: { schemaType: "robot" } }), IN],
];

describe("a login whose password is being compared", () => {
  test.each(RACES)("is decided on the current state when %s (password %j)", async (_, password, work, answer) => {
    meanwhile = work;
    expect(await logIn(password)).toBe(answer);
    expect((await eventsOf("ann")).includes("login_succeeded")).toBe(answer === IN);
  });

  test("succeeds when a concurrent login finds the same outdated hash", async () => {
    const phone = await newDeviceToken();
    await users.do("ann", { type: "rehash_password", hash: "old:right", replaced: "new:right" });
    meanwhile = () => logIn("right", { deviceToken: phone });
    expect(await logIn("right")).toBe(IN);
    expect((await eventsOf("ann")).slice(-3)).toEqual(["login_succeeded", "password_rehashed", "login_succeeded"]);
  });

  test("is counted as wrong even if the hash is replaced at the same time", async () => {
    await setPassword("old:right");
    meanwhile = () => users.do("ann", { type: "rehash_password", hash: "new:right", replaced: "old:right" });
    expect(await logIn("wrong")).toBe(FAILED);
    expect((await eventsOf("ann")).at(-1)).toBe("login_failed");
  });
});

describe("a right password reveals the lock", () => {
  const LOCKED = "USER_LOCKED";

  test("only if the policy allows it", async () => {
    await users.lock("ann");
    expect(await logIn("right")).toBe(FAILED);
    await setPolicy({ revealLock: true });
    expect(await logIn("right")).toBe(LOCKED);
    expect(await logIn("wrong")).toBe(FAILED);
  });

  test("with the remaining time", async () => {
    await setPolicy({ revealLock: true });
    await users.lock("ann", { until: timeAt(60) });
    clock.set(timeAt(20));
    const attempt = { organization: undefined, user: { id: "ann" }, password: "right", deviceToken: "" };
    const refusal = { reason: LOCKED, retryAfter: 40_000_000 };
    await expect(login.logIn(attempt, callerOf("login page"))).rejects.toMatchObject(refusal);
  });

  test("for as many attempts as the policy allows, after which nothing is compared", async () => {
    await setPolicy({ revealLock: true, maxAttempts: 2 });
    await users.lock("ann");
    expect([await logIn("wrong"), await logIn("right"), await logIn("right")]).toEqual([FAILED, LOCKED, FAILED]);
    expect(compared).toEqual(["wrong", "right"]);
  });

  test("but not after other processes have used up the attempts", async () => {
    await setPolicy({ revealLock: true, maxAttempts: 1 });
    await users.lock("ann");
    const other = createLogin({
      store,
      execute: users.execute,
      policies: createPolicies({ store, instanceId: INSTANCE.id }),
      hasher,
      secrets,
      clock,
    });
    const attempt = { organization: undefined, user: { id: "ann" }, password: "wrong", deviceToken: "" };
    meanwhile = () => other.logIn(attempt, callerOf("login page")).catch(() => {});
    expect(await logIn("right")).toBe(FAILED);
  });

  test("but not if the user is inactive", async () => {
    await setPolicy({ revealLock: true });
    await users.lock("ann");
    meanwhile = () => users.do("ann", { type: "deactivate" });
    expect(await logIn("right")).toBe(FAILED);
    expect(await logIn("right")).toBe(FAILED);
  });
});

describe("a login attempt", () => {
  test("among 200 concurrent wrong ones is compared five times at most, and the right password after them is refused", async () => {
    const tries = Array.from({ length: 200 }, (_, index) => logIn(`wrong ${index}`));
    const answers = await Promise.all([...tries, logIn("right")]);
    expect(new Set(answers)).toEqual(new Set([FAILED]));
    expect(compared).toHaveLength(5);
    expect(pretended).toBe(196);
    const events = await eventsOf("ann");
    expect(events.filter((type) => type === "login_failed")).toHaveLength(5);
    expect(events.filter((type) => type === "locked")).toHaveLength(1);
  });

  test("with the right password after four concurrent wrong ones succeeds", async () => {
    const answers = await Promise.all([..."abcd"].map((password) => logIn(password)).concat(logIn("right")));
    expect(answers).toEqual([FAILED, FAILED, FAILED, FAILED, IN]);
  });

  const NOT_COMPARED: [name: string, given: () => Promise<unknown>, more: Partial<LoginAttempt>][] = [
    ["an unknown user", async () => {}, { user: { id: "nobody" } }],
    ["an unknown login name", async () => {}, { user: { loginName: "nobody" } }],
    ["a user of another organization", async () => {}, { organization: "a" }],
    ["a locked user", () => users.lock("ann"), {}],
    ["an inactive user", () => users.do("ann", { type: "deactivate" }), {}],
    ["a deleted user", () => users.do("ann", { type: "delete" }), {}],
    ["a user without a password", () => users.add("bob"), { user: { id: "bob" } }],
  ];

  test.each(NOT_COMPARED)("for %s compares no password, and costs as much", async (_, given, more) => {
    await given();
    expect(await logIn("right", more)).toBe(FAILED);
    expect(compared).toEqual([]);
    expect(pretended).toBe(1);
  });

  test("from a known device is recognised by the token of this user and device only, until the token expires", async () => {
    const own = await newDeviceToken();
    const [device] = own.split(".") as [string];
    for (const password of "abcde") await logIn(password);
    expect(await logIn("right", { deviceToken: secrets.deviceToken("bob", device, timeAt(100)) })).toBe(FAILED);
    expect(await logIn("right", { deviceToken: secrets.deviceToken("ann", "another", timeAt(100)) })).toBe(FAILED);
    expect(await logIn("right", { deviceToken: `${own}x` })).toBe(FAILED);
    clock.set(timeAt(50));
    expect(await logIn("right", { deviceToken: secrets.deviceToken("ann", device, timeAt(50)) })).toBe(FAILED);
    expect(await logIn("right", { deviceToken: own })).toBe(IN);
  });

  test("that must fail costs as much as another, and is not recorded", async () => {
    const before = await eventsOf("ann");
    const failing = login.fail(attemptOf("right"), callerOf("login page"));
    await expect(failing).rejects.toMatchObject({ reason: FAILED });
    expect({ compared, pretended, events: await eventsOf("ann") }).toEqual({
      compared: [],
      pretended: 1,
      events: before,
    });
  });

  test("that only proves the password makes no device known", async () => {
    const self = { id: "ann", organization: undefined };
    const { state } = await login.prove(self, "right", callerOf("ann"));
    expect(state.devices).toBeUndefined();
  });

  test("by a session counts as the session's device, which a lock for strangers does not stop", async () => {
    const [device] = (await newDeviceToken()).split(".") as [string];
    for (const password of "abcde") await logIn(password);
    const prove = (session?: { id: string; epoch: number; device?: string }) => {
      const caller = callerOf("ann");
      const principal = { ...caller.principal, ...(session && { session }) };
      return login.prove({ id: "ann", organization: undefined }, "right", { ...caller, principal }).then(
        () => IN,
        (error) => error.reason as string,
      );
    };
    expect(await prove()).toBe(FAILED);
    expect(await prove({ id: "s1", epoch: 0, device: "another" })).toBe(FAILED);
    expect(await prove({ id: "s1", epoch: 0, device })).toBe(IN);
    expect(lastTurn).toMatchObject({ isKnownDevice: true });
  });
});

describe("the turn of a password in the hash queue", () => {
  test("is keyed by the caller and by the folded name, whether or not the name exists", async () => {
    const username = { id: "n1", name: "Ann@Example.com", organizationSpecific: false };
    await users.do("ann", { type: "add_username", username });
    for (const [name, other] of [
      ["ann@example.com", "ANN@EXAMPLE.COM"],
      ["nobody@example.com", "Nobody@Example.COM"],
    ] as const) {
      await logIn("wrong", { user: { loginName: name } });
      const turn = lastTurn;
      expect(turn).toMatchObject({ caller: "login page", isKnownDevice: false });
      await logIn("wrong too", { user: { loginName: other } });
      expect(lastTurn?.user).toBe(turn?.user);
      expect(turn?.user).toContain(name);
    }
  });

  test("is shared by all known devices of a user, under all of the user's names", async () => {
    await users.do("ann", {
      type: "add_username",
      username: { id: "n1", name: "ann@example.com", organizationSpecific: false },
    });
    const turns = new Set();
    for (const user of [{ id: "ann" }, { loginName: "ann@example.com" }]) {
      await logIn("right", { user, deviceToken: await newDeviceToken() });
      turns.add(lastTurn?.user);
    }
    expect(turns.size).toBe(1);
  });

  test("says whether the device is known", async () => {
    const deviceToken = await newDeviceToken();
    await logIn("right", { deviceToken });
    expect(lastTurn).toMatchObject({ isKnownDevice: true });
    await users.do("ann", { type: "end_sessions" });
    await logIn("right", { deviceToken });
    expect(lastTurn).toMatchObject({ isKnownDevice: false });
  });
});

describe("a caller who proves the password of another user", () => {
  const prove = (id: string, by: string) =>
    login.prove({ id, organization: undefined }, "right", callerOf(by)).then(
      () => IN,
      (error) => `${error.reason}: ${error.message}`,
    );

  test("is refused as for a wrong password, in the same time, and nothing is hashed", async () => {
    const failed = await login
      .prove({ id: "ann", organization: undefined }, "wrong", callerOf("ann"))
      .catch((error) => `${error.reason}: ${error.message}`);
    const before = compared.length;
    const start = performance.now();
    expect(await Promise.all(["ann", "nobody"].map((id) => prove(id, "mallory")))).toEqual([failed, failed]);
    expect(performance.now() - start).toBeGreaterThan(90);
    expect({ compared: compared.length, pretended }).toEqual({ compared: before, pretended: 0 });
    expect(await prove("ann", "ann")).toBe(IN);
  });
});

test.each([
  ["an existing one", "ann@example.com"],
  ["an unknown one", "nobody@example.com"],
])(
  "of 400 concurrent spellings of one login name (%s), 301 are served and the rest are refused",
  async (_what, name) => {
    await users.do("ann", {
      type: "add_username",
      username: { id: "n1", name: "ann@example.com", organizationSpecific: false },
    });
    await setPolicy({ maxAttempts: 0 });
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    hold = () => gate;
    const spelled = (index: number) =>
      [...name].map((letter, at) => ((index >> at) & 1 ? letter.toUpperCase() : letter)).join("");
    const answers = Array.from({ length: 400 }, (_, index) => logIn("wrong", { user: { loginName: spelled(index) } }));
    const refused = new Promise<void>((resolve) => {
      let count = 0;
      for (const answer of answers)
        answer.then((reason) => reason === "TOO_MANY_REQUESTS" && ++count === 99 && resolve());
    });
    await refused;
    open();
    const counts = Object.groupBy(await Promise.all(answers), (reason) => reason);
    expect(counts[FAILED]).toHaveLength(301);
  },
);
