// Proves that watchers get events, heartbeats and a reason when the stream ends.
import { setTimeout as sleep } from "node:timers/promises";
import type { WatchQuestion } from "../../../src/app/follow/watch.ts";
import type { Grant, Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { readAll, until } from "../../support/stores/appends.ts";
import { areWatching, happen, INSTANCE, orgOf, SYSTEM, VIEWER, watchersOf } from "../../support/watch/watching.ts";

let store: EventStore;

beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
});
afterEach(() => store.close());

const allCursors = async () => (await readAll(store)).map(({ cursor }) => cursor);

describe("a stream of events", () => {
  test("begins with the present cursor and continues with new events", async () => {
    await happen(store);
    const watching = watchersOf(store)();
    await areWatching(watching);
    expect(watching.handed).toEqual([{ cursor: await store.head(), isCurrent: false }]);
    await happen(store);
    await until(() => watching.handed.length === 2);
    expect(watching.events()).toEqual((await allCursors()).slice(1));
    expect(await watching.leave()).toBe("CANCELLED");
  });

  test("begins with the given cursor and continues after it", async () => {
    for (let event = 0; event < 5; event++) await happen(store);
    const [first, second, ...rest] = await allCursors();
    const watching = watchersOf(store)({ after: second! });
    await until(() => watching.handed.length === 4);
    expect(watching.handed[0]).toEqual({ cursor: second, isCurrent: false });
    expect(watching.events()).toEqual(rest);
    const whole = watchersOf(store)({ after: "0" });
    await until(() => whole.handed.length === 6);
    expect(whole.events()).toEqual([first, second, ...rest]);
    await Promise.all([watching.leave(), whole.leave()]);
  });

  test("catches up with more events than fit on a page, then continues with new ones", async () => {
    await Promise.all(Array.from({ length: 2_500 }, () => happen(store)));
    const watching = watchersOf(store)({ after: "0" });
    await areWatching(watching);
    await happen(store);
    await until(() => watching.events().length === 2_501);
    expect(watching.events()).toEqual(await allCursors());
    await watching.leave();
  });

  test("sends a heartbeat with a newer cursor when no event matches", async () => {
    const watching = watchersOf(store, { heartbeatMs: 50 })({ types: ["user.locked"] });
    await areWatching(watching);
    await happen(store);
    const head = await store.head();
    await until(() => watching.last() === head);
    expect(watching.events()).toEqual([]);
    await watching.leave();
  });

  test("frees its place when it ends, and the last one stops the tail of the log", async () => {
    let listeners = 0;
    const counted: EventStore = {
      ...store,
      onAppend(listener) {
        listeners++;
        const forget = store.onAppend(listener);
        return () => {
          listeners--;
          forget();
        };
      },
    };
    const watch = watchersOf(counted, { maxWatchers: 4, maxWatchersEach: 2 });
    const [one, two] = [watch(), watch()];
    await areWatching(one, two);
    expect(await watch().ended).toBe("TOO_MANY_REQUESTS");
    expect(listeners).toBe(1);
    await one.leave();
    const three = watch();
    await areWatching(three);
    await Promise.all([two.leave(), three.leave()]);
    expect(listeners).toBe(0);
    const again = watch();
    await areWatching(again);
    await happen(store);
    await until(() => again.events().length === 1);
    await again.leave();
  });

  test("survives store errors, which are reported", async () => {
    let isBroken = false;
    let faults = 0;
    const guarded: EventStore = {
      ...store,
      read: async (query) => {
        if (isBroken) throw new StoreUnavailable("broken by the test");
        return store.read(query);
      },
    };
    const watching = watchersOf(guarded, { onFault: () => faults++ })();
    await areWatching(watching);
    isBroken = true;
    await happen(store);
    await until(() => faults > 1);
    isBroken = false;
    await until(() => watching.events().length === 1);
    await watching.leave();
  });

  test("ends with STORE_UNAVAILABLE once the log has lost its last events, and the next one begins at the new end", async () => {
    const restored = await openSqliteStore(":memory:", "default");
    for (let event = 0; event < 3; event++) await happen(store);
    let log = store;
    const replaced: EventStore = { ...store, read: (query) => log.read(query), head: () => log.head() };
    const watch = watchersOf(replaced, { pollMs: 5 });
    const watching = watch();
    await areWatching(watching);
    await happen(restored);
    log = restored;
    expect(await watching.ended).toBe("STORE_UNAVAILABLE");
    const next = watch();
    await areWatching(next);
    await happen(restored);
    await until(() => next.events().length === 1);
    await next.leave();
    await restored.close();
  });

  test("ends if its event cannot be delivered, and other streams continue", async () => {
    const watch = watchersOf(store);
    let isBroken = false;
    const takes = () => {
      if (isBroken) throw new Error("broken by the test");
      return true;
    };
    const [broken, other] = [watch({}, { takes }), watch()];
    await areWatching(broken, other);
    isBroken = true;
    await happen(store);
    expect(await broken.ended).toBe("Error: broken by the test");
    await until(() => other.events().length === 1);
    await other.leave();
  });

  test("is refused with STORE_UNAVAILABLE while the store is unreachable", async () => {
    const broken: EventStore = { ...store, head: () => Promise.reject(new StoreUnavailable("broken by the test")) };
    expect(await watchersOf(broken)().ended).toBe("STORE_UNAVAILABLE");
  });
});

describe("a cursor", () => {
  test.each(["x", "1", "12345", "-1", "9zzzz", "0 "])("is refused if it is %j, which is invalid", async (after) => {
    await happen(store);
    const watching = watchersOf(store)({ after });
    expect(await watching.ended).toBe("INVALID_REQUEST");
    expect(watching.handed).toEqual([]);
  });

  test("is refused if it is past the end of the log, as after a restore", async () => {
    const other = await openSqliteStore(":memory:", "default");
    for (let event = 0; event < 12; event++) await happen(other);
    await happen(store);
    expect(await watchersOf(store)({ after: await other.head() }).ended).toBe("INVALID_REQUEST");
    await other.close();
  });
});

describe("the events that a watcher gets", () => {
  const holder = (...grants: Grant[]): Principal => ({ subject: "caller", grants });
  const A = orgOf("a");
  const EVENTS = [
    { id: "u-instance", owner: INSTANCE },
    { id: "u-a", owner: A },
    { id: "u-b", owner: orgOf("b") },
    { id: "u-system", owner: SYSTEM },
    { id: "a-locked", owner: A, type: "user.locked" },
    { id: "session", owner: A, kind: "session", type: "session.opened", userId: "u-a" },
    { id: "token", owner: INSTANCE, kind: "token", type: "token.created", userId: undefined },
  ];
  const OF_INSTANCE = ["u-instance", "u-a", "u-b", "a-locked", "session", "token"];
  const OF_A = ["u-a", "a-locked", "session"];

  const CASES: [who: string, principal: Principal, question: Partial<WatchQuestion>, seen: string[] | string][] = [
    ["INSTANCE_OWNER", holder({ role: "INSTANCE_OWNER" }), {}, OF_INSTANCE],
    ["INSTANCE_VIEWER", holder({ role: "INSTANCE_VIEWER" }), {}, OF_INSTANCE],
    ["GATEWAY of the instance", holder({ role: "GATEWAY" }), {}, OF_INSTANCE],
    ["GATEWAY of a", holder({ role: "GATEWAY", organization: "a" }), {}, OF_A],
    ["ORG_OWNER of a", holder({ role: "ORG_OWNER", organization: "a" }), {}, OF_A],
    ["ORG_USER_MANAGER of b", holder({ role: "ORG_USER_MANAGER", organization: "b" }), {}, ["u-b"]],
    [
      "a holder of grants on a and b",
      holder({ role: "ORG_OWNER", organization: "a" }, { role: "GATEWAY", organization: "b" }),
      {},
      ["u-a", "u-b", "a-locked", "session"],
    ],
    ["the system", { subject: "userlock", grants: [], isSystem: true }, {}, EVENTS.map(({ id }) => id)],
    ["an instance owner who asks for organization a", holder({ role: "INSTANCE_OWNER" }), { organization: "a" }, OF_A],
    ["a GATEWAY of a that asks for a", holder({ role: "GATEWAY", organization: "a" }), { organization: "a" }, OF_A],
    [
      "a GATEWAY of a that asks for b",
      holder({ role: "GATEWAY", organization: "a" }),
      { organization: "b" },
      "PERMISSION_MISSING",
    ],
    ["a viewer who asks for one user", VIEWER, { userIds: ["u-a"] }, ["u-a", "session"]],
    ["a viewer who asks for two users", VIEWER, { userIds: ["u-a", "u-b"] }, ["u-a", "u-b", "session"]],
    ["a viewer who asks for a type", VIEWER, { types: ["user.locked"] }, ["a-locked"]],
    ["a viewer who asks for a user and a type", VIEWER, { types: ["session.opened"], userIds: ["u-a"] }, ["session"]],
    [
      "a GATEWAY of a that asks for a user of b",
      holder({ role: "GATEWAY", organization: "a" }),
      { userIds: ["u-b"] },
      [],
    ],
  ];

  test.each(CASES)("are those that the grants and filters allow: %s", async (_who, principal, question, seen) => {
    // Events reach a watcher in two ways: from the stored log, and as they are appended.
    const live = watchersOf(store)({ ...question, after: "0" }, { principal });
    if (typeof seen === "string") return expect(await live.ended).toBe(seen);
    await areWatching(live);
    for (const event of EVENTS) await happen(store, event);
    const past = watchersOf(store)({ ...question, after: "0" }, { principal });
    const end = await store.head();
    for (const watching of [live, past]) {
      await until(() => watching.events().length === seen.length);
      await sleep(20);
      expect(watching.handed.flatMap(({ event }) => event?.id ?? [])).toEqual(seen);
      expect(watching.events().every((cursor) => cursor <= end)).toBe(true);
      await watching.leave();
    }
  });
});

describe("a watcher whose rights change", () => {
  const refuse = (reason: ConstructorParameters<typeof DomainError>[0]) => () =>
    Promise.reject(new DomainError(reason, "refused by the test"));

  test.each([
    ["the revocation of its token", { kind: "token", id: "its-token", type: "token.revoked", userId: undefined }],
    ["a change of its own user", { kind: "user", id: "gateway", type: "user.locked" }],
  ])("gets no event from %s on", async (_what, event) => {
    let isAllowed = true;
    const readmit = () => (isAllowed ? Promise.resolve(VIEWER) : refuse("TOKEN_INVALID")());
    const watching = watchersOf(store)({}, { readmit });
    await areWatching(watching);
    await happen(store, { id: "before" });
    await until(() => watching.events().length === 1);
    isAllowed = false;
    await Promise.all([happen(store, event), happen(store, { id: "after" })]);
    expect(await watching.ended).toBe("TOKEN_INVALID");
    expect(watching.handed.flatMap(({ event: seen }) => seen?.id ?? [])).toEqual(["before"]);
  });

  test("continues without a gap when it is authenticated again", async () => {
    let times = 0;
    const readmit = async () => {
      times++;
      await sleep(20);
      return VIEWER;
    };
    const watching = watchersOf(store)({}, { readmit });
    await areWatching(watching);
    expect(times).toBe(1);
    await happen(store, { id: "gateway" });
    for (let event = 0; event < 20; event++) await happen(store);
    await until(() => watching.events().length === 21);
    expect(watching.events()).toEqual(await allCursors());
    expect(times).toBeGreaterThanOrEqual(2);
    await watching.leave();
  });

  test("gets no past event that is read after the refusal", async () => {
    await Promise.all(Array.from({ length: 300 }, () => happen(store)));
    let times = 0;
    const readmit = () => (++times === 3 ? refuse("TOKEN_EXPIRED")() : Promise.resolve(VIEWER));
    const watching = watchersOf(store)({ after: "0" }, { readmit });
    expect(await watching.ended).toBe("TOKEN_EXPIRED");
    expect(watching.events()).toEqual((await allCursors()).slice(0, 200));
  });

  test("is refused at the next heartbeat if no event reports the change", async () => {
    let isAllowed = true;
    const readmit = () => (isAllowed ? Promise.resolve(VIEWER) : refuse("TOKEN_EXPIRED")());
    const watching = watchersOf(store, { heartbeatMs: 50 })({}, { readmit });
    await areWatching(watching);
    isAllowed = false;
    expect(await watching.ended).toBe("TOKEN_EXPIRED");
  });

  test("gets only the events that its reduced grants allow", async () => {
    let principal: Principal = VIEWER;
    const watching = watchersOf(store)({}, { readmit: async () => principal });
    await areWatching(watching);
    principal = { ...VIEWER, grants: [{ role: "GATEWAY", organization: "a" }] };
    await happen(store, { id: "gateway", owner: orgOf("a") });
    await happen(store, { id: "u-instance" });
    await happen(store, { id: "u-a", owner: orgOf("a") });
    await until(() => watching.events().length === 2);
    expect(watching.handed.flatMap(({ event }) => event?.id ?? [])).toEqual(["gateway", "u-a"]);
    await watching.leave();
  });

  test.each(["STORE_UNAVAILABLE", "KEYS_UNAVAILABLE"] as const)(
    "keeps its stream through %s, and gets no event until it is authenticated again",
    async (reason) => {
      let isKnown = true;
      const readmit = () => (isKnown ? Promise.resolve(VIEWER) : refuse(reason)());
      const watching = watchersOf(store, { heartbeatMs: 20 })({}, { readmit });
      await areWatching(watching);
      isKnown = false;
      await happen(store, { id: "gateway" });
      await sleep(150);
      expect(watching.events()).toEqual([]);
      isKnown = true;
      await until(() => watching.events().length === 1);
      await watching.leave();
    },
  );
});

describe("a watcher that does not read", () => {
  test("does not delay others, and gets the rest when it reads again", async () => {
    let isFull = false;
    const reads = Promise.withResolvers<boolean>();
    const watch = watchersOf(store);
    const slow = watch({}, { takes: () => !isFull, ready: () => (isFull ? reads.promise : undefined) });
    const other = watch();
    await areWatching(slow, other);
    await happen(store);
    await until(() => slow.events().length === 1);
    isFull = true;
    for (let event = 0; event < 3; event++) await happen(store);
    await until(() => other.events().length === 4);
    expect(slow.events()).toHaveLength(1);
    isFull = false;
    reads.resolve(true);
    await until(() => slow.events().length === 4);
    expect(slow.events()).toEqual(await allCursors());
    await Promise.all([slow.leave(), other.leave()]);
  });

  test("is ended with WATCHER_TOO_SLOW, and can resume", async () => {
    let isFull = false;
    const watch = watchersOf(store);
    const slow = watch({}, { takes: () => !isFull, ready: () => (isFull ? Promise.resolve(false) : undefined) });
    await areWatching(slow);
    isFull = true;
    for (let event = 0; event < 3; event++) await happen(store);
    expect(await slow.ended).toBe("WATCHER_TOO_SLOW");
    const resumed = watch({ after: slow.last()! });
    await until(() => resumed.events().length === 3);
    await resumed.leave();
  });

  test("is waited for while it catches up", async () => {
    for (let event = 0; event < 30; event++) await happen(store);
    const ready = () => sleep(5, true);
    const watching = watchersOf(store)({ after: "0" }, { ready });
    await until(() => watching.events().length === 30);
    expect(watching.events()).toEqual(await allCursors());
    await watching.leave();
  });
});
