// Proves that a collection of device tokens gives no more guesses than the policy allows.
import fc from "fast-check";
import type { LockoutPolicy } from "../../../../src/domain/lockout.ts";
import { type CheckedLogin, user } from "../../../../src/domain/user.ts";
import { stopsDevices, type User, type UserEvent } from "../../../../src/domain/user-state.ts";
import { HASH, timeAt } from "../../../support/user-story.ts";

const SECOND = 1_000_000;

/** A login with the token of this device, or with none, after a pause in seconds. */
interface Try {
  device: number | undefined;
  isRight: boolean;
  after: number;
}

const tries = (weightOfRight: number): fc.Arbitrary<Try[]> =>
  fc.array(
    fc.record({
      device: fc.oneof({ weight: 1, arbitrary: fc.constant(undefined) }, { weight: 3, arbitrary: fc.nat(39) }),
      isRight: fc.oneof(
        { weight: 999, arbitrary: fc.constant(false) },
        { weight: weightOfRight, arbitrary: fc.constant(true) },
      ),
      after: fc.constantFrom(0, 1, 1, 10, 200, 1_000, 4_000),
    }),
    { minLength: 300, maxLength: 600, size: "max" },
  );

const policies: fc.Arbitrary<LockoutPolicy> = fc.record({
  maxAttempts: fc.constantFrom(1, 5, 20, 99),
  window: fc.constantFrom(10 * SECOND, 900 * SECOND, 100_000 * SECOND),
  lockDuration: fc.constantFrom(SECOND, 60 * SECOND),
  maxLockDuration: fc.constantFrom(SECOND, 3_600 * SECOND),
  knownDevicesPass: fc.boolean(),
  revealLock: fc.boolean(),
});

/** A wrong password that was compared with the user's hash. */
interface Guess {
  time: number;
  isKnown: boolean;
}

/**
 * Runs the logins of an attacker who collected device tokens while they knew the password.
 * Returns the longest run of wrong passwords that were compared with the hash.
 */
function attack(collected: number, all: Try[], policy: LockoutPolicy) {
  let state: User | undefined;
  let time = timeAt(0);
  const act = (command: Parameters<typeof user.decide>[1]): UserEvent[] => {
    const occasion = { time, actor: { subject: "login page" } };
    const events = user.decide(state, command, occasion);
    for (const event of events) state = user.evolve(state, event, occasion);
    return events;
  };
  let logins = 0;
  const logIn = (device: number | undefined, isRight: boolean): UserEvent[] => {
    const login: CheckedLogin = {
      isRight,
      comparedWith: HASH,
      device: device === undefined ? "" : `device ${device}`,
      newDevice: `device ${collected + logins}`,
      mac: `password ${logins++}`,
      policy,
    };
    return act({ type: "record_login", login });
  };

  const owner = { type: "instance", id: "default" } as const;
  const password = { hash: HASH, changeRequired: false };
  act({ type: "create", id: "ann", owner, profile: {}, usernames: [], password });
  for (let device = 0; device < collected; device++) {
    act({
      type: "record_login",
      login: { isRight: true, comparedWith: HASH, device: "", newDevice: `device ${device}`, mac: "", policy },
    });
  }

  let inARow = 0;
  let longest = 0;
  let mostInWindow = 0;
  let mostDevices = 0;
  let guesses: Guess[] = [];
  for (const { device, isRight, after } of all) {
    time += after * SECOND;
    const isKnown = policy.knownDevicesPass && (state?.devices?.includes(`device ${device}`) ?? false);
    for (const event of logIn(device, isRight)) {
      if (event.type === "user.login_succeeded") {
        inARow = 0;
        guesses = [];
      } else if (event.type === "user.lock_probed" && !event.data.isRight) {
        inARow++;
      } else if (event.type === "user.login_failed") {
        inARow++;
        guesses.push({ time, isKnown });
      } else if (event.type === "user.locked") {
        const isForAll = stopsDevices({ ...event.data, by: "userlock" }, time);
        guesses = guesses.filter((one) => !isForAll && one.isKnown);
      }
    }
    longest = Math.max(longest, inARow);
    // The guesses in the present window that have not led to a lock.
    guesses = guesses.filter((one) => one.time > time - policy.window);
    const ofDevices = guesses.filter((one) => one.isKnown).length;
    mostInWindow = Math.max(mostInWindow, ofDevices, guesses.length - ofDevices);
    mostDevices = Math.max(mostDevices, state?.devices?.length ?? 0);
  }
  expect(mostInWindow).toBeLessThan(policy.maxAttempts);
  expect(mostDevices).toBeLessThanOrEqual(20);
  return longest;
}

describe("an attacker with any number of device tokens, used in any order", () => {
  test("is locked out by the policy, and without end after 100 wrong passwords in a row", () => {
    let longest = 0;
    fc.assert(
      fc.property(fc.nat(40), tries(0), policies, (collected, all, policy) => {
        const inARow = attack(collected, all, policy);
        expect(inARow).toBeLessThanOrEqual(100);
        longest = Math.max(longest, inARow);
      }),
      { numRuns: 60 },
    );
    expect(longest).toBe(100);
  });

  test("is locked out in the same way with successful logins in between", () => {
    fc.assert(
      fc.property(fc.nat(40), tries(30), policies, (collected, all, policy) => {
        expect(attack(collected, all, policy)).toBeLessThanOrEqual(100);
      }),
      { numRuns: 40 },
    );
  });
});
