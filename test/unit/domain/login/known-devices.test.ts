// Proves that devices that a user has logged in from are told from strangers.
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

/** The user has logged in from a phone and a laptop; whatever comes from no known device is a stranger's. */
const endingInWords = (steps: Step[], policy?: Partial<LockoutPolicy>) => ending([...KNOWN_DEVICES, ...steps], policy);

type Row = { name: string; policy?: Partial<LockoutPolicy>; given: Step[]; when: Step; expected: string[] };

const FAILED = "login_failed";
const IN = "login_succeeded";
const PROBED = "lock_probed";

const BY_STRANGERS = wrongs(5, 0);
const BY_PHONE = wrongs(5, 0, PHONE);

/** Eighty wrong passwords of strangers, each five of which lock for an hour at most. */
const ENDLESS_FOR_STRANGERS = Array.from({ length: 16 }, (_, lock) => wrongs(5, lock * 4_000)).flat();

const WHO_IS_STOPPED: Row[] = [
  { name: "strangers' lock stops strangers", given: BY_STRANGERS, when: right(5), expected: [] },
  { name: "but not a known device", given: BY_STRANGERS, when: right(5, PHONE), expected: [IN] },
  {
    name: "whose wrong passwords are checked too",
    given: BY_STRANGERS,
    when: wrong(5, "a", PHONE),
    expected: [FAILED],
  },
  {
    name: "and is there still after its good login",
    given: [...BY_STRANGERS, right(5, PHONE)],
    when: right(6),
    expected: [],
  },
  {
    name: "nor does one without end stop it",
    policy: { maxLockDuration: 0 },
    given: BY_STRANGERS,
    when: right(1_000_000, PHONE),
    expected: [IN],
  },
  { name: "a device's own lock stops it", given: BY_PHONE, when: right(5, PHONE), expected: [] },
  { name: "and every other device", given: BY_PHONE, when: right(5, LAPTOP), expected: [] },
  { name: "and strangers", given: BY_PHONE, when: right(5), expected: [] },
  { name: "until it ends", given: BY_PHONE, when: right(64, LAPTOP), expected: ["expired", IN] },
  {
    name: "it may come on top of strangers' lock, and then stops the device too",
    given: [...BY_STRANGERS, ...wrongs(5, 5, PHONE)],
    when: right(10, PHONE),
    expected: [],
  },
  {
    name: "until its own end, though strangers' lock has none",
    given: [...ENDLESS_FOR_STRANGERS, ...wrongs(5, 1_000_000, PHONE)],
    when: right(1_000_100, PHONE),
    expected: [],
  },
  {
    name: "and no longer: strangers cannot lock the owner out for good",
    given: [...ENDLESS_FOR_STRANGERS, ...wrongs(5, 1_000_000, PHONE)],
    when: right(1_003_700, PHONE),
    expected: [IN],
  },
  { name: "a lock by hand stops every device", given: [lock(0)], when: right(1, PHONE), expected: [] },
  {
    name: "also where it takes the place of strangers' lock",
    given: [...BY_STRANGERS, lock(5)],
    when: right(6, PHONE),
    expected: [],
  },
  {
    name: "until it is unlocked",
    given: [...BY_STRANGERS, lock(5), unlock(6)],
    when: right(7, PHONE),
    expected: [IN],
  },
  {
    name: "nor is one that has its token from before a lock by hand",
    given: [lock(5), unlock(6), ...wrongs(5, 7)],
    when: right(12, PHONE),
    expected: [],
  },
  {
    name: "a deactivation too",
    given: [...BY_STRANGERS, command(5, { type: "deactivate" })],
    when: right(6, PHONE),
    expected: [],
  },
  {
    name: "by the policy's switch strangers' lock stops a known device",
    policy: { knownDevicesPass: false },
    given: BY_STRANGERS,
    when: right(5, PHONE),
    expected: [],
  },
];

const WHOSE_COUNT: Row[] = [
  {
    name: "a device's wrong passwords are not counted with strangers'",
    given: [...wrongs(4, 0), ...wrongs(3, 10, PHONE)],
    when: wrong(13, "a", PHONE),
    expected: [FAILED],
  },
  {
    name: "nor those of strangers with a device's",
    given: [...wrongs(4, 0, PHONE), ...wrongs(3, 10)],
    when: wrong(13),
    expected: [FAILED],
  },
  {
    name: "those of all devices are counted together, so that it does not matter how many there are",
    given: [...wrongs(2, 0, PHONE), ...wrongs(2, 10, LAPTOP)],
    when: wrong(13, "a", PHONE),
    expected: [FAILED, "locked until 73 for all"],
  },
  {
    name: "strangers' lock does not forgive a device's",
    given: [...wrongs(4, 0, PHONE), ...wrongs(5, 10)],
    when: wrong(15, "a", PHONE),
    expected: [FAILED, "locked until 135 for all"],
  },
  {
    name: "five of strangers' lock for strangers",
    given: [...wrongs(4, 0, PHONE), ...wrongs(4, 10)],
    when: wrong(14),
    expected: [FAILED, "locked until 74 for strangers"],
  },
  {
    name: "five of a device's lock for all",
    given: [...wrongs(4, 0), ...wrongs(4, 10, PHONE)],
    when: wrong(14, "a", PHONE),
    expected: [FAILED, "locked until 74 for all"],
  },
  {
    name: "five of a device's lock for all while strangers' lock stands",
    given: [...BY_STRANGERS, ...wrongs(4, 10, PHONE)],
    when: wrong(14, "a", PHONE),
    expected: [FAILED, "locked until 134 for all"],
  },
  {
    name: "but ends by itself where strangers' lock lasts longer",
    given: [...wrongs(5, 0), ...wrongs(5, 65), right(70, PHONE), ...wrongs(4, 71, PHONE)],
    when: wrong(75, "a", PHONE),
    expected: [FAILED, "locked until 189 for strangers, until 135 for devices"],
  },
  {
    name: "by the policy's switch all are counted together",
    policy: { knownDevicesPass: false },
    given: [...wrongs(2, 0), ...wrongs(1, 10, PHONE), ...wrongs(1, 20, LAPTOP)],
    when: wrong(30),
    expected: [FAILED, "locked until 90 for strangers"],
  },
  {
    name: "whoever brings the fifth",
    policy: { knownDevicesPass: false },
    given: wrongs(4, 0),
    when: wrong(4, "a", PHONE),
    expected: [FAILED, "locked until 64 for strangers"],
  },
];

describe("a known device", () => {
  test.each(WHO_IS_STOPPED)("who is stopped: $name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test.each(WHOSE_COUNT)("what is counted: $name", ({ policy, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  const HOUR = 3_600;
  /** Strangers' wrong passwords, so slowly that all but the last lock have ended. */
  const byStrangers = (count: number) => Array.from({ length: count }, (_, index) => wrong(index * HOUR));
  /** The same by a device, after those of strangers. */
  const byPhone = (count: number) =>
    Array.from({ length: count }, (_, index) => wrong((200 + index) * HOUR, undefined, PHONE));

  test("is not locked for good by strangers: of the hundred wrong passwords in a row twenty are left to it", () => {
    expect(endingInWords(byStrangers(79))).toEqual([FAILED]);
    expect(endingInWords(byStrangers(80))).toEqual([FAILED, "locked without end for strangers"]);
    expect(endingInWords([...byStrangers(80), ...byPhone(19)])).toEqual([FAILED]);
    expect(endingInWords([...byStrangers(80), ...byPhone(19), right(300 * HOUR, PHONE)])).toEqual([IN]);
    expect(endingInWords([...byStrangers(80), ...byPhone(20)])).toEqual([FAILED, "locked without end for all"]);
  });

  test("has nothing left to it where the policy makes no difference, or no device is known", () => {
    const FOR_ALL = [FAILED, "locked without end for all"];
    expect(endingInWords(byStrangers(99), { knownDevicesPass: false })).toEqual([FAILED]);
    expect(endingInWords(byStrangers(100), { knownDevicesPass: false })).toEqual(FOR_ALL);
    expect(ending(byStrangers(99))).toEqual([FAILED]);
    expect(ending(byStrangers(100))).toEqual(FOR_ALL);
  });

  test("is locked for good by its own hundred", () => {
    const hundred = Array.from({ length: 20 }, (_, index) => wrongs(5, index * 10_000, PHONE)).flat();
    expect(endingInWords(hundred)).toEqual([FAILED, "locked without end for all"]);
  });

  test("is one of twenty: of more the one is forgotten that logged in longest ago, and is a stranger from then on", () => {
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
    ["nothing", [], [PHONE, LAPTOP]],
    ["a lock by hand", [lock(1)], undefined],
    ["and its unlock", [lock(1), unlock(2)], undefined],
    ["an unlock of strangers' lock", [...BY_STRANGERS, unlock(5)], [PHONE, LAPTOP]],
    ["an automatic lock", BY_STRANGERS, [PHONE, LAPTOP]],
    ["a device's automatic lock", BY_PHONE, [PHONE, LAPTOP]],
    ["a deactivation", [command(1, { type: "deactivate" })], undefined],
    ["and its end", [command(1, { type: "deactivate" }), command(2, { type: "activate" })], undefined],
    ["a deletion", [command(1, { type: "delete" })], undefined],
    ["a password by an admin", [setPassword(1)], undefined],
    ["a password of the user's own", [command(1, OWN)], undefined],
    ["such a password by a session: all but its own", [command(1, { ...OWN, session })], [LAPTOP]],
    ["the same by a session that has ended", [...BY_STRANGERS, unlock(5), command(6, { ...OWN, session })], undefined],
    [
      "the same by a session from an unknown device",
      [command(1, { ...OWN, session: { ...session, device: "other" } })],
      undefined,
    ],
    [
      "a better hash",
      [command(1, { type: "rehash_password", hash: "better", replaced: "hash of the right password" })],
      [PHONE, LAPTOP],
    ],
    ["the end of all sessions", [command(1, { type: "end_sessions" })], undefined],
    ["a good login of a stranger that is not to be known", [right(1)], [PHONE, LAPTOP]],
    ["a good login of a device", [right(1, PHONE)], [LAPTOP, PHONE]],
    ["a good login by a token that is not good any more", [lock(1), unlock(2), right(3, PHONE)], undefined],
  ])("is known after %s", (_what, steps, known) => {
    expect(tell([...KNOWN_DEVICES, ...steps]).state.devices).toEqual(known);
  });
});

const REVEAL = { revealLock: true };
const ON_PROBES: Row[] = [
  { name: "not without the policy", policy: {}, given: BY_STRANGERS, when: right(5), expected: [] },
  { name: "the right one", given: BY_STRANGERS, when: right(5), expected: [PROBED] },
  { name: "a wrong one too", given: BY_STRANGERS, when: wrong(5), expected: [PROBED] },
  { name: "under a lock by hand too", given: [lock(0)], when: right(1), expected: [PROBED] },
  { name: "from a device that it stops", given: [lock(0)], when: right(1, PHONE), expected: [PROBED] },
  { name: "a device that is not stopped is let in", given: BY_STRANGERS, when: right(5, PHONE), expected: [IN] },
  {
    name: "not of an inactive user",
    given: [lock(0), command(1, { type: "deactivate" })],
    when: right(2),
    expected: [],
  },
  {
    name: "as often as the attempts that the policy allows",
    given: [...BY_STRANGERS, ...wrongs(4, 5)],
    when: right(9),
    expected: [PROBED],
  },
  { name: "and not once more", given: [...BY_STRANGERS, ...wrongs(5, 5)], when: right(10), expected: [] },
  {
    name: "nor if a lock by hand takes the place of the automatic one",
    given: [...BY_STRANGERS, ...wrongs(5, 5), lock(10)],
    when: right(11),
    expected: [],
  },
  {
    name: "once where the policy locks nobody",
    policy: { ...REVEAL, maxAttempts: 0 },
    given: [lock(0)],
    when: right(1),
    expected: [PROBED],
  },
  {
    name: "and not twice there",
    policy: { ...REVEAL, maxAttempts: 0 },
    given: [lock(0), wrong(1)],
    when: right(2),
    expected: [],
  },
  {
    name: "anew under the next lock",
    given: [...BY_STRANGERS, ...wrongs(5, 5), ...wrongs(5, 64)],
    when: right(69),
    expected: [PROBED],
  },
  {
    name: "anew where a device's lock takes the place of strangers'",
    given: [...BY_STRANGERS, ...wrongs(5, 5), ...wrongs(5, 10, PHONE)],
    when: right(15),
    expected: [PROBED],
  },
  {
    name: "anew under the next lock by hand after one that ended",
    given: [lock(0, { duration: 10_000_000 }), ...wrongs(5, 1), command(10, { type: "expire_lock" }), lock(11)],
    when: right(12),
    expected: [PROBED],
  },
];

describe("a password is looked at while the user is locked", () => {
  test.each(ON_PROBES)("$name", ({ policy = REVEAL, given, when, expected }) => {
    expect(endingInWords([...given, when], policy)).toEqual(expected);
  });

  test("and is counted among those in a row if it is wrong, but does not prolong the lock or let anybody in", () => {
    const before = tell([...KNOWN_DEVICES, ...BY_STRANGERS], REVEAL).state;
    const { state } = tell([...KNOWN_DEVICES, ...BY_STRANGERS, ...wrongs(3, 5), right(8), right(9)], REVEAL);
    expect(state).toEqual({ ...before, attempts: { ...before.attempts, probes: 5, inARow: 8 } });
  });

  test.each([
    ["eighty, where a device is known", KNOWN_DEVICES, 80],
    ["a hundred, where none is", [], 100],
  ])("and not more than so many in a row are looked at, locked or not: %s", (_, given, most) => {
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
