import { setTimeout as sleep } from "node:timers/promises";
import { type EventStore, StoreUnavailable } from "../../src/store/port.ts";
import { change, claiming, inShort, NOW, outcomesOf, readAll, readWhile, until } from "../support/appends.ts";

export function describeLog(current: () => EventStore): void {
  describe("read", () => {
    test("gives every event as it was appended, those of one append one after another", async () => {
      const store = current();
      const actor = { subject: "operator", tokenId: "t1", requestId: "r1", address: "::1", userAgent: "curl/8" };
      const events = [
        { type: "user.created", data: { name: "Änne 😀", list: [1, null, { deep: true }] } },
        { type: "user.locked", data: {} },
      ];
      await store.append(change("u1", { events, actor }));
      await store.append(change("t1", { kind: "token", time: NOW + 1 }));

      const { events: read, cursor } = await store.read(undefined, 10);
      expect(read).toMatchObject([
        { kind: "user", id: "u1", version: 1, time: NOW, actor, ...events[0] },
        { kind: "user", id: "u1", version: 2, time: NOW, actor, ...events[1] },
        { kind: "token", id: "t1", version: 1, time: NOW + 1, actor: { subject: "operator" }, type: "user.created" },
      ]);
      expect(new Set(read.map((event) => event.cursor)).size).toBe(3);
      expect(cursor).toBe(read[2]?.cursor);
    });

    test("of an empty log is empty, from the beginning and for good", async () => {
      expect(await current().read(undefined, 10)).toEqual({ events: [], cursor: undefined });
    });

    test("goes on from the cursor of a page or of any event, and stays at the end", async () => {
      const store = current();
      for (let version = 0; version < 5; version++) await store.append(change("u1", { expectedVersion: version }));
      const first = await store.read(undefined, 2);
      expect(inShort(first.events)).toEqual(["u1 1", "u1 2"]);
      const second = await store.read(first.cursor, 2);
      expect(inShort(second.events)).toEqual(["u1 3", "u1 4"]);
      expect(inShort(await readAll(store, 10, first.events[0]?.cursor))).toEqual(["u1 2", "u1 3", "u1 4", "u1 5"]);

      const last = await store.read(second.cursor, 2);
      expect(inShort(last.events)).toEqual(["u1 5"]);
      expect(await store.read(last.cursor, 2)).toEqual({ events: [], cursor: last.cursor });
      await store.append(change("u2"));
      expect(inShort((await store.read(last.cursor, 2)).events)).toEqual(["u2 1"]);
    });

    test("misses no event and gives none twice while others append", async () => {
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

  describe("onAppend", () => {
    test("calls after an append, and not once it was told to stop", async () => {
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
  describe("check", () => {
    test("resolves while the store can be read and written, and rejects once it is closed", async () => {
      const store = current();
      await expect(store.check()).resolves.toBeUndefined();
      await store.close();
      await expect(store.check()).rejects.toBeInstanceOf(StoreUnavailable);
    });
  });

  describe("close", () => {
    test("finishes the appends that were accepted", async () => {
      const store = current();
      const appends = Array.from({ length: 100 }, (_, index) => store.append(change(`u${index}`)));
      await store.close();
      expect(await outcomesOf(appends)).toEqual(appends.map(() => "appended"));
      if (reopen) expect(await readAll(await reopen())).toHaveLength(100);
    });

    test("lets go of the searches that were accepted, with an answer", async () => {
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
        () => store.search({ kind: "user", where: { all: [] }, ...page }),
        () => store.read(undefined, 10),
      ];
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(StoreUnavailable);
      expect(() => store.onAppend(() => {})()).not.toThrow();
    });

    test("may be called again, and is done when it says so", async () => {
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
