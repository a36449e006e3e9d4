// Proves that commands are decided on the stored state, and decided again after a conflict.
import { type Change, createExecute } from "../../../src/app/execute.ts";
import type { Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import type { User } from "../../../src/domain/user-state.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE } from "../../support/servers/app.ts";
import { receipt } from "../../support/stores/appends.ts";
import { timeAt } from "../../support/user-story.ts";

const LOCK: UserCommand = { type: "lock", reason: "fraud", note: "" };
const UNLOCK: UserCommand = { type: "unlock" };
const DELETE: UserCommand = { type: "delete" };
const ADD_NAME: UserCommand = {
  type: "add_username",
  username: { id: "n1", name: "ann", organizationSpecific: false },
};
const createOf = (id: string): UserCommand => ({ type: "create", id, owner: INSTANCE, profile: {}, usernames: [] });

const VIEWER: Principal = { subject: "viewer", grants: [{ role: "INSTANCE_VIEWER" }] };
const STRANGER: Principal = { subject: "stranger", grants: [{ role: "ORG_OWNER", organization: "other" }] };
const RECEIPT = { of: () => receipt("key", { expires: timeAt(100) }) };

let store: EventStore;
let clock: ReturnType<typeof handClock>;

beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
  clock = handClock(timeAt(0));
  await change("ann", createOf("ann"));
});
afterEach(() => store.close());

type More = Partial<Change<UserCommand, User>>;

function change(id: string, command: UserCommand, more: More = {}, principal?: Principal, on = store) {
  const newOwner = command.type === "create" ? { newOwner: INSTANCE } : {};
  return createExecute({ store: on, clock })(
    user,
    { id, command, permission: "user.write", ...newOwner, ...more },
    { ...callerOf("operator"), ...(principal && { principal }) },
  );
}

/** The types of the change's events, or the reason of the refusal. */
const outcomeOf = (...tried: Parameters<typeof change>) =>
  change(...tried).then(
    ({ events }) => events.join(),
    (error) => (error instanceof DomainError ? error.reason : Promise.reject(error)),
  );

const refuse = (reason: "LAST_OWNER" | "STORE_UNAVAILABLE") => ({
  guard: {
    check: async () => {
      throw new DomainError(reason, "No.");
    },
  },
});

test.each<[name: string, before: UserCommand[], tried: Parameters<typeof change>, outcome: string]>([
  ["a lock of a locked user", [LOCK], ["ann", LOCK], "USER_ALREADY_LOCKED"],
  ["an unlock of a user who is not locked", [], ["ann", UNLOCK], "USER_NOT_LOCKED"],
  ["a second user of the same id", [], ["ann", createOf("ann")], "USER_ALREADY_EXISTS"],
  ["a lock of a deleted user", [DELETE], ["ann", LOCK], "USER_NOT_FOUND"],
  ["a lock of an unknown user", [], ["bob", LOCK], "USER_NOT_FOUND"],
  ["a lock in an organization that the user is not in", [], ["ann", LOCK, { organization: "acme" }], "USER_NOT_FOUND"],
  ["a lock by a caller who may only read the user", [], ["ann", LOCK, {}, VIEWER], "PERMISSION_MISSING"],
  ["a lock by a caller who may not read the user", [], ["ann", LOCK, {}, STRANGER], "USER_NOT_FOUND"],
  ["a lock that the guard refuses", [], ["ann", LOCK, refuse("LAST_OWNER")], "LAST_OWNER"],
  ["a lock whose guard fails", [], ["ann", LOCK, refuse("STORE_UNAVAILABLE")], "STORE_UNAVAILABLE"],
  ["a name that the user already has", [ADD_NAME], ["ann", ADD_NAME], "USERNAME_TAKEN"],
  ["a patch that changes nothing", [], ["ann", { type: "patch", profile: {} }], ""],
  ["a dry run of a lock", [], ["ann", LOCK, { isDryRun: true }], "user.locked"],
])("%s appends nothing", async (_, before, tried, outcome) => {
  for (const command of before) await change("ann", command);
  expect(await outcomeOf(...tried)).toBe(outcome);
  expect((await store.load("user", "ann"))?.version).toBe(1 + before.length);
});

test("a change is answered with the object as stored", async () => {
  clock.set(timeAt(60));
  const { events, ...answer } = await change("ann", LOCK);
  expect(events).toEqual(["user.locked"]);
  expect(answer).toEqual(await store.load("user", "ann"));
  expect(answer).toMatchObject({ version: 2, created: timeAt(0), changed: timeAt(60) });
});

test("a change is never earlier than the previous one, even if the clock goes back", async () => {
  clock.set(timeAt(60));
  await change("ann", LOCK);
  clock.set(timeAt(30));
  expect(await change("ann", UNLOCK)).toMatchObject({ changed: timeAt(60) });
});

test("a lock with an end is recorded as denying the user, even if the user's last event is after that end", async () => {
  await change("ann", { type: "deactivate" });
  await change("ann", { type: "activate" });
  clock.set(timeAt(-60));
  await change("ann", { ...LOCK, duration: 30_000_000 } as UserCommand);
  const { events } = await store.read({ limit: 10 });
  expect(events.at(-1)).toMatchObject({ time: timeAt(0), data: { denied: { cause: "locked", until: timeAt(-30) } } });
});

test("another user can take a released name, and cannot take a name that is in use", async () => {
  await change("bob", createOf("bob"));
  await change("ann", ADD_NAME);
  expect(await outcomeOf("bob", ADD_NAME)).toBe("USERNAME_TAKEN");
  await change("ann", { type: "remove_username", usernameId: "n1" });
  expect(await outcomeOf("bob", ADD_NAME)).toBe("user.username_added");
});

test("a receipt is stored with its change, and another change under the same key is refused", async () => {
  let kept = 0;
  await change("ann", LOCK, { receipt: { ...RECEIPT, onKept: () => kept++ } });
  expect(kept).toBe(1);
  expect(await store.loadReceipt("key", timeAt(0))).toBeDefined();
  expect(await outcomeOf("ann", UNLOCK, { receipt: RECEIPT })).toBe("CONCURRENT_CHANGE");
  expect((await store.load("user", "ann"))?.version).toBe(2);
});

test("an aborted call rejects with its abort reason, and nothing is appended", async () => {
  const execute = createExecute({ store, clock });
  const left = callerOf("operator", AbortSignal.abort("left"));
  await expect(execute(user, { id: "ann", command: LOCK, permission: "user.write" }, left)).rejects.toBe("left");
  expect((await store.load("user", "ann"))?.version).toBe(1);
});

test("an append with an unknown outcome is not retried", async () => {
  let appends = 0;
  const flaky: EventStore = {
    ...store,
    async append(append) {
      appends++;
      await store.append(append);
      throw new StoreUnavailable("the answer was lost");
    },
  };
  expect(await outcomeOf("ann", LOCK, {}, undefined, flaky)).toBe("STORE_UNAVAILABLE");
  expect(appends).toBe(1);
  expect(await outcomeOf("ann", LOCK)).toBe("USER_ALREADY_LOCKED");
});

test.each<[name: string, before: UserCommand[], between: UserCommand[], tried: UserCommand, outcome: string]>([
  ["a lock succeeds after a concurrent lock and unlock", [], [LOCK, UNLOCK], LOCK, "user.locked"],
  ["a lock is refused after a concurrent lock", [], [LOCK], LOCK, "USER_ALREADY_LOCKED"],
  ["an unlock succeeds after a concurrent new name", [LOCK], [ADD_NAME], UNLOCK, "user.unlocked"],
  ["a lock finds no user after a concurrent delete", [], [DELETE], LOCK, "USER_NOT_FOUND"],
  ["a name is refused after the same name was added concurrently", [], [ADD_NAME], ADD_NAME, "USERNAME_TAKEN"],
])("after a conflict a command is decided again: %s", async (_, before, between, tried, outcome) => {
  for (const command of before) await change("ann", command);
  const seen = await store.load("user", "ann");
  for (const command of between) await change("ann", command);
  let loads = 0;
  const late: EventStore = { ...store, load: async (...key) => (loads++ === 0 ? seen : store.load(...key)) };
  expect(await outcomeOf("ann", tried, {}, undefined, late)).toBe(outcome);
});

test("a change that conflicts on every attempt ends with CONCURRENT_CHANGE", async () => {
  const busy: EventStore = { ...store, append: async () => ({ outcome: "conflict" }) };
  expect(await outcomeOf("ann", LOCK, {}, undefined, busy)).toBe("CONCURRENT_CHANGE");
});
