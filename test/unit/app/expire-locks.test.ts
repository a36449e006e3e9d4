// Proves that the end of a lock gets into the log once, on time.
import { setTimeout as sleep } from "node:timers/promises";
import { expireLocks } from "../../../src/app/startup/expire-locks.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { handClock, usersIn } from "../../support/servers/app.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";
import { timeAt } from "../../support/user-story.ts";

/** The time between two looks. */
const SWEEP_MS = 20;
/** Longer than a few looks. */
const A_WHILE_MS = 200;
/** Longer than a test waits. */
const NEVER_MS = 600_000;

let clock: ReturnType<typeof handClock>;
let stores: EventStore[];
let running: { stop: AbortController; done: Promise<void> }[];
let errors: unknown[];

beforeEach(() => {
  clock = handClock(timeAt(0));
  stores = [];
  running = [];
  errors = [];
});

afterEach(async () => {
  for (const { stop } of running) stop.abort();
  await Promise.all(running.map(({ done }) => done));
  for (const store of stores) await store.close();
});

async function open(file = ":memory:") {
  const store = await openSqliteStore(file, "default");
  stores.push(store);
  return store;
}

/** Starts to end locks in this store, as a process does. */
function start(store: EventStore, sweepMs: number | undefined = SWEEP_MS) {
  const stop = new AbortController();
  const { execute } = usersIn(store, clock);
  const done = expireLocks({
    store,
    execute,
    clock,
    signal: stop.signal,
    onError: (error) => errors.push(error),
    sweepMs,
  });
  running.push({ stop, done });
  return { stop, done };
}

const endings = async (store: EventStore) =>
  (await usersIn(store, clock).log()).filter(({ type }) => type === "user.unlocked");

/** Resolves when so many locks have ended in the log, and fails after 50 seconds. */
async function untilEnded(store: EventStore, count: number) {
  const deadline = performance.now() + 50_000;
  while ((await endings(store)).length < count && performance.now() < deadline) await sleep(5);
  expect(await endings(store)).toHaveLength(count);
}

describe("locks whose end has come", () => {
  test("are ended in the log within a second, and not before", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    for (const id of ["ann", "bob", "carl"]) await users.add(id);
    await users.lock("ann", { until: timeAt(60) });
    await users.lock("bob", { until: timeAt(60) + 1 });
    await users.lock("carl");
    start(store);

    clock.set(timeAt(60) - 1);
    await sleep(A_WHILE_MS);
    expect(await endings(store)).toEqual([]);

    clock.set(timeAt(60));
    const began = performance.now();
    await untilEnded(store, 1);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(await endings(store)).toEqual([
      expect.objectContaining({
        id: "ann",
        data: { cause: "expired" },
        time: timeAt(60),
        actor: { subject: "userlock" },
      }),
    ]);

    clock.set(timeAt(60) + 1);
    await untilEnded(store, 2);
    await sleep(A_WHILE_MS);
    expect((await endings(store)).map(({ id }) => id)).toEqual(["ann", "bob"]);
  });

  test("are ended when it starts, if it did not run at that moment", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    await users.add("ann");
    await users.lock("ann", { until: timeAt(60) });
    clock.set(timeAt(1e6));
    start(store);
    await untilEnded(store, 1);
    expect((await store.load("user", "ann"))?.changed).toBe(timeAt(1e6));
  });

  test("are ended once, also where the log was told on another occasion", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    for (const id of ["ann", "bob", "carl", "dora"]) {
      await users.add(id);
      await users.lock(id, { until: timeAt(60) });
    }
    await users.do("bob", { type: "unlock" });
    await users.do("carl", { type: "delete" });
    clock.set(timeAt(60));
    await users.do("dora", { type: "deactivate" });
    start(store);
    await untilEnded(store, 3);
    await sleep(A_WHILE_MS);
    expect((await endings(store)).map(({ id, data }) => [id, data]).sort()).toEqual([
      ["ann", { cause: "expired" }],
      ["bob", { cause: "manual" }],
      ["dora", { cause: "expired" }],
    ]);
    expect(errors).toEqual([]);
  });

  test("are ended whoever owns the user, and whoever has locked him", async () => {
    const store = await open();
    const { execute, ...users } = usersIn(store, clock);
    await users.add("ann", "hash");
    const policy = {
      maxAttempts: 1,
      window: 1e6,
      lockDuration: 1e6,
      maxLockDuration: 1e6,
      knownDevicesPass: true,
      revealLock: false,
    };
    const login = { isRight: false, comparedWith: "hash", device: "", mac: "a", policy };
    await users.do("ann", { type: "record_login", login });
    expect((await users.log("ann")).at(-1)?.type).toBe("user.locked");
    clock.set(timeAt(1));
    start(store);
    await untilEnded(store, 1);
  });

  test("are ended though there are more than one look finds, without a pause", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    const ids = Array.from({ length: 450 }, (_, index) => `u${index}`);
    await Promise.all(
      ids.map(async (id, index) => {
        await users.add(id);
        await users.lock(id, { until: timeAt(60) + index });
      }),
    );
    clock.set(timeAt(100));
    start(store, NEVER_MS);
    await untilEnded(store, ids.length);
    expect(new Set((await endings(store)).map(({ id }) => id)).size).toBe(ids.length);
  });

  test("are ended once by two processes on one file", async () => {
    const folder = temporaryFolder();
    try {
      const [one, other] = [await open(folder.file("userlock.db")), await open(folder.file("userlock.db"))];
      const users = usersIn(one, clock);
      const ids = Array.from({ length: 100 }, (_, index) => `u${index}`);
      await Promise.all(
        ids.map(async (id) => {
          await users.add(id);
          await users.lock(id, { until: timeAt(60) });
        }),
      );
      start(one);
      start(other);
      clock.set(timeAt(60));
      await untilEnded(one, ids.length);
      await sleep(A_WHILE_MS);
      expect((await endings(other)).map(({ id }) => id).sort()).toEqual([...ids].sort());
      expect(errors).toEqual([]);
      for (const { stop } of running) stop.abort();
      await Promise.all(running.map(({ done }) => done));
    } finally {
      for (const store of stores.splice(0)) await store.close();
      folder.remove();
    }
  });
});

describe("ending locks", () => {
  test("goes on after an error of the store, which is told", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    await users.add("ann");
    await users.lock("ann", { until: timeAt(60) });
    clock.set(timeAt(60));
    let searches = 0;
    const failure = new StoreUnavailable("the disk is full");
    start({
      ...store,
      search: async (query) => {
        if (searches++ === 0) throw failure;
        return store.search(query);
      },
    });
    await untilEnded(store, 1);
    expect(errors).toEqual([failure]);
  });

  test("stops for one lock that cannot be ended at no other", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    for (const id of ["ann", "bob"]) {
      await users.add(id);
      await users.lock(id, { until: timeAt(60) });
    }
    clock.set(timeAt(60));
    const failure = new StoreUnavailable("the disk is full");
    start({
      ...store,
      append: async (append) => {
        if (append.id === "ann") throw failure;
        return store.append(append);
      },
    });
    await untilEnded(store, 1);
    expect((await endings(store)).map(({ id }) => id)).toEqual(["bob"]);
    expect(errors).toContain(failure);
  });

  test("is no error where the user is deleted meanwhile", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    await users.add("ann");
    await users.lock("ann", { until: timeAt(60) });
    clock.set(timeAt(60));
    let searches = 0;
    start({
      ...store,
      search: async (query) => {
        const found = await store.search(query);
        if (searches++ === 0) await users.do("ann", { type: "delete" });
        return found;
      },
    });
    await sleep(A_WHILE_MS);
    expect(searches).toBeGreaterThan(1);
    expect(errors).toEqual([]);
  });

  test("ends at once when it is told to, and leaves what comes later", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    await users.add("ann");
    await users.lock("ann", { until: timeAt(60) });
    const { stop, done } = start(store, NEVER_MS);
    await sleep(50);
    stop.abort();
    await done;
    clock.set(timeAt(60));
    await sleep(A_WHILE_MS);
    expect(await endings(store)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("that is told to stop before it starts does nothing", async () => {
    const store = await open();
    const stop = new AbortController();
    stop.abort();
    let searches = 0;
    const search: EventStore["search"] = (query) => {
      searches++;
      return store.search(query);
    };
    const { execute } = usersIn(store, clock);
    await expireLocks({ store: { ...store, search }, execute, clock, signal: stop.signal, onError: fail });
    expect(searches).toBe(0);
  });
});

function fail(error: unknown): never {
  throw error;
}
