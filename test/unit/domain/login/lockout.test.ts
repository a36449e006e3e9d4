// Proves that wrong passwords are counted, and lock, as the policy says.
import type { LockoutPolicy } from "../../../../src/domain/lockout.ts";
import {
  command,
  endingInWords,
  inWords,
  lock,
  right,
  type Step,
  setPassword,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../../support/user-story.ts";

/** The default policy: 5 wrong passwords within 900 s lock for 60 s, doubling up to 3,600 s. */
type Row = { name: string; policy?: Partial<LockoutPolicy>; given: Step[]; when: Step; expected: string[] };

const FAILED = "login_failed";
const IN = "login_succeeded";
const YEAR = 366 * 24 * 3_600;

/**
 * Locks, each by five wrong passwords, so far apart that each has ended before the next and nothing is in its window.
 */
const locks = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => wrongs(5, from + index * 10_000)).flat();

const WHEN_IT_LOCKS: Row[] = [
  { name: "four wrong passwords do not", given: wrongs(3, 0), when: wrong(3), expected: [FAILED] },
  {
    name: "the fifth does, in the same decision",
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 64 for strangers"],
  },
  {
    name: "the fifth does if the first is within the window still",
    given: [wrong(0), ...wrongs(3, 100)],
    when: wrong(899.999_999),
    expected: [FAILED, "locked until 959.999999 for strangers"],
  },
  {
    name: "not if the first is as old as the window",
    given: [wrong(0), ...wrongs(3, 100)],
    when: wrong(900),
    expected: [FAILED],
  },
  {
    name: "not if they come so slowly that five are never in a window",
    given: Array.from({ length: 50 }, (_, index) => wrong(index * 225)),
    when: wrong(50 * 225),
    expected: [FAILED],
  },
  {
    name: "as many as the policy says",
    policy: { maxAttempts: 1 },
    given: [],
    when: wrong(0),
    expected: [FAILED, "locked until 60 for strangers"],
  },
  {
    name: "for as long as the policy says",
    policy: { lockDuration: 7_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 11 for strangers"],
  },
  {
    name: "for the maximum if that is shorter",
    policy: { maxLockDuration: 7_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 11 for strangers"],
  },
  {
    name: "until somebody unlocks if the maximum is 0",
    policy: { maxLockDuration: 0 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked without end for strangers"],
  },
  {
    name: "in the policy's window",
    policy: { window: 4_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED],
  },
  {
    name: "never if the policy switches it off, be it the hundredth in a row",
    policy: { maxAttempts: 0 },
    given: wrongs(149, 0),
    when: wrong(149),
    expected: [FAILED],
  },
  { name: "the right one among them lets him in", given: wrongs(4, 0), when: right(4), expected: [IN] },
  {
    name: "an inactive user is not locked, for his passwords are not looked at",
    given: [...wrongs(4, 0), command(4, { type: "deactivate" })],
    when: wrong(5),
    expected: [],
  },
  {
    name: "nor is he let in",
    given: [command(0, { type: "deactivate" })],
    when: right(1),
    expected: [],
  },
  {
    name: "nothing follows from a comparison with a password that was replaced meanwhile, if it was right",
    given: [setPassword(0, "another hash")],
    when: { ...right(1), comparedWith: "the hash before" } as Step,
    expected: [],
  },
  {
    name: "or wrong",
    given: [setPassword(0, "another hash"), ...wrongs(4, 1)],
    when: { ...wrong(5), comparedWith: "the hash before" } as Step,
    expected: [],
  },
];

describe("an automatic lock", () => {
  test.each(WHEN_IT_LOCKS)("$name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("is shown with its cause and reason, and with nobody who made it", () => {
    expect(tell(wrongs(5, 0)).state.lock).toEqual({
      cause: "password_failures",
      reason: "password-failures",
      note: "",
      by: "userlock",
      since: timeAt(4),
      until: timeAt(64),
      knownDevicesPass: true,
    });
  });

  test.each([
    [1, 60],
    [2, 120],
    [3, 240],
    [6, 1_920],
    [7, 3_600],
    [8, 3_600],
    [19, 3_600],
  ])("number %p since the last good login lasts %p s", (number, seconds) => {
    expect(endingInWords(locks(number))).toContain(`locked until ${(number - 1) * 10_000 + 4 + seconds} for strangers`);
  });

  test("the hundredth wrong password in a row locks without end, in however many locks", () => {
    expect(endingInWords(locks(20)).at(-1)).toBe("locked without end for all");
  });

  test("and does so if they are in no window together", () => {
    const slow = (count: number) => Array.from({ length: count }, (_, index) => wrong(index * 1_000));
    expect(endingInWords(slow(99))).toEqual([FAILED]);
    expect(endingInWords(slow(100))).toEqual([FAILED, "locked without end for all"]);
  });

  test("without end lasts", () => {
    expect(endingInWords([...locks(20), right(YEAR)])).toEqual([]);
  });
});

describe("what clears the count", () => {
  const CLEARING: [name: string, step: (at: number) => Step][] = [
    ["a good login", right],
    ["another password", setPassword],
  ];

  test.each(CLEARING)("%s: of the wrong passwords in the window", (_, step) => {
    expect(endingInWords([...wrongs(4, 0), step(4), ...wrongs(4, 5)])).toEqual([FAILED]);
  });

  test.each(CLEARING)("%s: of the locks that make the next one longer", (_, step) => {
    expect(endingInWords([...wrongs(5, 0), step(100), ...wrongs(5, 1_000)])).toEqual([
      FAILED,
      "locked until 1064 for strangers",
    ]);
  });

  test.each(CLEARING)("%s: of the wrong passwords in a row", (_, step) => {
    expect(endingInWords([...locks(19), step(200_000), ...locks(1, 300_000)])).toEqual([
      FAILED,
      "locked until 300064 for strangers",
    ]);
  });

  test.each(CLEARING)("%s: of the wrong passwords that are remembered", (_, step) => {
    expect(endingInWords([wrong(0, "a"), step(1), wrong(2, "a")])).toEqual([FAILED]);
  });

  test("an unlock: of all of it", () => {
    const { attempts: _none, ...clean } = tell([]).state;
    expect(tell([...locks(20), unlock(200_000)]).state).toEqual({ ...clean, epoch: 20 });
    expect(endingInWords([...wrongs(5, 0), unlock(5), right(6)])).toEqual([IN]);
    expect(endingInWords([...wrongs(5, 0), unlock(5), ...wrongs(5, 6)])).toEqual([
      FAILED,
      "locked until 70 for strangers",
    ]);
  });

  test("the end of a lock: of the wrong passwords before it, and of nothing that makes the next one longer", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(4, 64)])).toEqual([FAILED]);
    expect(endingInWords([...wrongs(5, 0), ...wrongs(5, 64)])).toEqual([FAILED, "locked until 188 for strangers"]);
  });

  test("a change of the hash alone: of nothing", () => {
    const rehash = command(4, {
      type: "rehash_password",
      hash: "a newer hash",
      replaced: tell([]).state.password!.hash,
    });
    expect(endingInWords([...wrongs(4, 0), rehash, wrong(5)])).toEqual([FAILED, "locked until 65 for strangers"]);
  });

  test("a lock by hand that ends: of nothing", () => {
    const given = [...wrongs(4, 0), lock(4, { duration: 10_000_000 })];
    expect(endingInWords([...given, wrong(14)])).toEqual(["expired", FAILED, "locked until 74 for strangers"]);
  });
});

describe("tries while locked", () => {
  test.each([
    ["a wrong password", wrong(10)],
    ["the same wrong password", wrong(10, "wrong at 0")],
    ["the right password", right(10)],
    ["the right password a microsecond before the end", right(63.999_999)],
  ])("%s changes nothing", (_, when) => {
    const before = tell(wrongs(5, 0)).state;
    const { state, events } = tell([...wrongs(5, 0), when]);
    expect(events).toEqual([]);
    expect(state).toEqual(before);
  });

  test("do not prolong it: at the end the right password lets him in", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(59, 5), right(64)])).toEqual(["expired", IN]);
  });

  test("are not counted when it has ended", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(59, 5), ...wrongs(4, 64)])).toEqual([FAILED]);
  });
});

const THE_SAME: Row[] = [
  { name: "the same at once", given: [wrong(0, "a")], when: wrong(1, "a"), expected: [] },
  {
    name: "the third last",
    given: [wrong(0, "a"), wrong(1, "b"), wrong(2, "c")],
    when: wrong(3, "a"),
    expected: [],
  },
  {
    name: "not the fourth last",
    given: [wrong(0, "a"), wrong(1, "b"), wrong(2, "c"), wrong(3, "d")],
    when: wrong(4, "a"),
    expected: [FAILED, "locked until 64 for strangers"],
  },
  { name: "within the window", given: [wrong(0, "a")], when: wrong(899.999_999, "a"), expected: [] },
  { name: "not after it", given: [wrong(0, "a")], when: wrong(900, "a"), expected: [FAILED] },
  {
    name: "nor after the policy's",
    policy: { window: 10_000_000 },
    given: [wrong(0, "a")],
    when: wrong(10, "a"),
    expected: [FAILED],
  },
  {
    name: "the window runs from when it was counted, not from when it was repeated",
    given: [wrong(0, "a"), wrong(899, "a")],
    when: wrong(900, "a"),
    expected: [FAILED],
  },
  {
    name: "a password that is remembered stays so over a lock",
    given: [...wrongs(4, 0), wrong(4, "a")],
    when: wrong(64, "a"),
    expected: ["expired"],
  },
  { name: "whatever it came from", given: [wrong(0, "a", "phone")], when: wrong(1, "a"), expected: [] },
];

describe("the same wrong password again is not counted", () => {
  test.each(THE_SAME)("$name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("more than once in a window: a forgotten program with an old password does not lock", () => {
    const tries = Array.from({ length: 2_000 }, (_, index) => wrong(index * 10, "the old one"));
    expect(tell(tries).state.lock).toBeUndefined();
  });
});

test("what is remembered of wrong passwords is little, however many there are", () => {
  const many = wrongs(890, 0);
  expect(JSON.stringify(tell(many, { maxAttempts: 0 }).state).length).toBeLessThan(4_000);
  expect(tell(many, { maxAttempts: 0 }).events.map(inWords)).toEqual([FAILED]);
});
