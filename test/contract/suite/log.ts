import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Owner } from "../../../src/domain/access.ts";
import {
  type EventFilter,
  type EventStore,
  LOG_START,
  type RecordedEvent,
  StoreUnavailable,
} from "../../../src/store/port.ts";
import {
  change,
  claiming,
  inShort,
  NOW,
  outcomesOf,
  readAll,
  readWhile,
  receipt,
  until,
} from "../../support/stores/appends.ts";

export function describeLog(current: () => EventStore): void {
  describe("reading the log", () => {
    test("returns every event as it was appended, with the events of one append together", async () => {
      const store = current();
      const actor = { subject: "operator", tokenId: "t1", requestId: "r1", address: "::1", userAgent: "curl/8" };
      const events = [
        { type: "user.created", data: { name: "Änne 😀", list: [1, null, { deep: true }] } },
        { type: "user.locked", data: {} },
      ];
      await store.append(change("u1", { events, actor }));
      await store.append(change("t1", { kind: "token", time: NOW + 1 }));

      const { events: read, cursor } = await store.read({ limit: 10 });
      expect(read).toMatchObject([
        { kind: "user", id: "u1", version: 1, time: NOW, actor, ...events[0] },
        { kind: "user", id: "u1", version: 2, time: NOW, actor, ...events[1] },
        { kind: "token", id: "t1", version: 1, time: NOW + 1, actor: { subject: "operator" }, type: "user.created" },
      ]);
      expect(new Set(read.map((event) => event.cursor)).size).toBe(3);
      expect(cursor).toBe(read[2]?.cursor);
    });

    test("of an empty store gives empty pages", async () => {
      expect(await current().read({ limit: 10 })).toEqual({ events: [], cursor: LOG_START, hasMore: false });
    });

    test("continues from the cursor of a page or an event, and stays at the end", async () => {
      const store = current();
      for (let version = 0; version < 5; version++) await store.append(change("u1", { expectedVersion: version }));
      const first = await store.read({ limit: 2 });
      expect(inShort(first.events)).toEqual(["u1 1", "u1 2"]);
      const second = await store.read({ from: first.cursor, limit: 2 });
      expect(inShort(second.events)).toEqual(["u1 3", "u1 4"]);
      expect(inShort(await readAll(store, 10, first.events[0]?.cursor))).toEqual(["u1 2", "u1 3", "u1 4", "u1 5"]);

      const last = await store.read({ from: second.cursor, limit: 2 });
      expect(inShort(last.events)).toEqual(["u1 5"]);
      expect(await store.read({ from: last.cursor, limit: 2 })).toEqual({
        events: [],
        cursor: last.cursor,
        hasMore: false,
      });
      await store.append(change("u2"));
      expect(inShort((await store.read({ from: last.cursor, limit: 2 })).events)).toEqual(["u2 1"]);
    });

    test("returns every event once during concurrent appends", async () => {
      const store = current();
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let version = 0; version < 25; version++) {
          await store.append(change(`u${writer}`, { expectedVersion: version }));
        }
      });
      const seen = await readWhile(store, writers, 7);
      expect(seen).toHaveLength(200);
      expect(seen).toEqual(await readAll(store));
      for (let writer = 0; writer < 8; writer++) {
        const versions = seen.filter(({ id }) => id === `u${writer}`).map(({ version }) => version);
        expect(versions).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
      }
    });
  });

  describe("reading the log with a filter", () => {
    const HOUR = 3_600_000_000;

    /** Events of users a1 and b1 of organizations, of c1 of the instance, of a session, a token and the system. */
    async function fill(store: EventStore): Promise<void> {
      const [a, b] = ["a", "b"].map((id) => ({ type: "org", id }) as const);
      const created = { type: "user.created", data: {} };
      const locked = { type: "user.locked", data: {} };
      const fraud = { subject: "fraud-detector", tokenId: "t1" };
      await store.append(change("a1", { owner: a!, userId: "a1" }));
      await store.append(change("b1", { owner: b!, userId: "b1", events: [created, locked], time: NOW + HOUR }));
      await store.append(
        change("a1", { owner: a!, userId: "a1", events: [locked], expectedVersion: 1, actor: fraud, time: NOW + HOUR }),
      );
      await store.append(change("c1", { userId: "c1", time: NOW + 2 * HOUR }));
      const opened = [{ type: "session.opened", data: {} }];
      await store.append(change("s1", { kind: "session", owner: a!, userId: "a1", events: opened, actor: fraud }));
      const system = { type: "system", id: "a" } as const;
      await store.append(change("root", { owner: system, userId: "root", time: NOW + 3 * HOUR }));
      await store.append(change("t1", { kind: "token", events: [{ type: "token.created", data: {} }] }));
    }

    const ALL = ["a1 1", "b1 1", "b1 2", "a1 2", "c1 1", "s1 1", "root 1", "t1 1"];

    test.each<[name: string, where: EventFilter, passing: string[]]>([
      ["none", {}, ALL],
      ["owners of two types", { ownerTypes: ["org", "instance"] }, ALL.filter((one) => one !== "root 1")],
      ["no owner", { ownerTypes: [] }, []],
      ["an organization", { organizations: ["a"] }, ["a1 1", "a1 2", "s1 1"]],
      ["two organizations", { organizations: ["a", "b"] }, ["a1 1", "b1 1", "b1 2", "a1 2", "s1 1"]],
      ["no organization", { organizations: [] }, []],
      ["a user", { userIds: ["a1"] }, ["a1 1", "a1 2", "s1 1"]],
      ["users", { userIds: ["b1", "c1", "nobody"] }, ["b1 1", "b1 2", "c1 1"]],
      ["types", { types: ["user.locked", "session.opened"] }, ["b1 2", "a1 2", "s1 1"]],
      ["an actor", { actor: "fraud-detector" }, ["a1 2", "s1 1"]],
      ["from a time on", { since: NOW + HOUR }, ["b1 1", "b1 2", "a1 2", "c1 1", "root 1"]],
      ["before a time", { before: NOW + HOUR }, ["a1 1", "s1 1", "t1 1"]],
      [
        "several conditions, all of which must match",
        { organizations: ["a"], types: ["user.locked"], before: NOW + HOUR },
        [],
      ],
    ])("by %s returns the matching events in both orders, page by page", async (_, where, passing) => {
      const store = current();
      await fill(store);
      const end = await store.head();
      expect(await store.read({ limit: 100, where })).toMatchObject({ cursor: end, hasMore: false });
      for (const descending of [false, true]) {
        const expected = descending ? passing.toReversed() : passing;
        expect(inShort((await store.read({ limit: 100, descending, where })).events)).toEqual(expected);

        const seen: string[] = [];
        for (let from: string | undefined; ; ) {
          const { events, cursor, hasMore } = await store.read({ from, limit: 2, descending, where });
          seen.push(...inShort(events));
          if (!hasMore) break;
          from = cursor;
        }
        expect(seen).toEqual(expected);
      }
    });

    test.each<[name: string, where: EventFilter | undefined, passing: string[]]>([
      ["no condition", undefined, ["a 1", "b 1", "c 1", "a 2", "b 2", "c 2", "d 1"]],
      ["types", { types: ["user.created"] }, ["a 1", "b 1", "c 1", "a 2", "b 2", "c 2", "d 1"]],
      ["two organizations", { organizations: ["x", "y"] }, ["a 1", "b 1", "a 2", "b 2"]],
      ["a user", { userIds: ["a"] }, ["a 1", "a 2"]],
      ["users", { userIds: ["a", "b", "d"] }, ["a 1", "b 1", "a 2", "b 2", "d 1"]],
      ["an actor", { actor: "operator" }, ["a 1", "b 1", "c 1", "a 2", "b 2", "c 2", "d 1"]],
    ])("by %s returns the matching events if few fit on a page", async (_, where, passing) => {
      const store = current();
      const long = { type: "user.created", data: { text: "x".repeat(300_000) } };
      const owners = { a: { type: "org", id: "x" }, b: { type: "org", id: "y" }, c: { type: "instance", id: "i" } };
      for (const expectedVersion of [0, 1]) {
        for (const [id, owner] of Object.entries(owners)) {
          await store.append(change(id, { expectedVersion, userId: id, owner: owner as Owner, events: [long] }));
        }
      }
      const longest = { type: "user.created", data: { text: "x".repeat(1_500_000) } };
      await store.append(change("d", { userId: "d", events: [longest] }));
      for (const descending of [false, true]) {
        const pages: string[][] = [];
        for (let from: string | undefined; ; ) {
          const { events, cursor, hasMore } = await store.read({ from, limit: 5, descending, ...(where && { where }) });
          pages.push(inShort(events));
          if (!hasMore) break;
          from = cursor;
        }
        expect(pages.flat()).toEqual(descending ? passing.toReversed() : passing);
        for (const page of pages) expect(page.length).toBeLessThanOrEqual(page.includes("d 1") ? 1 : 2);
      }
    });

    test("of any kind returns the same as a check of each event, in both orders, with any limit and event length", async () => {
      const store = current();
      const pick = <Item>(items: readonly Item[], n: number) => items[n % items.length] as Item;
      const versions: Record<string, number> = {};
      for (let n = 0; n < 40; n++) {
        const text = "x".repeat(pick([10, 20_000, 340_000, 360_000, 720_000], n * n + (n >> 3)));
        const event = { type: pick(["user.created", "user.locked", "user.patched"], n), data: { text } };
        const userId = pick(["a", "b", "c", "d", "e"], n);
        const owner: Owner = { type: "org", id: pick(["x", "y", "z"], n) };
        const expectedVersion = versions[userId] ?? 0;
        // Half of them are the user's own events, half are of the user's sessions.
        const stream = n % 2 ? { id: userId, expectedVersion } : { id: `s${n}`, kind: "session" };
        if (n % 2) versions[userId] = expectedVersion + 1;
        await store.append(change("", { ...stream, userId, owner, events: [event], time: NOW + n }));
      }
      const all = await readAll(store);
      const some = (items: string[]) => fc.subarray(items, { minLength: 1 });
      const filter = fc.record(
        {
          organizations: some(["x", "y", "z"]),
          userIds: some(["a", "b", "c"]),
          types: some(["user.created", "user.locked"]),
        },
        { requiredKeys: [] },
      );
      await fc.assert(
        fc.asyncProperty(filter, fc.integer({ min: 1, max: 12 }), fc.boolean(), async (where, limit, descending) => {
          const seen: string[] = [];
          for (let from: string | undefined; ; ) {
            const { events, cursor, hasMore } = await store.read({ from, limit, descending, where });
            const length = events.reduce((sum, { data }) => sum + JSON.stringify(data).length, 0);
            expect(events.length <= 1 || length <= 700_000).toBe(true);
            seen.push(...inShort(events));
            if (!hasMore) break;
            expect(cursor).not.toBe(from);
            from = cursor;
          }
          const passes = ({ owner, userId, type }: RecordedEvent) =>
            (where.organizations?.includes(owner.id) ?? true) &&
            (where.userIds?.includes(userId as string) ?? true) &&
            (where.types?.includes(type) ?? true);
          const passing = inShort(all.filter(passes));
          expect(seen).toEqual(descending ? passing.toReversed() : passing);
        }),
        { numRuns: 30 },
      );
    }, 60_000);

    test("finds rare events in both orders, over several calls if needed", async () => {
      const store = current();
      const rare = (id: string) =>
        change(id, { owner: { type: "org", id: "a" }, events: [{ type: "user.locked", data: {} }] });
      const common = Array.from({ length: 100 }, () => ({ type: "user.login_failed", data: {} }));
      await store.append(rare("first"));
      const many = Array.from({ length: 450 }, (_, n) =>
        change(`u${n}`, { events: common, owner: { type: "org", id: "a" } }),
      );
      // In parts, because one commit of 45,000 events would be too large.
      for (let n = 0; n < many.length; n += 90) await Promise.all(many.slice(n, n + 90).map(store.append));
      await store.append(rare("last"));
      for (const descending of [false, true]) {
        for (const where of [{ types: ["user.locked"] }, { types: ["user.locked"], organizations: ["a", "b"] }]) {
          const seen: string[] = [];
          let reads = 0;
          for (let from: string | undefined; ; reads++) {
            const { events, cursor, hasMore } = await store.read({ from, limit: 10, descending, where });
            seen.push(...events.map(({ id }) => id));
            if (!hasMore) break;
            from = cursor;
          }
          expect(seen).toEqual(descending ? ["last", "first"] : ["first", "last"]);
          expect(reads).toBeLessThan(10);
        }
      }
    });

    test("returns the owner and the user of each event", async () => {
      const store = current();
      await fill(store);
      const { events } = await store.read({ limit: 100 });
      expect(events.map(({ id, owner, userId }) => [id, owner.type, owner.id, userId])).toEqual([
        ["a1", "org", "a", "a1"],
        ["b1", "org", "b", "b1"],
        ["b1", "org", "b", "b1"],
        ["a1", "org", "a", "a1"],
        ["c1", "instance", "default", "c1"],
        ["s1", "org", "a", "a1"],
        ["root", "system", "a", "root"],
        ["t1", "instance", "default", undefined],
      ]);
    });
  });

  describe("the cursors of a log", () => {
    test.each([
      ["in order", {}],
      ["descending", { descending: true }],
      ["with a filter", { where: { types: ["user.created"] } }],
      ["of users", { where: { userIds: ["u1"] } }],
    ])("are refused if the log has another event at the place: %s", async (_, query) => {
      const store = current();
      for (let n = 0; n < 3; n++) await store.append(change(`u${n}`));
      const { events } = await store.read({ limit: 3 });
      for (const { cursor } of events) {
        // The last digit of the time.
        const other = cursor.replace(/.$/, (digit) => String((Number(digit) + 1) % 10));
        await expect(store.read({ from: other, limit: 1, ...query })).rejects.toMatchObject({
          reason: "INVALID_REQUEST",
        });
        await store.read({ from: cursor, limit: 1, ...query });
      }
    });

    test("sort as text in the order of the log, after LOG_START", async () => {
      const store = current();
      for (let n = 0; n < 120; n++) await store.append(change(`u${n}`));
      const cursors = (await readAll(store)).map(({ cursor }) => cursor);
      expect([LOG_START, ...cursors]).toEqual([LOG_START, ...cursors].sort());
      expect(new Set([LOG_START, ...cursors]).size).toBe(121);
      expect((await store.read({ from: LOG_START, limit: 200 })).events).toHaveLength(120);
    });

    test("include one for the head, between the present events and later ones", async () => {
      const store = current();
      expect(await store.head()).toBe(LOG_START);
      await store.append(change("u1"));
      const head = await store.head();
      expect(inShort((await store.read({ from: head, limit: 10, descending: true })).events)).toEqual([]);
      expect((await store.read({ from: head, limit: 10 })).events).toEqual([]);
      await store.append(change("u2"));
      expect(inShort((await store.read({ from: head, limit: 10 })).events)).toEqual(["u2 1"]);
    });

    test.each(["", "x", "1", "12x", "0 ", "200", "-1", "1.5", "3'--", "zz", "1".repeat(1_000), "h1234567890123456"])(
      "are refused if they are invalid: %j",
      async (from) => {
        await expect(current().read({ from, limit: 10 })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
      },
    );
  });

  describe("a listener by onAppend", () => {
    test("is called after an append, and not after it was stopped", async () => {
      const store = current();
      const calls = { kept: 0, stopped: 0 };
      const keep = store.onAppend(() => calls.kept++);
      const stop = store.onAppend(() => calls.stopped++);
      await store.append(change("u1"));
      await until(() => calls.kept > 0 && calls.stopped > 0);

      stop();
      calls.stopped = 0;
      calls.kept = 0;
      await store.append(change("u2"));
      await until(() => calls.kept > 0);
      keep();
      calls.kept = 0;
      await store.append(change("u3"));
      await sleep(100);
      expect(calls).toEqual({ kept: 0, stopped: 0 });
    });
  });
}

export function describeClose(current: () => EventStore, reopen: (() => Promise<EventStore>) | undefined): void {
  describe("the check of a store", () => {
    test("resolves while the store is readable and writable, and rejects after close", async () => {
      const store = current();
      await expect(store.check()).resolves.toBeUndefined();
      await store.close();
      await expect(store.check()).rejects.toBeInstanceOf(StoreUnavailable);
    });
  });

  describe("closing a store", () => {
    test("finishes the accepted appends", async () => {
      const store = current();
      const appends = Array.from({ length: 100 }, (_, index) => store.append(change(`u${index}`)));
      await store.close();
      expect(await outcomesOf(appends)).toEqual(appends.map(() => "appended"));
      if (reopen) expect(await readAll(await reopen())).toHaveLength(100);
    });

    test("ends the accepted searches with an answer", async () => {
      const store = current();
      await store.append(change("u1"));
      const page = { order: { keys: [], descending: false }, offset: 0, limit: 10 };
      const searches = Array.from({ length: 10 }, () => store.search({ kind: "user", where: { all: [] }, ...page }));
      await store.close();
      expect((await Promise.all(searches)).map(({ total }) => total)).toEqual(searches.map(() => 1));
    });

    test("makes every later call StoreUnavailable", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      await store.close();
      const page = { order: { keys: [], descending: false }, offset: 0, limit: 10 };
      const calls = [
        () => store.append(change("u2")),
        () => store.load("user", "u1"),
        () => store.loadByClaim("name:ann"),
        () => store.loadByClaimWith("name:ann", { kind: "user", field: "state.id" }),
        () => store.search({ kind: "user", where: { all: [] }, ...page }),
        () => store.read({ limit: 10 }),
        () => store.head(),
        () => store.loadReceipt("key", NOW),
        () => store.keep(receipt("key"), NOW),
      ];
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(StoreUnavailable);
      expect(() => store.onAppend(() => {})()).not.toThrow();
    });

    test("can be repeated, and is complete when it resolves", async () => {
      const store = current();
      const append = store.append(change("u1"));
      let isAnswered = false;
      append.then(() => {
        isAnswered = true;
      });
      await Promise.all([store.close(), store.close().then(() => expect(isAnswered).toBe(true))]);
      await store.close();
    });
  });
}
