import type { EventStore } from "../../../src/store/port.ts";
import { change, claiming, outcomesOf } from "../../support/stores/appends.ts";

export function describeHolders(current: () => EventStore): void {
  const claimsOf = async (query: Parameters<EventStore["holders"]>[0]) => {
    const { holders, hasMore } = await current().holders(query);
    return { claims: holders.map(({ claim }) => claim), hasMore };
  };

  describe("the holders of claims with a prefix", () => {
    test("are found in the order of their claims, each as a load returns it", async () => {
      const store = current();
      const made = ["b", "Z", "a", "~", "a.b"].map((id) => claiming(id, [`mark:${id}`]));
      const others = [claiming("x", ["mark", "mark9", "mark;", "marks:a", "mar:a"]), change("y")];
      await outcomesOf([...made, ...others].map(store.append));
      const { holders, hasMore } = await store.holders({ prefix: "mark:", limit: 10 });
      expect(holders.map(({ claim }) => claim)).toEqual(["mark:Z", "mark:a", "mark:a.b", "mark:b", "mark:~"]);
      expect(hasMore).toBe(false);
      for (const { claim, record } of holders) expect(record).toEqual(await store.loadByClaim(claim));
    });

    test("come page by page, and those that gave their claim up do not come", async () => {
      const store = current();
      const ids = ["a", "b", "c", "d", "e"];
      await outcomesOf(ids.map((id) => store.append(claiming(id, [`mark:${id}`]))));
      await store.append(claiming("b", [], ["mark:b"], 1));
      expect(await claimsOf({ prefix: "mark:", limit: 2 })).toEqual({ claims: ["mark:a", "mark:c"], hasMore: true });
      expect(await claimsOf({ prefix: "mark:", after: "mark:c", limit: 3 })).toEqual({
        claims: ["mark:d", "mark:e"],
        hasMore: false,
      });
      expect(await claimsOf({ prefix: "none:", limit: 2 })).toEqual({ claims: [], hasMore: false });
    });

    test("have only the named fields of their states, and a page counts only these", async () => {
      const store = current();
      const state = (id: string) => ({ id, lock: { note: `"${id}"`, until: 1.5 }, text: "x".repeat(400_000) });
      await outcomesOf(["a", "b"].map((id) => store.append({ ...claiming(id, [`mark:${id}`]), state: state(id) })));
      const only = ["state.lock", "state.missing"] as const;
      const { holders } = await store.holders({ prefix: "mark:", limit: 10, only });
      expect(holders.map(({ record }) => record.state)).toEqual(
        ["a", "b"].map((id) => ({ lock: { note: `"${id}"`, until: 1.5 }, missing: null })),
      );
    });

    test("fill a page up to its length limit, and one always fits", async () => {
      const store = current();
      const large = (id: string) => ({ ...claiming(id, [`mark:${id}`]), state: { id, text: "x".repeat(400_000) } });
      await outcomesOf(["a", "b", "c"].map((id) => store.append(large(id))));
      expect(await claimsOf({ prefix: "mark:", limit: 10 })).toEqual({ claims: ["mark:a"], hasMore: true });
      expect(await claimsOf({ prefix: "mark:", after: "mark:b", limit: 10 })).toEqual({
        claims: ["mark:c"],
        hasMore: false,
      });
    });

    test("are not read for a signal that has aborted", async () => {
      const reason = new Error("gone");
      await expect(current().holders({ prefix: "mark:", limit: 1 }, AbortSignal.abort(reason))).rejects.toBe(reason);
    });
  });
}
