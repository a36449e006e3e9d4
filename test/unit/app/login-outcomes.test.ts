// Proves that each login has an outcome for operators, which the answer does not show.
import type { HashQueue } from "../../../src/app/hash-queue.ts";
import { createPolicies } from "../../../src/app/lockout-policies.ts";
import { createLogin, type LoginOutcome } from "../../../src/app/login.ts";
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { DEFAULT_POLICY } from "../../../src/domain/lockout.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE, usersIn } from "../../support/servers/app.ts";
import { timeAt } from "../../support/user-story.ts";

let store: EventStore;
beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
});
afterEach(() => store.close());

/** Logs Ann in with each password in turn, after `given`. Returns the outcomes. */
async function outcomes(
  passwords: string[],
  given: (users: ReturnType<typeof usersIn>) => Promise<unknown> = async () => {},
  more: Partial<HashQueue> = {},
): Promise<LoginOutcome[]> {
  const clock = handClock(timeAt(0));
  const users = usersIn(store, clock);
  const seen: LoginOutcome[] = [];
  const login = createLogin({
    store,
    execute: users.execute,
    policies: createPolicies({ store, instanceId: INSTANCE.id }),
    hasher: {
      hash: async (password) => password,
      verify: async (password, hash) => ({ isRight: hash === password, isOutdated: false }),
      pretend: async () => {},
      ...more,
    },
    secrets: createInstanceSecrets(Buffer.alloc(32, 7)),
    clock,
    slotMs: 1,
    onOutcome: (outcome) => seen.push(outcome),
  });
  await users.add("ann", "right");
  await users.add("bob");
  await given(users);
  for (const password of passwords) {
    const [id = "ann", typed = password] = password.includes(":") ? password.split(":") : [];
    const attempt = { organization: undefined, user: { id }, password: typed, deviceToken: "" };
    await login.logIn(attempt, callerOf("login page")).catch(() => {});
  }
  return seen;
}

test("a right password is ok, a wrong one is not, and neither is one that was tried before", async () => {
  expect(await outcomes(["right", "wrong", "wrong"])).toEqual(["ok", "wrong_password", "wrong_password"]);
});

test("the wrong password that locks the user is a wrong password, and the next login is of a locked user", async () => {
  const wrong = Array.from({ length: DEFAULT_POLICY.maxAttempts }, (_, index) => `wrong ${index}`);
  const seen = await outcomes([...wrong, "right"]);
  expect(seen.slice(0, wrong.length)).toEqual(wrong.map(() => "wrong_password"));
  expect(seen[wrong.length]).toBe("locked");
});

test.each<[string, LoginOutcome, (users: ReturnType<typeof usersIn>) => Promise<unknown>]>([
  ["a locked user", "locked", (users) => users.lock("ann")],
  ["an inactive user", "inactive", (users) => users.do("ann", { type: "deactivate" })],
  ["a deleted user", "unknown_user", (users) => users.do("ann", { type: "delete" })],
])("a login of %s is %s", async (_who, outcome, given) => {
  expect(await outcomes(["right"], given)).toEqual([outcome]);
});

test("a user that does not exist is unknown, and one without a password has a wrong one", async () => {
  expect(await outcomes(["nobody:right", "bob:right"])).toEqual(["unknown_user", "wrong_password"]);
});

test("a login that finds too many waiting is busy", async () => {
  const verify = () => Promise.reject(new DomainError("TOO_MANY_REQUESTS", "full"));
  expect(await outcomes(["right"], undefined, { verify })).toEqual(["busy"]);
});

test("a login that fails for another reason has no outcome", async () => {
  const verify = () => Promise.reject(new Error("broken"));
  expect(await outcomes(["right"], undefined, { verify })).toEqual([]);
});
