import type { LockoutPolicy } from "../../src/domain/lockout.ts";
import { command, endingInWords, lock, right, type Step, tell, unlock, wrong, wrongs } from "../support/user-story.ts";

/** The device is one from which the user has logged in; who has none is a stranger. */
type Row = { name: string; policy?: Partial<LockoutPolicy>; given: Step[]; when: Step; expected: string[] };

const PHONE = "phone";
const LAPTOP = "laptop";

const FAILED = "login_failed";
const IN = "login_succeeded";
const PROBED = "lock_probed";

const BY_STRANGERS = wrongs(5, 0);
const BY_PHONE = wrongs(5, 0, PHONE);

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
    name: "nor those of one device with another's",
    given: [...wrongs(4, 0, PHONE), ...wrongs(3, 10, LAPTOP)],
    when: wrong(13, "a", LAPTOP),
    expected: [FAILED],
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
    name: "and ends no earlier than strangers' lock did",
    given: [...wrongs(5, 0), ...wrongs(5, 65), right(70, PHONE), ...wrongs(4, 71, PHONE)],
    when: wrong(75, "a", PHONE),
    expected: [FAILED, "locked until 189 for all"],
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

  test("is not locked for good by one slip after strangers' hundred wrong passwords in a row", () => {
    const hundred = Array.from({ length: 20 }, (_, index) => wrongs(5, index * 10_000)).flat();
    expect(endingInWords(hundred).at(-1)).toBe("locked without end for strangers");
    expect(endingInWords([...hundred, wrong(300_000, "a", PHONE)])).toEqual([FAILED]);
    expect(endingInWords([...hundred, wrong(300_000, "a", PHONE), right(300_001, PHONE)])).toEqual([IN]);
  });

  test("is locked for good by its own hundred", () => {
    const hundred = Array.from({ length: 20 }, (_, index) => wrongs(5, index * 10_000, PHONE)).flat();
    expect(endingInWords(hundred)).toEqual([FAILED, "locked without end for all"]);
  });

  test("is one of twenty whose wrong passwords are counted: of more the one that failed longest ago is forgotten", () => {
    const others = (count: number) =>
      Array.from({ length: count }, (_, index) => wrong(10 + index, `p${index}`, `d${index}`));
    const fifth = wrong(100, "fifth", PHONE);
    expect(endingInWords([...wrongs(4, 0, PHONE), ...others(19), fifth])).toEqual([FAILED, "locked until 160 for all"]);
    expect(endingInWords([...wrongs(4, 0, PHONE), ...others(20), fifth])).toEqual([FAILED]);
    const many = JSON.stringify(tell(others(500)).state);
    expect(many.length).toBeLessThan(4_000);
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

  test("and is neither counted, nor does it prolong the lock or let anybody in", () => {
    const before = tell(BY_STRANGERS, REVEAL).state;
    const { state } = tell([...BY_STRANGERS, ...wrongs(3, 5), right(8), right(9)], REVEAL);
    expect(state).toEqual({ ...before, attempts: { ...before.attempts, probes: 5 } });
  });
});
