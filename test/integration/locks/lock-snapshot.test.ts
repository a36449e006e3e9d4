// Proves that a client of WatchLocks always knows who may not act: on both stores, with disconnects and two servers.
import { setTimeout as sleep } from "node:timers/promises";
import { createExecute, systemCaller } from "../../../src/app/execute.ts";
import { expireLocks } from "../../../src/app/startup/expire-locks.ts";
import { systemClock } from "../../../src/clock.ts";
import type { Owner } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import { denialOf } from "../../../src/domain/user-state.ts";
import { type EventStore, load, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { until } from "../../support/stores/appends.ts";
import { openStoreAt, STORES } from "../../support/stores/stores.ts";
import {
  createKnown,
  idsOf,
  isCurrent,
  isDone,
  type LockWatching,
  lockWatchersOf,
} from "../../support/watch/lock-watching.ts";
import { INSTANCE, orgOf, VIEWER } from "../../support/watch/watching.ts";

const clock = systemClock();

/** Changes users of a store as a server does. */
function changing(store: EventStore) {
  const execute = createExecute({ store, clock });
  const change = (id: string, command: UserCommand, newOwner?: Owner) =>
    execute(user, { id, command, permission: "user.write", ...(newOwner && { newOwner }) }, systemCaller("operator"));
  return {
    execute,
    change,
    create: (id: string, owner = INSTANCE) =>
      change(id, { type: "create", id, owner, profile: {}, usernames: [] }, owner),
    lock: (id: string) => change(id, { type: "lock", reason: "test", note: "" }),
  };
}

/** Random numbers below 1 from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

const STEPS = 300;
const IDS = Array.from({ length: 25 }, (_, index) => `user-${index}`);

describe.each(STORES)("on %s, with two servers", (_, make) => {
  test("a client that reconnects at random knows who is denied after 300 random changes", async () => {
    const seed = Date.now() % 1_000_000;
    const random = randomOf(seed);
    const pick = <One>(all: readonly One[]) => all[Math.floor(random() * all.length)] as One;
    const empty = await make();
    const stores = [await openStoreAt(empty.url), await openStoreAt(empty.url)] as const;
    const servers = stores.map((store) => ({ ...changing(store), watch: lockWatchersOf(store, { clock, page: 3 }) }));
    const stop = new AbortController();
    const sweeping = expireLocks({
      store: stores[0],
      execute: servers[0]!.execute,
      clock,
      signal: stop.signal,
      onError() {},
      sweepMs: 20,
    });
    await Promise.all(IDS.map((id) => servers[0]!.create(id)));

    const known = createKnown();
    let stream: LockWatching | undefined;
    let heard = 0;
    const hearAll = () => {
      for (; stream && heard < stream.messages.length; heard++) known.hear(stream.messages[heard]!);
    };
    const connect = () => {
      known.begin();
      const after = known.cursor();
      stream = pick(servers).watch(after === undefined ? {} : { after });
      heard = 0;
    };
    connect();
    const commands: (() => UserCommand)[] = [
      () => ({ type: "lock", reason: "test", note: "" }),
      () => ({ type: "lock", reason: "test", note: "", duration: Math.ceil(random() * 300_000) }),
      () => ({ type: "unlock" }),
      () => ({ type: "deactivate" }),
      () => ({ type: "activate" }),
    ];
    const pending: Promise<unknown>[] = [];
    for (let step = 0; step < STEPS; step++) {
      // Few are deleted, because they stay so.
      const command: UserCommand = random() < 0.02 ? { type: "delete" } : pick(commands)();
      const change = pick(servers).change(pick(IDS), command);
      pending.push(change.catch((error) => expect(error).toBeInstanceOf(DomainError)));
      if (random() < 0.3) await Promise.all(pending.splice(0));
      if (random() < 0.1) {
        // The client has perhaps not heard the end of the snapshot.
        hearAll();
        await stream!.leave();
        connect();
      }
    }
    await Promise.all(pending);
    // All short locks end.
    await sleep(350);
    const deniedNow = async () => {
      const records = await Promise.all(IDS.map((id) => load(stores[0], user, id)));
      const causes = records.map((record) => [record!.id, denialOf(record!.state, clock())?.cause] as const);
      return Object.fromEntries(causes.filter(([, cause]) => cause).sort(([a], [b]) => (a < b ? -1 : 1)));
    };
    const isEqual = async () => {
      hearAll();
      return JSON.stringify(known.deniedAt(clock() / 1_000)) === JSON.stringify(await deniedNow());
    };
    for (let waited = 0; waited < 10_000 && !(await isEqual()); waited += 20) await sleep(20);
    hearAll();
    expect({ seed, denied: known.deniedAt(clock() / 1_000) }).toEqual({ seed, denied: await deniedNow() });
    expect(Object.keys(await deniedNow()).length).toBeGreaterThan(0);

    // A new client gets the same by its snapshot alone.
    const fresh = createKnown();
    const second = servers[1]!.watch();
    await until(() => second.messages.some(isDone));
    for (const message of second.messages) fresh.hear(message);
    expect({ seed, denied: fresh.deniedAt(clock() / 1_000) }).toEqual({ seed, denied: await deniedNow() });
    await Promise.all([stream!.leave(), second.leave()]);
    stop.abort();
    await sweeping;
    await Promise.all(stores.map((store) => store.close()));
    await empty.remove();
  });
});

describe("the snapshot", () => {
  let store: EventStore;

  beforeEach(async () => {
    store = await openSqliteStore(":memory:", "default");
  });
  afterEach(() => store.close());

  /** Creates locked users in turn of two organizations. */
  async function lockMany(count: number): Promise<string[]> {
    const { create, lock } = changing(store);
    const ids = Array.from({ length: count }, (_, index) => `user-${String(index).padStart(5, "0")}`);
    await Promise.all(ids.map((id, index) => create(id, orgOf(index % 2 === 0 ? "even" : "odd"))));
    await Promise.all(ids.map(lock));
    return ids;
  }

  test("of 3,000 users comes in small parts, and other work has its turn between them", async () => {
    const ids = await lockMany(3_000);
    let reads = 0;
    let turns = 0;
    const counted: EventStore = {
      ...store,
      async holders(...query) {
        reads++;
        return store.holders(...query);
      },
    };
    const stream = lockWatchersOf(counted, { clock, page: 100 })();
    const count = () => {
      turns++;
      if (!stream.messages.some(isDone)) setImmediate(count);
    };
    setImmediate(count);
    await until(() => stream.messages.some(isDone));
    expect(idsOf(stream.messages)).toEqual(ids);
    const sizes = stream.messages.map((message) => idsOf([message]).length);
    expect(Math.max(...sizes)).toBe(100);
    expect(reads).toBeGreaterThanOrEqual(30);
    expect(turns).toBeGreaterThanOrEqual(30);
    const upToDone = stream.messages.slice(0, stream.messages.findIndex(isDone) + 1);
    expect(upToDone.filter(({ cursor }) => cursor !== "")).toEqual([]);
    await stream.leave();
  });

  test("is read no further than one part before a client that reads nothing", async () => {
    await lockMany(40);
    let reads = 0;
    const counted: EventStore = {
      ...store,
      async holders(...query) {
        reads++;
        return store.holders(...query);
      },
    };
    let open = () => {};
    const reading = new Promise<boolean>((resolve) => {
      open = () => resolve(true);
    });
    let isOpen = false;
    const stream = lockWatchersOf(counted, { clock, page: 4 })(
      {},
      { takes: () => isOpen, ready: () => (isOpen ? undefined : reading) },
    );
    await until(() => reads === 1);
    await sleep(50);
    expect(reads).toBe(1);
    isOpen = true;
    open();
    await until(() => stream.messages.some(isDone));
    expect(idsOf(stream.messages)).toHaveLength(40);
    await stream.leave();
  });

  test("ends with WATCHER_TOO_SLOW for a client that reads nothing", async () => {
    await lockMany(10);
    const stream = lockWatchersOf(store, { clock, page: 2 })({}, { takes: () => false, ready: async () => false });
    expect(await stream.ended).toBe("WATCHER_TOO_SLOW");
  });

  test("keeps the stream alive while the store is slow or unavailable, without a cursor", async () => {
    const ids = await lockMany(4);
    let isSlow = true;
    let failures = 0;
    const slow: EventStore = {
      ...store,
      async holders(...query) {
        if (query[0].after !== undefined && failures++ < 2) throw new StoreUnavailable("test");
        while (isSlow) await sleep(5);
        return store.holders(...query);
      },
    };
    const stream = lockWatchersOf(slow, { clock, page: 2, heartbeatMs: 20 })();
    await until(() => stream.messages.length >= 4);
    expect(stream.messages.map(({ cursor, content }) => [cursor, content.case])).toEqual(
      stream.messages.map(() => ["", undefined]),
    );
    isSlow = false;
    await until(() => stream.messages.some(isDone));
    expect(idsOf(stream.messages)).toEqual(ids);
    await stream.leave();
  });

  test("ends with the error of a call once the token is gone, and sends no user after that", async () => {
    await lockMany(10);
    let admissions = 0;
    const readmit = async () => {
      if (++admissions > 3) throw new DomainError("TOKEN_INVALID", "The token was revoked.");
      return VIEWER;
    };
    const stream = lockWatchersOf(store, { clock, page: 2 })({}, { readmit });
    expect(await stream.ended).toBe("TOKEN_INVALID");
    // The first admission is before the first part.
    expect(idsOf(stream.messages)).toHaveLength(4);
  });

  test("has no more users of an organization whose grant is gone, even if they were read before", async () => {
    const ids = await lockMany(10);
    let admissions = 0;
    const ofEven = { ...VIEWER, grants: [{ role: "GATEWAY" as const, organization: "even" }] };
    const readmit = async () => (++admissions > 2 ? ofEven : VIEWER);
    const stream = lockWatchersOf(store, { clock, page: 4 })({}, { readmit });
    await until(() => stream.messages.some(isDone));
    expect(idsOf(stream.messages)).toEqual([...ids.slice(0, 4), ids[4], ids[6], ids[8]]);
    await stream.leave();
  });

  test("is followed by the changes that happened while it was read", async () => {
    const ids = await lockMany(6);
    const { change } = changing(store);
    let reads = 0;
    const changed: EventStore = {
      ...store,
      async holders(...query) {
        if (++reads === 2) {
          await change(ids[0]!, { type: "unlock" });
          // The tail of the log gets ahead of the snapshot.
          await sleep(50);
        }
        return store.holders(...query);
      },
    };
    const stream = lockWatchersOf(changed, { clock, page: 2 })();
    await until(() => stream.messages.some(isCurrent));
    expect(idsOf(stream.messages)).toEqual(ids);
    const after = stream.messages.slice(stream.messages.findIndex(isDone) + 1);
    expect(after.map(({ content }) => content.value)).toMatchObject([{ userId: ids[0], denied: false }, {}]);
    expect(after.map(isCurrent)).toEqual([false, true]);
    await stream.leave();
  });

  test("and a resumed stream are current after the changes that were missed, and not before", async () => {
    const ids = await lockMany(2);
    const first = lockWatchersOf(store, { clock })();
    await until(() => first.messages.some(isCurrent));
    const { cursor: after } = first.messages.find(isCurrent)!;
    await first.leave();
    await changing(store).change(ids[0]!, { type: "unlock" });
    const second = lockWatchersOf(store, { clock })({ after });
    await until(() => second.messages.some(isCurrent));
    expect(second.messages.map(({ content }) => content.case)).toEqual([undefined, "change", undefined]);
    expect(second.messages.map(isCurrent)).toEqual([false, false, true]);
    await second.leave();
  });

  test("is current no longer while the log cannot be read", async () => {
    let isAway = false;
    const broken: EventStore = {
      ...store,
      read: (...query) => (isAway ? Promise.reject(new StoreUnavailable("test")) : store.read(...query)),
    };
    const stream = lockWatchersOf(broken, { clock, heartbeatMs: 10, currentMs: 50 })();
    const lastAre = (expected: boolean) =>
      until(() => stream.messages.slice(-3).every((one) => isCurrent(one) === expected));
    await until(() => stream.messages.some(isCurrent));
    await lastAre(true);
    isAway = true;
    await lastAre(false);
    isAway = false;
    await lastAre(true);
    await stream.leave();
  });

  test("holds a place of the quota, and refuses an invalid cursor and an organization out of reach", async () => {
    const watch = lockWatchersOf(store, { clock, places: 2 });
    const first = watch();
    await until(() => first.messages.some(isDone));
    expect(await watch({ after: "not a cursor" }).ended).toBe("INVALID_REQUEST");
    const ofEven = { ...VIEWER, grants: [{ role: "GATEWAY" as const, organization: "even" }] };
    expect(await watch({ organization: "odd" }, { principal: ofEven }).ended).toBe("PERMISSION_MISSING");
    expect(await watch().ended).toBe("TOO_MANY_REQUESTS");
    expect(await first.leave()).toBe("CANCELLED");
  });

  test("is followed by changes, of which all watchers get the same message", async () => {
    const { create, lock } = changing(store);
    await create("alice");
    const watch = lockWatchersOf(store, { clock });
    const streams = [watch(), watch()];
    for (const { messages } of streams) await until(() => messages.some(isCurrent));
    await lock("alice");
    for (const { messages } of streams) await until(() => messages.at(-1)?.content.case === "change");
    const [one, other] = streams.map(({ messages }) => messages.at(-1));
    expect(one).toBe(other);
    await Promise.all(streams.map((stream) => stream.leave()));
  });
});
