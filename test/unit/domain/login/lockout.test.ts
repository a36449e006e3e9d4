// Proves that wrong passwords are counted and lock as the policy says.
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

/** Under the default policy, 5 wrong passwords within 900 s lock for 60 s, doubling up to 3,600 s. */
type Row = { name: string; policy?: Partial<LockoutPolicy>; given: Step[]; when: Step; expected: string[] };

const FAILED = "login_failed";
const IN = "login_succeeded";
const YEAR = 366 * 24 * 3_600;

/** `count` locks, each by five wrong passwords. Each lock ends and leaves the window before the next one. */
const locks = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => wrongs(5, from + index * 10_000)).flat();

const WHEN_IT_LOCKS: Row[] = [
  { name: "does not follow from four wrong passwords", given: wrongs(3, 0), when: wrong(3), expected: [FAILED] },
  {
    name: "follows from the fifth wrong password in the same decision",
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 64 for strangers"],
  },
  {
    name: "follows from the fifth wrong password if the first is still within the window",
    given: [wrong(0), ...wrongs(3, 100)],
    when: wrong(899.999_999),
    expected: [FAILED, "locked until 959.999999 for strangers"],
  },
  {
    name: "does not follow if the first wrong password is as old as the window",
    given: [wrong(0), ...wrongs(3, 100)],
    when: wrong(900),
    expected: [FAILED],
  },
  {
    name: "does not follow if five wrong passwords are never within a window",
    given: Array.from({ length: 50 }, (_, index) => wrong(index * 225)),
    when: wrong(50 * 225),
    expected: [FAILED],
  },
  {
    name: "follows from as many wrong passwords as the policy says",
    policy: { maxAttempts: 1 },
    given: [],
    when: wrong(0),
    expected: [FAILED, "locked until 60 for strangers"],
  },
  {
    name: "lasts as long as the policy says",
    policy: { lockDuration: 7_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 11 for strangers"],
  },
  {
    name: "lasts no longer than the policy's maximum",
    policy: { maxLockDuration: 7_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked until 11 for strangers"],
  },
  {
    name: "has no end if the policy's maximum is 0",
    policy: { maxLockDuration: 0 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED, "locked without end for strangers"],
  },
  {
    name: "follows within the policy's window only",
    policy: { window: 4_000_000 },
    given: wrongs(4, 0),
    when: wrong(4),
    expected: [FAILED],
  },
  {
    name: "never follows if the policy turns it off, even from the hundredth wrong password in a row",
    policy: { maxAttempts: 0 },
    given: wrongs(149, 0),
    when: wrong(149),
    expected: [FAILED],
  },
  {
    name: "does not precede a login with the right password after four wrong ones",
    given: wrongs(4, 0),
    when: right(4),
    expected: [IN],
  },
  {
    name: "does not follow for an inactive user, whose passwords are not checked",
    given: [...wrongs(4, 0), command(4, { type: "deactivate" })],
    when: wrong(5),
    expected: [],
  },
  {
    name: "does not follow, nor does a login, from an inactive user's right password",
    given: [command(0, { type: "deactivate" })],
    when: right(1),
    expected: [],
  },
  {
    name: "does not follow, nor does a login, from a right password that was replaced during the comparison",
    given: [setPassword(0, "another hash")],
    when: { ...right(1), comparedWith: "the hash before" } as Step,
    expected: [],
  },
  {
    name: "does not follow from a wrong password that was replaced during the comparison",
    given: [setPassword(0, "another hash"), ...wrongs(4, 1)],
    when: { ...wrong(5), comparedWith: "the hash before" } as Step,
    expected: [],
  },
];

describe("an automatic lock", () => {
  test.each(WHEN_IT_LOCKS)("$name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("shows its cause and reason, and the system as its author", () => {
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
  ])("number %p since the last successful login lasts %p s", (number, seconds) => {
    expect(endingInWords(locks(number))).toContain(`locked until ${(number - 1) * 10_000 + 4 + seconds} for strangers`);
  });

  test("has no end after the hundredth wrong password in a row", () => {
    expect(endingInWords(locks(20)).at(-1)).toBe("locked without end for all");
  });

  test("has no end after a hundred wrong passwords that never share a window", () => {
    const slow = (count: number) => Array.from({ length: count }, (_, index) => wrong(index * 1_000));
    expect(endingInWords(slow(99))).toEqual([FAILED]);
    expect(endingInWords(slow(100))).toEqual([FAILED, "locked without end for all"]);
  });

  test("without an end does not expire", () => {
    expect(endingInWords([...locks(20), right(YEAR)])).toEqual([]);
  });
});

describe("the count of wrong passwords", () => {
  const CLEARING: [name: string, step: (at: number) => Step][] = [
    ["a successful login", right],
    ["a password change", setPassword],
  ];

  test.each(CLEARING)("within the window is cleared by %s", (_, step) => {
    expect(endingInWords([...wrongs(4, 0), step(4), ...wrongs(4, 5)])).toEqual([FAILED]);
  });

  test.each(CLEARING)("that lengthens locks is cleared by %s", (_, step) => {
    expect(endingInWords([...wrongs(5, 0), step(100), ...wrongs(5, 1_000)])).toEqual([
      FAILED,
      "locked until 1064 for strangers",
    ]);
  });

  test.each(CLEARING)("in a row is cleared by %s", (_, step) => {
    expect(endingInWords([...locks(19), step(200_000), ...locks(1, 300_000)])).toEqual([
      FAILED,
      "locked until 300064 for strangers",
    ]);
  });

  test.each(CLEARING)("includes a repeated password again after %s", (_, step) => {
    expect(endingInWords([wrong(0, "a"), step(1), wrong(2, "a")])).toEqual([FAILED]);
  });

  test("is cleared completely by an unlock", () => {
    const { attempts: _none, ...clean } = tell([]).state;
    expect(tell([...locks(20), unlock(200_000)]).state).toEqual({ ...clean, epoch: 20 });
    expect(endingInWords([...wrongs(5, 0), unlock(5), right(6)])).toEqual([IN]);
    expect(endingInWords([...wrongs(5, 0), unlock(5), ...wrongs(5, 6)])).toEqual([
      FAILED,
      "locked until 70 for strangers",
    ]);
  });

  test("within the window is cleared by the end of a lock, which does not shorten the next lock", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(4, 64)])).toEqual([FAILED]);
    expect(endingInWords([...wrongs(5, 0), ...wrongs(5, 64)])).toEqual([FAILED, "locked until 188 for strangers"]);
  });

  test("is not changed by a new hash of the same password", () => {
    const rehash = command(4, {
      type: "rehash_password",
      hash: "a newer hash",
      replaced: tell([]).state.password!.hash,
    });
    expect(endingInWords([...wrongs(4, 0), rehash, wrong(5)])).toEqual([FAILED, "locked until 65 for strangers"]);
  });

  test("is not changed by the end of a manual lock", () => {
    const given = [...wrongs(4, 0), lock(4, { duration: 10_000_000 })];
    expect(endingInWords([...given, wrong(14)])).toEqual(["expired", FAILED, "locked until 74 for strangers"]);
  });
});

describe("logins of a locked user", () => {
  test.each([
    ["a wrong password", wrong(10)],
    ["the same wrong password", wrong(10, "wrong at 0")],
    ["the right password", right(10)],
    ["the right password a microsecond before the end", right(63.999_999)],
  ])("change nothing with %s", (_, when) => {
    const before = tell(wrongs(5, 0)).state;
    const { state, events } = tell([...wrongs(5, 0), when]);
    expect(events).toEqual([]);
    expect(state).toEqual(before);
  });

  test("do not extend the lock, and the right password logs in at its end", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(59, 5), right(64)])).toEqual(["expired", IN]);
  });

  test("are not counted after the lock has ended", () => {
    expect(endingInWords([...wrongs(5, 0), ...wrongs(59, 5), ...wrongs(4, 64)])).toEqual([FAILED]);
  });
});

const THE_SAME: Row[] = [
  { name: "if it repeats the last one", given: [wrong(0, "a")], when: wrong(1, "a"), expected: [] },
  {
    name: "if it repeats the third-last one",
    given: [wrong(0, "a"), wrong(1, "b"), wrong(2, "c")],
    when: wrong(3, "a"),
    expected: [],
  },
  {
    name: "but it is if it repeats the fourth-last one",
    given: [wrong(0, "a"), wrong(1, "b"), wrong(2, "c"), wrong(3, "d")],
    when: wrong(4, "a"),
    expected: [FAILED, "locked until 64 for strangers"],
  },
  { name: "if it is repeated within the window", given: [wrong(0, "a")], when: wrong(899.999_999, "a"), expected: [] },
  {
    name: "but it is if it is repeated after the default window",
    given: [wrong(0, "a")],
    when: wrong(900, "a"),
    expected: [FAILED],
  },
  {
    name: "but it is if it is repeated after the policy's window",
    policy: { window: 10_000_000 },
    given: [wrong(0, "a")],
    when: wrong(10, "a"),
    expected: [FAILED],
  },
  {
    name: "but it is if the window since it was counted has passed, despite a repetition in between",
    given: [wrong(0, "a"), wrong(899, "a")],
    when: wrong(900, "a"),
    expected: [FAILED],
  },
  {
    name: "if a lock ended in between",
    given: [...wrongs(4, 0), wrong(4, "a")],
    when: wrong(64, "a"),
    expected: ["expired"],
  },
  { name: "if it comes from another device", given: [wrong(0, "a", "phone")], when: wrong(1, "a"), expected: [] },
];

describe("a repeated wrong password is not counted", () => {
  test.each(THE_SAME)("$name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("more than once in a window, so a program with an old password does not lock", () => {
    const tries = Array.from({ length: 2_000 }, (_, index) => wrong(index * 10, "the old one"));
    expect(tell(tries).state.lock).toBeUndefined();
  });
});

test("the remembered wrong passwords stay below 4,000 characters, however many there are", () => {
  const many = wrongs(890, 0);
  expect(JSON.stringify(tell(many, { maxAttempts: 0 }).state).length).toBeLessThan(4_000);
  expect(tell(many, { maxAttempts: 0 }).events.map(inWords)).toEqual([FAILED]);
});
