import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type Change, createExecute, type Execute } from "../../../src/app/execute.ts";
import { createTail } from "../../../src/app/follow/tail.ts";
import { createStateCache, type StateCache } from "../../../src/app/state-cache.ts";
import type { Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import type { User } from "../../../src/domain/user-state.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE } from "../../support/servers/app.ts";
import { receipt, until } from "../../support/stores/appends.ts";
import { timeAt } from "../../support/user-story.ts";

const LOCK: UserCommand = { type: "lock", reason: "fraud", note: "" };
const UNLOCK: UserCommand = { type: "unlock" };
const DELETE: UserCommand = { type: "delete" };
const ADD_NAME: UserCommand = {
  type: "add_username",
  username: { id: "n1", name: "ann", organizationSpecific: false },
};
const createOf = (id: string): UserCommand => ({ type: "create", id, owner: INSTANCE, profile: {}, usernames: [] });

let stores: EventStore[];
let clock: ReturnType<typeof handClock>;

beforeEach(() => {
  stores = [];
  clock = handClock(timeAt(0));
});
afterEach(async () => {
  for (const store of stores) await store.close();
});

async function openEmpty(): Promise<EventStore> {
  const store = await openSqliteStore(":memory:", "default");
  stores.push(store);
  return store;
}

type More = Partial<Change<UserCommand, User>>;

const newCache = () => createStateCache({ kind: "user", bytes: 2 ** 20 });

/** A server on the store, and how often it looks for an object there. */
function serverOn(store: EventStore, { cache }: { cache?: StateCache | undefined } = { cache: newCache() }) {
  const calls = { load: 0, append: 0 };
  const counted: EventStore = {
    ...store,
    load(kind, id) {
      calls.load++;
      return store.load(kind, id);
    },
    append(append) {
      calls.append++;
      return store.append(append);
    },
  };
  const execute: Execute = createExecute({ store: counted, clock, cache });
  return {
    cache,
    calls,
    execute,
    do: (id: string, command: UserCommand, more: More = {}, principal?: Principal) =>
      execute(
        user,
        { id, command, permission: "user.write", ...(command.type === "create" && { newOwner: INSTANCE }), ...more },
        { ...callerOf("operator"), ...(principal && { principal }) },
      ),
    /** What came of it: the events, or the reason of the refusal. And how often the object was looked for. */
    async try(id: string, command: UserCommand, more?: More, principal?: Principal) {
      const before = calls.load;
      const outcome = await this.do(id, command, more, principal).then(
        ({ events }) => events.join(),
        (error) => (error instanceof DomainError ? error.reason : Promise.reject(error)),
      );
      return { outcome, loads: calls.load - before };
    },
  };
}

type Server = ReturnType<typeof serverOn>;

/** A server, and another one without a cache on the same store. Both know Ann. */
async function serversWithAnn(
  ...steps: UserCommand[]
): Promise<{ store: EventStore; server: Server; elsewhere: Server }> {
  const store = await openEmpty();
  const server = serverOn(store);
  for (const command of [createOf("ann"), ...steps]) await server.do("ann", command);
  return { store, server, elsewhere: serverOn(store, {}) };
}

describe("what is appended", () => {
  test("is decided without a look at the store, by who changed the user last", async () => {
    const { store, server } = await serversWithAnn();
    for (const [command, outcome] of [
      [LOCK, "user.locked"],
      [UNLOCK, "user.unlocked"],
      [ADD_NAME, "user.username_added"],
      [DELETE, "user.deleted"],
    ] as const) {
      expect(await server.try("ann", command)).toEqual({ outcome, loads: 0 });
      expect(server.cache?.get("ann")).toEqual(await store.load("user", "ann"));
    }
  });

  test("needs one look if the user is not remembered", async () => {
    const { store } = await serversWithAnn();
    const server = serverOn(store);
    expect(await server.try("ann", LOCK)).toEqual({ outcome: "user.locked", loads: 1 });
    expect(await server.try("ann", UNLOCK)).toEqual({ outcome: "user.unlocked", loads: 0 });
  });

  test("is answered as from the store", async () => {
    const { store, server, elsewhere } = await serversWithAnn();
    clock.set(timeAt(60));
    const { events, ...answer } = await server.do("ann", LOCK);
    expect(answer).toEqual(await store.load("user", "ann"));
    expect(answer).toMatchObject({ version: 2, created: timeAt(0), changed: timeAt(60) });
    expect((await elsewhere.try("ann", UNLOCK)).outcome).toBe("user.unlocked");
  });

  test("is never earlier than what came before", async () => {
    const { server } = await serversWithAnn();
    clock.set(timeAt(60));
    await server.do("ann", LOCK);
    clock.set(timeAt(30));
    expect(await server.do("ann", UNLOCK)).toMatchObject({ changed: timeAt(60) });
    expect(server.calls.load).toBe(1);
  });

  test("gives up the names that the user held", async () => {
    const { server, elsewhere } = await serversWithAnn(ADD_NAME, { type: "remove_username", usernameId: "n1" });
    await elsewhere.do("bob", createOf("bob"));
    expect((await elsewhere.try("bob", ADD_NAME)).outcome).toBe("user.username_added");
    expect(server.calls.load).toBe(1);
  });

  test("goes with its receipt", async () => {
    const { store, server } = await serversWithAnn();
    let kept = 0;
    const one = { of: () => receipt("key", { expires: timeAt(100) }), onKept: () => kept++ };
    expect(await server.try("ann", LOCK, { receipt: one })).toEqual({ outcome: "user.locked", loads: 0 });
    expect(kept).toBe(1);
    expect(await store.loadReceipt("key", timeAt(0))).toBeDefined();
  });

  test("of objects of other kinds is decided from the store", async () => {
    const { server } = await serversWithAnn();
    const token = { id: "t1", owner: INSTANCE, subject: "ann", grants: [], hash: "hash" };
    const change = { id: "t1", permission: "access.write" } as const;
    const caller = callerOf("operator");
    await server.execute(accessToken, { ...change, command: { type: "create", token }, newOwner: INSTANCE }, caller);
    await server.execute(accessToken, { ...change, command: { type: "revoke" } }, caller);
    expect(server.calls.load).toBe(3);
  });
});

const VIEWER: Principal = { subject: "viewer", grants: [{ role: "INSTANCE_VIEWER" }] };
const STRANGER: Principal = { subject: "stranger", grants: [{ role: "ORG_OWNER", organization: "other" }] };
const refuse = (reason: "LAST_OWNER" | "STORE_UNAVAILABLE") => async () => {
  throw new DomainError(reason, "No.");
};

/** What came before, what is tried, and what comes of it. */
const TOLD: [name: string, before: UserCommand[], tried: Parameters<Server["try"]>, outcome: string][] = [
  ["he is locked already", [LOCK], ["ann", LOCK], "USER_ALREADY_LOCKED"],
  ["he is not locked", [], ["ann", UNLOCK], "USER_NOT_LOCKED"],
  ["he is there already", [], ["ann", createOf("ann")], "USER_ALREADY_EXISTS"],
  ["he is deleted", [DELETE], ["ann", LOCK], "USER_NOT_FOUND"],
  ["he is in no such organization", [], ["ann", LOCK, { organization: "acme" }], "USER_NOT_FOUND"],
  ["the caller may only see him", [], ["ann", LOCK, {}, VIEWER], "PERMISSION_MISSING"],
  ["the caller may not see him", [], ["ann", LOCK, {}, STRANGER], "USER_NOT_FOUND"],
  ["he is the last owner", [], ["ann", LOCK, { guard: { ask: refuse("LAST_OWNER") } }], "LAST_OWNER"],
  [
    "the last owner cannot be known",
    [],
    ["ann", LOCK, { guard: { ask: refuse("STORE_UNAVAILABLE") } }],
    "STORE_UNAVAILABLE",
  ],
  ["he has the name already", [ADD_NAME], ["ann", ADD_NAME], "USERNAME_TAKEN"],
  ["nothing changes", [], ["ann", { type: "patch", profile: {} }], ""],
  ["nothing shall change", [], ["ann", LOCK, { isDryRun: true }], "user.locked"],
];

describe("whatever else is told", () => {
  test.each(TOLD)("is told after a look: %s", async (_, before, tried, outcome) => {
    const { server } = await serversWithAnn(...before);
    const { append } = server.calls;
    expect(await server.try(...tried)).toEqual({ outcome, loads: 1 });
    expect(server.calls.append).toBe(append);
  });

  test("is told after a look: another has the name", async () => {
    const { server } = await serversWithAnn();
    await server.do("bob", createOf("bob"));
    await server.do("bob", ADD_NAME);
    expect(await server.try("ann", ADD_NAME)).toEqual({ outcome: "USERNAME_TAKEN", loads: 1 });
  });

  test("is told after a look: the call has come before", async () => {
    const { server } = await serversWithAnn();
    const one = { of: () => receipt("key", { expires: timeAt(100) }) };
    await server.do("ann", LOCK, { receipt: one });
    expect(await server.try("ann", UNLOCK, { receipt: one })).toEqual({ outcome: "CONCURRENT_CHANGE", loads: 1 });
    expect(await server.try("ann", LOCK)).toEqual({ outcome: "USER_ALREADY_LOCKED", loads: 1 });
  });

  test("a caller who has left is told so, and nothing is appended", async () => {
    const { server } = await serversWithAnn();
    const change = { id: "ann", command: LOCK, permission: "user.write" } as const;
    const left = server.execute(user, change, callerOf("operator", AbortSignal.abort("left")));
    await expect(left).rejects.toBe("left");
    expect(server.calls.append).toBe(1);
  });

  test("an append of which nothing is known is not made again", async () => {
    const { store, server } = await serversWithAnn();
    const appends: string[] = [];
    const flaky: EventStore = {
      ...store,
      async append(append) {
        appends.push(append.id);
        await store.append(append);
        throw new StoreUnavailable("the answer was lost");
      },
    };
    const other = serverOn(flaky, server);
    expect(await other.try("ann", LOCK)).toEqual({ outcome: "STORE_UNAVAILABLE", loads: 0 });
    expect(appends).toEqual(["ann"]);
    expect(await server.try("ann", LOCK)).toEqual({ outcome: "USER_ALREADY_LOCKED", loads: 1 });
  });
});

/** What happened elsewhere, what is tried here, and what comes of it. */
const STALE: [name: string, before: UserCommand[], elsewhere: UserCommand[], tried: UserCommand, outcome: string][] = [
  ["unlocked elsewhere, he can be locked", [LOCK], [UNLOCK], LOCK, "user.locked"],
  ["locked elsewhere, he cannot be locked", [], [LOCK], LOCK, "USER_ALREADY_LOCKED"],
  ["locked elsewhere, he can be unlocked", [], [LOCK], UNLOCK, "user.unlocked"],
  ["deleted elsewhere, he is not found", [], [DELETE], LOCK, "USER_NOT_FOUND"],
  ["locked and unlocked elsewhere, he can be locked", [], [LOCK, UNLOCK], LOCK, "user.locked"],
  ["with a name from elsewhere, he has it already", [], [ADD_NAME], ADD_NAME, "USERNAME_TAKEN"],
];

describe("a user who is remembered as he was", () => {
  test.each(STALE)("%s", async (_, before, others, tried, outcome) => {
    const { server, elsewhere } = await serversWithAnn(...before);
    for (const command of others) await elsewhere.do("ann", command);
    expect(await server.try("ann", tried)).toEqual({ outcome, loads: 1 });
  });

  test("is forgotten once the log is read, and one who is remembered as he is is not", async () => {
    const { store, server, elsewhere } = await serversWithAnn();
    await server.do("bob", createOf("bob"));
    const tail = createTail({ store, onError: fail, onRead: server.cache?.outdate, pollMs: 5 });
    const following = await tail.follow();
    await server.do("bob", LOCK);
    await elsewhere.do("ann", LOCK);
    await until(() => server.cache?.get("ann") === undefined);
    expect(server.cache?.get("bob")?.version).toBe(2);
    following.leave();
    await sleep(10);
  });
});

/** What happened to Ann before the store lost it, and what happened instead: as many events. */
const LOST: [name: string, lost: UserCommand, instead: UserCommand, tried: UserCommand, outcome: string][] = [
  ["a lock, he is not unlocked", LOCK, ADD_NAME, UNLOCK, "USER_NOT_LOCKED"],
  ["a name, he keeps his lock", ADD_NAME, LOCK, LOCK, "USER_ALREADY_LOCKED"],
];

describe("on a store that goes on without its last commits, where the same number is another version", () => {
  /** The store as it was, and as it is: each with a second version of Ann. */
  async function twoHistories(lost: UserCommand, instead: UserCommand) {
    const { store: before, server } = await serversWithAnn();
    const { store: after, elsewhere } = await serversWithAnn();
    clock.set(timeAt(60));
    await server.do("ann", lost);
    clock.set(timeAt(61));
    await elsewhere.do("ann", instead);
    return { before, after, server };
  }

  test.each(LOST)("without %s: who remembers him", async (_, lost, instead, tried, outcome) => {
    const { after, server } = await twoHistories(lost, instead);
    expect(await serverOn(after, server).try("ann", tried)).toEqual({ outcome, loads: 1 });
  });

  test.each(LOST)("without %s: who has just loaded him", async (_, lost, instead, tried, outcome) => {
    const { before, after } = await twoHistories(lost, instead);
    let loads = 0;
    const store: EventStore = { ...after, load: (...key) => (loads++ === 0 ? before : after).load(...key) };
    const server = serverOn(store, {});
    expect(await server.try("ann", tried)).toEqual({ outcome, loads: 2 });
  });
});

const COMMANDS: UserCommand[] = [
  ...[LOCK, UNLOCK, ADD_NAME, { type: "remove_username", usernameId: "n1" } as const],
  ...([
    { type: "activate" },
    { type: "deactivate" },
    { type: "expire_lock" },
    { ...LOCK, duration: 5_000_000 },
  ] as const),
  ...[DELETE, createOf("ann")],
  { type: "patch", profile: { email: { address: "ann@example.com", verified: true } } },
];

test("servers with caches that share a store say all that one says who asks the store each time", async () => {
  const step = fc.record({
    at: fc.constantFrom("one", "other"),
    id: fc.constantFrom("ann", "bob"),
    command: fc.constantFrom(...COMMANDS),
    seconds: fc.constantFrom(0, 0, 1, 5),
    isDryRun: fc.constantFrom(false, false, false, true),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const [shared, alone] = [await openEmpty(), await openEmpty()];
      const servers = { one: serverOn(shared), other: serverOn(shared) };
      const plain = serverOn(alone, {});
      let now = 0;
      for (const { at, id, command, seconds, isDryRun } of steps) {
        now += seconds;
        clock.set(timeAt(now));
        const one = command.type === "create" ? createOf(id) : command;
        const { outcome } = await servers[at].try(id, one, { isDryRun });
        expect(outcome).toBe((await plain.try(id, one, { isDryRun })).outcome);
        expect(await shared.load("user", id)).toEqual(await alone.load("user", id));
      }
      const log = async (store: EventStore) => (await store.read({ limit: 1_000 })).events;
      expect(await log(shared)).toEqual(await log(alone));
    }),
    { numRuns: 150 },
  );
});

function fail(error: unknown): void {
  throw error;
}
