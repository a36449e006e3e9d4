// Proves that long searches delay nothing else, and end when their caller is gone.
import type { EventStore } from "../../src/store/port.ts";
import type { Query } from "../../src/store/query.ts";
import { change } from "../support/stores/appends.ts";
import { openStoreAt, STORES } from "../support/stores/stores.ts";

const STREAMS = 500;
const NAMES = 150;

const page = { order: { keys: [], descending: false }, offset: 0, limit: 10 };

/** A search that takes longer than any test. */
const LONG: Query = {
  kind: "user",
  where: {
    any: Array.from({ length: 300 }, (_, index) => ({
      some: "state.names",
      where: { field: "element.name", text: "contains" as const, value: `nobody ${index}` },
    })),
  },
  ...page,
};
const SHORT: Query = { kind: "user", where: { field: "id", is: "u1" }, ...page };

describe.each(STORES)("%s: a long search", (_, make) => {
  let store: EventStore;
  let remove: () => Promise<void> | void;

  beforeAll(async () => {
    const empty = await make();
    remove = empty.remove;
    store = await openStoreAt(empty.url);
    const names = Array.from({ length: NAMES }, (_, index) => ({ name: `name ${index}` }));
    await Promise.all(
      Array.from({ length: STREAMS }, (_, index) => store.append(change(`u${index}`, { state: { names } }))),
    );
  });
  afterAll(async () => {
    await store.close();
    await remove();
  });

  /** Starts `count` long searches. `end` aborts them and checks that they reject. */
  function startLong(count: number): { settled: number; end(): Promise<void> } {
    const controller = new AbortController();
    const reason = new Error("the caller is gone");
    const searches = Array.from({ length: count }, () => store.search(LONG, { signal: controller.signal }));
    const running = {
      settled: 0,
      async end() {
        controller.abort(reason);
        for (const search of searches) await expect(search).rejects.toBe(reason);
      },
    };
    for (const search of searches) {
      const settle = () => {
        running.settled++;
      };
      search.then(settle, settle);
    }
    return running;
  }

  test("ends when its signal is aborted, and the next search is answered", async () => {
    for (let round = 0; round < 3; round++) {
      const running = startLong(8);
      await store.search(SHORT, { isLookUp: true });
      await running.end();
      expect((await store.search(SHORT)).total).toBe(1);
    }
  });

  test("delays no look-up, no page of the log and no change, even if eight run at once", async () => {
    const running = startLong(8);
    expect((await store.search(SHORT, { isLookUp: true })).total).toBe(1);
    expect((await store.read({ limit: 1, where: { types: ["user.created"] } })).events).toHaveLength(1);
    expect((await store.append(change(`new ${running.settled}`))).outcome).toBe("appended");
    expect(running.settled).toBe(0);
    await running.end();
  });

  test("ends when its signal is aborted, if it counts", async () => {
    const controller = new AbortController();
    const reason = new Error("the caller is gone");
    const part = { where: LONG.where, tests: [], top: { field: "state.name", limit: 1 } };
    const count = store.count({ ...LONG, tests: [LONG.where], part }, controller.signal);
    expect((await store.search(SHORT, { isLookUp: true })).total).toBe(1);
    controller.abort(reason);
    await expect(count).rejects.toBe(reason);
  });

  test("is not begun, nor is a page read, for an aborted caller", async () => {
    const reason = new Error("the caller is gone");
    const signal = AbortSignal.abort(reason);
    await expect(store.search(SHORT, { signal })).rejects.toBe(reason);
    await expect(store.read({ limit: 1, where: { types: ["user.created"] } }, signal)).rejects.toBe(reason);
  });
});
