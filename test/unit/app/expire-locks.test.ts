// Proves that the end of a lock is logged once, on time.
import { setTimeout as sleep } from "node:timers/promises";
import { expireLocks } from "../../../src/app/startup/expire-locks.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { handClock, usersIn } from "../../support/servers/app.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";
import { timeAt } from "../../support/user-story.ts";

/** The time between two searches for ended locks. */
const SWEEP_MS = 20;
/** Longer than a few searches take. */
const A_WHILE_MS = 200;
/** Longer than any test waits. */
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

/** Starts to expire locks in this store, as a server does. */
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

/** Resolves when the log has `count` ended locks, and fails after 50 seconds. */
async function untilEnded(store: EventStore, count: number) {
  const deadline = performance.now() + 50_000;
  while ((await endings(store)).length < count && performance.now() < deadline) await sleep(5);
  expect(await endings(store)).toHaveLength(count);
}

describe("a lock whose end has come", () => {
  test("is logged as ended within seconds, and not earlier", async () => {
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

  test("is logged as ended at the next start if no server ran at that time", async () => {
    const store = await open();
    const users = usersIn(store, clock);
    await users.add("ann");
    await users.lock("ann", { until: timeAt(60) });
    clock.set(timeAt(1e6));
    start(store);
    await untilEnded(store, 1);
    expect((await store.load("user", "ann"))?.changed).toBe(timeAt(1e6));
  });

  test("is logged as ended once, even if another command logged its end", async () => {
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

  test("is logged as ended for an automatic lock too", async () => {
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

  test("is logged as ended without a pause when one search cannot return all ended locks", async () => {
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

  test("is logged as ended once by two processes on one file", async () => {
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

describe("expiring locks", () => {
  test("continues after a store error, and reports the error", async () => {
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

  test("continues with other locks when one cannot be ended", async () => {
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

  test("reports no error when a user is deleted at the same time", async () => {
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

  test("stops at once when aborted, and ends no later locks", async () => {
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

  test("searches for nothing if it is aborted before it starts", async () => {
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
