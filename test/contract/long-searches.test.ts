// Proves that long searches hold up nothing else, and end when nobody waits for them.
import type { EventStore, Query } from "../../src/store/port.ts";
import { change } from "../support/stores/appends.ts";
import { openStoreAt, STORES } from "../support/stores/stores.ts";

const STREAMS = 500;
const NAMES = 150;

const page = { order: { keys: [], descending: false }, offset: 0, limit: 10 };

/** It takes longer than any test. */
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

describe.each(STORES)("%s: a search that takes long", (_, make) => {
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

  /** Starts so many, and resolves with how to end them. */
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

  test("ends when its signal is aborted, and the next one is answered", async () => {
    for (let round = 0; round < 3; round++) {
      const running = startLong(8);
      await store.search(SHORT, { isLookUp: true });
      await running.end();
      expect((await store.search(SHORT)).total).toBe(1);
    }
  });

  test("holds up no look-up, no page of the log and no change, however many there are", async () => {
    const running = startLong(8);
    expect((await store.search(SHORT, { isLookUp: true })).total).toBe(1);
    expect((await store.read({ limit: 1, where: { types: ["user.created"] } })).events).toHaveLength(1);
    expect((await store.append(change(`new ${running.settled}`))).outcome).toBe("appended");
    expect(running.settled).toBe(0);
    await running.end();
  });

  test("is not begun, nor is a page read, for a caller who has gone", async () => {
    const reason = new Error("the caller is gone");
    const signal = AbortSignal.abort(reason);
    await expect(store.search(SHORT, { signal })).rejects.toBe(reason);
    await expect(store.read({ limit: 1, where: { types: ["user.created"] } }, signal)).rejects.toBe(reason);
  });
});
