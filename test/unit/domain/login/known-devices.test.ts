// Proves that a lock by strangers does not stop a user's known devices.
import { DEFAULT_POLICY, type LockoutPolicy } from "../../../../src/domain/lockout.ts";
import { user } from "../../../../src/domain/user.ts";
import {
  command,
  endingInWords as ending,
  from,
  HASH,
  KNOWN_DEVICES,
  LAPTOP,
  lock,
  PHONE,
  right,
  type Step,
  setPassword,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../../support/user-story.ts";

/** The user has logged in from a phone and a laptop. Logins from any other device are strangers'. */
const endingInWords = (steps: Step[], policy?: Partial<LockoutPolicy>) => ending([...KNOWN_DEVICES, ...steps], policy);

type Row = { name: string; policy?: Partial<LockoutPolicy>; given: Step[]; when: Step; expected: string[] };

const FAILED = "login_failed";
const IN = "login_succeeded";
const PROBED = "lock_probed";

const BY_STRANGERS = wrongs(5, 0);
const BY_PHONE = wrongs(5, 0, PHONE);

/** Eighty wrong passwords of strangers. Every five of them lock for at most an hour. */
const ENDLESS_FOR_STRANGERS = Array.from({ length: 16 }, (_, lock) => wrongs(5, lock * 4_000)).flat();

const WHO_IS_STOPPED: Row[] = [
  { name: "a strangers' lock stops strangers", given: BY_STRANGERS, when: right(5), expected: [] },
  {
    name: "a strangers' lock does not stop a known device",
    given: BY_STRANGERS,
    when: right(5, PHONE),
    expected: [IN],
  },
  {
    name: "a wrong password of a known device is checked during a strangers' lock",
    given: BY_STRANGERS,
    when: wrong(5, "a", PHONE),
    expected: [FAILED],
  },
  {
    name: "a strangers' lock continues after a known device's successful login",
    given: [...BY_STRANGERS, right(5, PHONE)],
    when: right(6),
    expected: [],
  },
  {
    name: "a strangers' lock without end does not stop a known device",
    policy: { maxLockDuration: 0 },
    given: BY_STRANGERS,
    when: right(1_000_000, PHONE),
    expected: [IN],
  },
  { name: "a known device's lock stops that device", given: BY_PHONE, when: right(5, PHONE), expected: [] },
  { name: "a known device's lock stops every other device", given: BY_PHONE, when: right(5, LAPTOP), expected: [] },
  { name: "a known device's lock stops strangers", given: BY_PHONE, when: right(5), expected: [] },
  {
    name: "a known device's lock stops no device after its end",
    given: BY_PHONE,
    when: right(64, LAPTOP),
    expected: ["expired", IN],
  },
  {
    name: "a known device's lock during a strangers' lock stops the device",
    given: [...BY_STRANGERS, ...wrongs(5, 5, PHONE)],
    when: right(10, PHONE),
    expected: [],
  },
  {
    name: "a known device's lock stops the device until its end during a strangers' lock without end",
    given: [...ENDLESS_FOR_STRANGERS, ...wrongs(5, 1_000_000, PHONE)],
    when: right(1_000_100, PHONE),
    expected: [],
  },
  {
    name: "after a known device's lock, a strangers' lock without end does not stop the device",
    given: [...ENDLESS_FOR_STRANGERS, ...wrongs(5, 1_000_000, PHONE)],
    when: right(1_003_700, PHONE),
    expected: [IN],
  },
  { name: "a manual lock stops every device", given: [lock(0)], when: right(1, PHONE), expected: [] },
  {
    name: "a manual lock that replaces a strangers' lock stops every device",
    given: [...BY_STRANGERS, lock(5)],
    when: right(6, PHONE),
    expected: [],
  },
  {
    name: "an unlock after a strangers' and a manual lock lets a device log in",
    given: [...BY_STRANGERS, lock(5), unlock(6)],
    when: right(7, PHONE),
    expected: [IN],
  },
  {
    name: "a device from before a manual lock is a stranger",
    given: [lock(5), unlock(6), ...wrongs(5, 7)],
    when: right(12, PHONE),
    expected: [],
  },
  {
    name: "a deactivation stops every device",
    given: [...BY_STRANGERS, command(5, { type: "deactivate" })],
    when: right(6, PHONE),
    expected: [],
  },
  {
    name: "with knownDevicesPass off, a strangers' lock stops a known device",
    policy: { knownDevicesPass: false },
    given: BY_STRANGERS,
    when: right(5, PHONE),
    expected: [],
  },
];

const WHOSE_COUNT: Row[] = [
  {
    name: "a known device's wrong passwords are counted apart from strangers'",
    given: [...wrongs(4, 0), ...wrongs(3, 10, PHONE)],
    when: wrong(13, "a", PHONE),
    expected: [FAILED],
  },
  {
    name: "strangers' wrong passwords are counted apart from a known device's",
    given: [...wrongs(4, 0, PHONE), ...wrongs(3, 10)],
    when: wrong(13),
    expected: [FAILED],
  },
  {
    name: "wrong passwords of all known devices are counted together",
    given: [...wrongs(2, 0, PHONE), ...wrongs(2, 10, LAPTOP)],
    when: wrong(13, "a", PHONE),
    expected: [FAILED, "locked until 73 for all"],
  },
  {
    name: "a strangers' lock does not clear a known device's wrong passwords",
    given: [...wrongs(4, 0, PHONE), ...wrongs(5, 10)],
    when: wrong(15, "a", PHONE),
    expected: [FAILED, "locked until 135 for all"],
  },
  {
    name: "five wrong passwords of strangers lock for strangers",
    given: [...wrongs(4, 0, PHONE), ...wrongs(4, 10)],
    when: wrong(14),
    expected: [FAILED, "locked until 74 for strangers"],
  },
  {
    name: "five wrong passwords of a known device lock for all",
    given: [...wrongs(4, 0), ...wrongs(4, 10, PHONE)],
    when: wrong(14, "a", PHONE),
    expected: [FAILED, "locked until 74 for all"],
  },
  {
    name: "five wrong passwords of a known device lock for all during a strangers' lock",
    given: [...BY_STRANGERS, ...wrongs(4, 10, PHONE)],
    when: wrong(14, "a", PHONE),
    expected: [FAILED, "locked until 134 for all"],
  },
  {
    name: "a known device's lock can end before a longer strangers' lock",
    given: [...wrongs(5, 0), ...wrongs(5, 65), right(70, PHONE), ...wrongs(4, 71, PHONE)],
    when: wrong(75, "a", PHONE),
    expected: [FAILED, "locked until 189 for strangers, until 135 for devices"],
  },
  {
    name: "with knownDevicesPass off, all wrong passwords are counted together",
    policy: { knownDevicesPass: false },
    given: [...wrongs(2, 0), ...wrongs(1, 10, PHONE), ...wrongs(1, 20, LAPTOP)],
    when: wrong(30),
    expected: [FAILED, "locked until 90 for strangers"],
  },
  {
    name: "with knownDevicesPass off, a known device's fifth wrong password locks",
    policy: { knownDevicesPass: false },
    given: wrongs(4, 0),
    when: wrong(4, "a", PHONE),
    expected: [FAILED, "locked until 64 for strangers"],
  },
];

describe("a known device", () => {
  test.each(WHO_IS_STOPPED)("passes or is stopped by the rules: $name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test.each(WHOSE_COUNT)("has its own count: $name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  const HOUR = 3_600;
  /** Wrong passwords of strangers, an hour apart, so all locks but the last have ended. */
  const byStrangers = (count: number) => Array.from({ length: count }, (_, index) => wrong(index * HOUR));
  /** Wrong passwords of the phone, an hour apart, after those of strangers. */
  const byPhone = (count: number) =>
    Array.from({ length: count }, (_, index) => wrong((200 + index) * HOUR, undefined, PHONE));

  test("keeps twenty of the hundred wrong passwords in a row to itself, so strangers cannot lock it without end", () => {
    expect(endingInWords(byStrangers(79))).toEqual([FAILED]);
    expect(endingInWords(byStrangers(80))).toEqual([FAILED, "locked without end for strangers"]);
    expect(endingInWords([...byStrangers(80), ...byPhone(19)])).toEqual([FAILED]);
    expect(endingInWords([...byStrangers(80), ...byPhone(19), right(300 * HOUR, PHONE)])).toEqual([IN]);
    expect(endingInWords([...byStrangers(80), ...byPhone(20)])).toEqual([FAILED, "locked without end for all"]);
  });

  test("has no reserved wrong passwords if knownDevicesPass is off or no device is known", () => {
    const FOR_ALL = [FAILED, "locked without end for all"];
    expect(endingInWords(byStrangers(99), { knownDevicesPass: false })).toEqual([FAILED]);
    expect(endingInWords(byStrangers(100), { knownDevicesPass: false })).toEqual(FOR_ALL);
    expect(ending(byStrangers(99))).toEqual([FAILED]);
    expect(ending(byStrangers(100))).toEqual(FOR_ALL);
  });

  test("is locked without end by its own hundred wrong passwords", () => {
    const hundred = Array.from({ length: 20 }, (_, index) => wrongs(5, index * 10_000, PHONE)).flat();
    expect(endingInWords(hundred)).toEqual([FAILED, "locked without end for all"]);
  });

  test("is one of at most twenty, and the one with the oldest login is forgotten first", () => {
    const others = (count: number) => Array.from({ length: count }, (_, index) => from(10 + index, `d${index}`));
    const devicesAfter = (steps: Step[]) => tell([...KNOWN_DEVICES, ...steps]).state.devices;
    expect(devicesAfter(others(18))).toHaveLength(20);
    expect(devicesAfter(others(19))).not.toContain(PHONE);
    expect(devicesAfter([right(5, PHONE), ...others(19)])).toContain(PHONE);
    expect(devicesAfter(others(500))).toHaveLength(20);

    expect(endingInWords([...others(18), ...wrongs(5, 100, PHONE)])).toEqual([FAILED, "locked until 164 for all"]);
    expect(endingInWords([...others(19), ...wrongs(5, 100, PHONE)])).toEqual([
      FAILED,
      "locked until 164 for strangers",
    ]);
    expect(endingInWords([...others(19), ...wrongs(5, 100, PHONE), right(105, PHONE)])).toEqual([]);
  });

  const OWN = { type: "set_password", hash: "another", changeRequired: false } as const;
  const session = { id: "s1", epoch: 0, device: LAPTOP };

  test.each<[what: string, steps: Step[], known: string[] | undefined]>([
    ["no event", [], [PHONE, LAPTOP]],
    ["a manual lock", [lock(1)], undefined],
    ["a manual lock and its unlock", [lock(1), unlock(2)], undefined],
    ["an unlock of a strangers' lock", [...BY_STRANGERS, unlock(5)], [PHONE, LAPTOP]],
    ["a strangers' automatic lock", BY_STRANGERS, [PHONE, LAPTOP]],
    ["a known device's automatic lock", BY_PHONE, [PHONE, LAPTOP]],
    ["a deactivation", [command(1, { type: "deactivate" })], undefined],
    [
      "a deactivation and its activation",
      [command(1, { type: "deactivate" }), command(2, { type: "activate" })],
      undefined,
    ],
    ["a deletion", [command(1, { type: "delete" })], undefined],
    ["a password set by an admin", [setPassword(1)], undefined],
    ["a password set by the user", [command(1, OWN)], undefined],
    ["a password set by a session, which keeps its own device", [command(1, { ...OWN, session })], [LAPTOP]],
    ["a password set by an ended session", [...BY_STRANGERS, unlock(5), command(6, { ...OWN, session })], undefined],
    [
      "a password set by a session of an unknown device",
      [command(1, { ...OWN, session: { ...session, device: "other" } })],
      undefined,
    ],
    [
      "a stronger hash",
      [command(1, { type: "rehash_password", hash: "better", replaced: "hash of the right password" })],
      [PHONE, LAPTOP],
    ],
    ["the end of all sessions", [command(1, { type: "end_sessions" })], undefined],
    ["a stranger's login that makes no device known", [right(1)], [PHONE, LAPTOP]],
    ["a known device's login", [right(1, PHONE)], [LAPTOP, PHONE]],
    ["a login with an invalidated device token", [lock(1), unlock(2), right(3, PHONE)], undefined],
  ])("is known or forgotten after %s", (_what, steps, known) => {
    expect(tell([...KNOWN_DEVICES, ...steps]).state.devices).toEqual(known);
  });
});

const REVEAL = { revealLock: true };
const ON_PROBES: Row[] = [
  {
    name: "no password if the policy does not reveal locks",
    policy: {},
    given: BY_STRANGERS,
    when: right(5),
    expected: [],
  },
  { name: "a right password", given: BY_STRANGERS, when: right(5), expected: [PROBED] },
  { name: "a wrong password", given: BY_STRANGERS, when: wrong(5), expected: [PROBED] },
  { name: "a password under a manual lock", given: [lock(0)], when: right(1), expected: [PROBED] },
  {
    name: "a password from a known device that the lock stops",
    given: [lock(0)],
    when: right(1, PHONE),
    expected: [PROBED],
  },
  {
    name: "a password from a known device that the lock does not stop, which logs in",
    given: BY_STRANGERS,
    when: right(5, PHONE),
    expected: [IN],
  },
  {
    name: "no password of an inactive user",
    given: [lock(0), command(1, { type: "deactivate" })],
    when: right(2),
    expected: [],
  },
  {
    name: "as many passwords as the policy allows attempts",
    given: [...BY_STRANGERS, ...wrongs(4, 5)],
    when: right(9),
    expected: [PROBED],
  },
  {
    name: "no more passwords than the policy allows attempts",
    given: [...BY_STRANGERS, ...wrongs(5, 5)],
    when: right(10),
    expected: [],
  },
  {
    name: "no more passwords after a manual lock replaces the automatic one",
    given: [...BY_STRANGERS, ...wrongs(5, 5), lock(10)],
    when: right(11),
    expected: [],
  },
  {
    name: "one password if the policy never locks",
    policy: { ...REVEAL, maxAttempts: 0 },
    given: [lock(0)],
    when: right(1),
    expected: [PROBED],
  },
  {
    name: "no second password if the policy never locks",
    policy: { ...REVEAL, maxAttempts: 0 },
    given: [lock(0), wrong(1)],
    when: right(2),
    expected: [],
  },
  {
    name: "passwords again under the next lock",
    given: [...BY_STRANGERS, ...wrongs(5, 5), ...wrongs(5, 64)],
    when: right(69),
    expected: [PROBED],
  },
  {
    name: "passwords again after a known device's lock replaces a strangers' lock",
    given: [...BY_STRANGERS, ...wrongs(5, 5), ...wrongs(5, 10, PHONE)],
    when: right(15),
    expected: [PROBED],
  },
  {
    name: "passwords again under a new manual lock after one that ended",
    given: [lock(0, { duration: 10_000_000 }), ...wrongs(5, 1), command(10, { type: "expire_lock" }), lock(11)],
    when: right(12),
    expected: [PROBED],
  },
];

describe("a login of a locked user", () => {
  test.each(ON_PROBES)("checks $name", ({ policy = REVEAL, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("counts wrong passwords in a row, and neither extends the lock nor succeeds", () => {
    const before = tell([...KNOWN_DEVICES, ...BY_STRANGERS], REVEAL).state;
    const { state } = tell([...KNOWN_DEVICES, ...BY_STRANGERS, ...wrongs(3, 5), right(8), right(9)], REVEAL);
    expect(state).toEqual({ ...before, attempts: { ...before.attempts, probes: 5, inARow: 8 } });
  });

  test.each([
    ["eighty if a device is known", KNOWN_DEVICES, 80],
    ["a hundred if no device is known", [], 100],
  ])("checks a limited number of wrong passwords in a row, locked or not: %s", (_, given, most) => {
    const policy = { ...DEFAULT_POLICY, ...REVEAL };
    let looked = 0;
    let state = tell(given, REVEAL).state;
    for (let second = 0; second < 400; second++) {
      const time = timeAt(second * 1_000);
      for (let guess = 0; guess < 20; guess++) {
        const login = { isRight: false, comparedWith: HASH, device: "", mac: `${second} ${guess}`, policy };
        const occasion = { time, actor: { subject: "login page" } };
        const events = user.decide(state, { type: "record_login", login }, occasion);
        looked += events.filter(({ type }) => type === "user.login_failed" || type === "user.lock_probed").length;
        for (const event of events) state = user.evolve(state, event, occasion);
      }
    }
    expect(looked).toBe(most);
  });
});
