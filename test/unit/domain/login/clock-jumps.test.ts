// Proves that a clock that jumps neither locks users out nor lets anyone in.
import fc from "fast-check";
import type { Change } from "../../../../src/app/execute.ts";
import { createReceipts } from "../../../../src/app/receipts.ts";
import { createFindSession, createSessions } from "../../../../src/app/sessions.ts";
import { createInstanceSecrets } from "../../../../src/auth/instance-secrets.ts";
import { accessToken } from "../../../../src/domain/token.ts";
import { type UserCommand, user } from "../../../../src/domain/user.ts";
import { lockOf, type User } from "../../../../src/domain/user-state.ts";
import type { EventStore } from "../../../../src/store/port.ts";
import { openSqliteStore } from "../../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE, usersIn } from "../../../support/servers/app.ts";
import {
  command,
  endingInWords,
  lock,
  right,
  type Step,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../../support/user-story.ts";

const DAY = 24 * 3_600;
const YEAR = 366 * DAY;
const SECOND = 1_000_000;
const FAILED = "login_failed";
const IN = "login_succeeded";

/** How many seconds the clock was ahead at the last change of the user. */
const JUMPS: [name: string, ahead: number][] = [
  ["10 seconds", 10],
  ["an hour", 3_600],
  ["a day", DAY],
  ["a year", YEAR],
  ["twenty years", 20 * YEAR],
];

describe.each(JUMPS)("after a clock was %s ahead and is correct again", (_, ahead) => {
  /** Steps from second 100 on, after a change under the wrong clock. */
  const ENDS: [name: string, steps: Step[], expected: string[]][] = [
    ["a lock for a minute lasts a minute", [lock(100, { duration: 60 * SECOND })], ["locked by hand until 160"]],
    ["a lock until a given time ends at that time", [lock(100, { until: timeAt(160) })], ["locked by hand until 160"]],
    [
      "a lock for ten years is within the limit",
      [lock(100, { duration: 3_652 * DAY * SECOND })],
      [`locked by hand until ${100 + 3_652 * DAY}`],
    ],
    ["wrong passwords lock for a minute", wrongs(5, 100), [FAILED, "locked until 164 for strangers"]],
    [
      "the second automatic lock lasts two minutes",
      [...wrongs(5, 100), ...wrongs(5, 200)],
      [FAILED, "locked until 324 for strangers"],
    ],
    ["wrong passwords that are never five in a window do not lock", [...wrongs(4, 100), wrong(1_100)], [FAILED]],
    ["the same wrong password counts once within the window", [wrong(100, "x"), wrong(200, "x")], []],
    ["the same wrong password counts again after the window", [wrong(100, "x"), wrong(1_000, "x")], [FAILED]],
    ["a login succeeds at the end of a lock", [lock(100, { duration: 60 * SECOND }), right(160)], ["expired", IN]],
    ["a login fails before the end of a lock", [lock(100, { duration: 60 * SECOND }), right(159.999_999)], []],
    [
      "the end of a lock is logged",
      [lock(100, { duration: 60 * SECOND }), command(160, { type: "expire_lock" })],
      ["expired"],
    ],
    [
      "a user can be locked again after a lock ended",
      [lock(100, { duration: 60 * SECOND }), lock(160, { duration: SECOND })],
      ["expired", "locked by hand until 161"],
    ],
  ];

  test.each(ENDS)("%s", (_name, steps, expected) => {
    expect(endingInWords([right(ahead), ...steps])).toEqual(expected);
    expect(
      endingInWords([command(ahead, { type: "deactivate" }), command(50, { type: "activate" }), ...steps]),
    ).toEqual(expected);
  });

  test("a lock that ends in the past is refused", () => {
    const refusal = expect.objectContaining({ reason: "INVALID_REQUEST" });
    expect(() => tell([right(ahead), lock(100, { until: timeAt(100) })])).toThrow(refusal);
    expect(() => tell([right(ahead), lock(100, { duration: 0 })])).toThrow(refusal);
  });

  test("a lock for a minute under the wrong clock ends a minute after that clock's time", () => {
    const { state } = tell([lock(ahead, { duration: 60 * SECOND }), command(30, { type: "expire_lock" })]);
    expect(lockOf(state, timeAt(ahead + 60) - 1)).toEqual(state.lock);
    expect(lockOf(state, timeAt(ahead + 60))).toBeUndefined();
    expect(endingInWords([lock(ahead, { duration: 60 * SECOND }), unlock(30)])).toEqual(["unlocked"]);
  });
});

test.each<[name: string, ahead: number, expected: string[]]>([
  ["by less than the window still count", 899, [FAILED, "locked until 165 for strangers"]],
  ["by more than the window are forgotten", 1_100, [FAILED]],
  ["by a year are forgotten", YEAR, [FAILED]],
])("wrong passwords whose times are ahead of the clock %s", (_, ahead, expected) => {
  expect(endingInWords([...wrongs(4, ahead), wrong(105)])).toEqual(expected);
});

/** Actions with the clock's reading in seconds. */
const doings = fc.array(
  fc.record({
    at: fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.constantFrom(DAY, YEAR, 30 * YEAR, 30 * YEAR + 10)),
    does: fc.constantFrom("lock", "unlock", "wrong", "right", "patch", "expire", "off", "on"),
    number: fc.integer({ min: 1, max: 2_000 }),
  }),
  { maxLength: 25 },
);

const COMMANDS: Record<string, (at: number, number: number) => Step> = {
  lock: (at, number) => lock(at, { duration: number * SECOND }),
  unlock: (at) => unlock(at),
  wrong: (at, number) => wrong(at, `wrong ${number}`),
  right: (at) => right(at),
  patch: (at, number) => command(at, { type: "patch", profile: { schemaId: String(number) } }),
  expire: (at) => command(at, { type: "expire_lock" }),
  off: (at) => command(at, { type: "deactivate" }),
  on: (at) => command(at, { type: "activate" }),
};

const steps = doings.map((all) => all.map(({ at, does, number }) => COMMANDS[does]?.(at, number) as Step));

/** The steps that are not refused. A second lock, for example, is. */
function possible(tried: readonly Step[]): Step[] {
  const taken: Step[] = [];
  for (const step of tried) {
    try {
      tell([...taken, step]);
      taken.push(step);
    } catch (error) {
      expect(error).toMatchObject({ kind: "failed_precondition" });
    }
  }
  return taken;
}

describe("after any sequence of clock readings", () => {
  /** A random story after which the user is active and unlocked, with the clock's reading. */
  const stories = fc
    .tuple(steps, fc.integer({ min: 0, max: 2 * YEAR }))
    .map(([tried, now]) => ({ story: possible([...tried, unlock(now), command(now, { type: "activate" })]), now }));

  test("a lock lasts as long as requested, counted from the clock's present reading", () => {
    fc.assert(
      fc.property(stories, fc.integer({ min: 1, max: DAY }), ({ story, now }, length) => {
        for (const end of [{ duration: length * SECOND }, { until: timeAt(now + length) }]) {
          const { state } = tell([...story, lock(now, end)]);
          expect(state.lock?.until).toBe(timeAt(now + length));
          expect(lockOf(state, timeAt(now + length))).toBeUndefined();
        }
      }),
    );
  });

  test("five wrong passwords lock for no longer than the policy allows", () => {
    fc.assert(
      fc.property(stories, ({ story, now }) => {
        const { state } = tell([...story, ...wrongs(5, now)]);
        expect(state.lock?.until).toBeGreaterThanOrEqual(timeAt(now + 60));
        expect(state.lock?.until).toBeLessThanOrEqual(timeAt(now + 4 + 3_600));
      }),
    );
  });

  test("the times of a user's events never decrease", () => {
    fc.assert(
      fc.property(stories, ({ story }) => {
        const times = story.map((_, index) => tell(story.slice(0, index + 1)).changed);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe("in a store whose user has a future change time", () => {
  let store: EventStore;
  let clock: ReturnType<typeof handClock>;
  let users: ReturnType<typeof usersIn>;

  beforeEach(async () => {
    clock = handClock(timeAt(YEAR));
    store = await openSqliteStore(":memory:", "default");
    users = usersIn(store, clock);
    await users.add("ann");
    clock.set(timeAt(0));
  });
  afterEach(() => store.close());

  const patch = (schemaId: string, receipt: Change<UserCommand, User>["receipt"]) =>
    users.execute(
      user,
      { id: "ann", command: { type: "patch", profile: { schemaId } }, permission: "user.write", receipt },
      callerOf("operator"),
    );

  test("a lock is counted from the clock, and its event is no earlier than the previous one", async () => {
    await users.do("ann", { type: "lock", reason: "", note: "", duration: 60 * SECOND });
    const state = (await store.load("user", "ann"))?.state as User;
    expect(state.lock).toMatchObject({ since: timeAt(0), until: timeAt(60) });
    expect((await users.log("ann")).map(({ time }) => time)).toEqual([timeAt(YEAR), timeAt(YEAR)]);
  });

  test("the answer to a repeated call is kept for 24 hours, and the change is made once", async () => {
    const receipts = createReceipts({ store, sealer: createInstanceSecrets(Buffer.alloc(32, 1)), clock })({
      principal: callerOf("operator").principal,
      idempotencyKey: "key",
      method: "PatchUser",
      request: Buffer.from("patch ann"),
    });
    const receipt: Change<UserCommand, User>["receipt"] = { of: () => receipts.of(Buffer.from("patched")) };
    await patch("one", receipt);
    await expect(patch("two", receipt)).rejects.toMatchObject({ reason: "CONCURRENT_CHANGE" });
    expect(Buffer.from((await receipts.find()) ?? []).toString()).toBe("patched");
    clock.set(timeAt(DAY));
    expect(await receipts.find()).toBeUndefined();
  });

  test("other calls do not remove a stored answer before it expires", async () => {
    const receipt = { key: "key", fingerprint: "", answer: Buffer.from("answer"), expires: timeAt(DAY) };
    await store.keep(receipt, timeAt(0));
    await patch("one", { of: () => ({ ...receipt, key: "other" }) });
    expect(await store.loadReceipt("key", timeAt(0))).toMatchObject({ key: "key" });
  });

  test("a session expires by the clock", async () => {
    const sessions = createSessions({ store, execute: users.execute, clock });
    const findSession = createFindSession({ store, clock });
    const owner = (await store.load("user", "ann")) as Parameters<typeof sessions.open>[0];
    await sessions.open(owner, { id: "s1", tokenHash: "hash", lifetime: 60 * SECOND }, callerOf("operator"));
    clock.set(timeAt(60) - 1);
    expect(await findSession("hash")).toBeDefined();
    clock.set(timeAt(60));
    expect(await findSession("hash")).toBeUndefined();
  });

  test("a token must expire in the future by the clock", () => {
    const token = { id: "t1", owner: INSTANCE, subject: "ann", grants: [], hash: "hash" };
    const create = (expires: number) =>
      accessToken.decide(
        undefined,
        { type: "create", token: { ...token, expires } },
        {
          time: clock(),
          actor: { subject: "operator" },
        },
      );
    expect(create(timeAt(1))).toHaveLength(1);
    expect(() => create(timeAt(0))).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
  });
});
