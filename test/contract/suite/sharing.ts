import type { EventStore } from "../../../src/store/port.ts";
import {
  change,
  claiming,
  holderOf,
  inShort,
  outcomeOf,
  outcomesOf,
  readAll,
  readWhile,
  until,
  versionOf,
} from "../../support/stores/appends.ts";

export function describeSharing(current: () => EventStore, open: (instance?: string) => Promise<EventStore>): void {
  describe("stores that share their data", () => {
    test("see each other's answered appends in loads, claims, the log and conflicts", async () => {
      const [one, other] = [current(), await open()];
      await one.append(claiming("u1", ["name:ann"]));
      expect(await other.load("user", "u1")).toEqual(await one.load("user", "u1"));
      expect(await holderOf(other, "name:ann")).toBe("u1");
      expect(await readAll(other)).toEqual(await readAll(one));
      expect(await other.append(change("u1"))).toEqual({ outcome: "conflict" });
      expect(await other.append(claiming("u2", ["name:ann"]))).toEqual({ outcome: "claimed", claim: "name:ann" });
    });

    test("accept one of several concurrent changes of a stream", async () => {
      const stores = [current(), await open()];
      for (let version = 0; version < 20; version++) {
        const outcomes = await outcomesOf(
          stores.flatMap((store) => [1, 2, 3].map(() => store.append(change("u1", { expectedVersion: version })))),
        );
        expect(outcomes.filter((outcome) => outcome === "appended")).toHaveLength(1);
        expect(outcomes.filter((outcome) => outcome === "conflict")).toHaveLength(5);
      }
    });

    test("accept one of two concurrent changes that require each other's streams", async () => {
      const stores = [current(), await open()] as const;
      for (let round = 0; round < 20; round++) {
        const ids = [`one ${round}`, `other ${round}`] as const;
        await outcomesOf(ids.map((id) => stores[0].append(change(id))));
        const resting = (id: string, on: string) =>
          change(id, { expectedVersion: 1, requires: [{ kind: "user", id: on, version: 1 }] });
        const outcomes = await outcomesOf([
          stores[0].append(resting(ids[0], ids[1])),
          stores[1].append(resting(ids[1], ids[0])),
        ]);
        expect(outcomes.sort()).toEqual(["appended", "conflict"]);
      }
    });

    test("give a reader every event once while both append", async () => {
      const [one, other, reader] = [current(), await open(), await open()];
      const writers = [one, other].map(async (store, writer) => {
        for (let round = 0; round < 30; round++) {
          await Promise.all([1, 2, 3].map((n) => store.append(change(`u${writer}-${round}-${n}`))));
        }
      });
      const seen = await readWhile(reader, writers, 5);
      expect(seen).toHaveLength(180);
      expect(seen).toEqual(await readAll(one));
    });

    test("get a hint of each other's appends", async () => {
      const other = await open();
      let calls = 0;
      const stop = other.onAppend(() => calls++);
      await current().append(change("u1"));
      await until(() => calls > 0);
      stop();
    });

    test("keep instances apart", async () => {
      const [one, other] = [current(), await open("other")];
      await one.append(claiming("u1", ["name:ann"]));
      expect(await other.load("user", "u1")).toBeUndefined();
      expect(await other.loadByClaim("name:ann")).toBeUndefined();
      expect(await readAll(other)).toEqual([]);

      const append = { ...claiming("u1", ["name:ann"]), state: { of: "other" } };
      expect(outcomeOf(await other.append(append))).toBe("appended");
      await one.append(change("u1", { expectedVersion: 1 }));
      expect(await versionOf(one, "u1")).toBe(2);
      expect(await versionOf(other, "u1")).toBe(1);
      expect(inShort(await readAll(one))).toEqual(["u1 1", "u1 2"]);
      expect(inShort(await readAll(other))).toEqual(["u1 1"]);
      const everything = { where: { all: [] }, order: { keys: [], descending: false }, offset: 0, limit: 10 };
      const { records, total } = await other.search({ kind: "user", ...everything });
      expect(records.map(({ state }) => state)).toEqual([{ of: "other" }]);
      expect(total).toBe(1);

      await other.append({ ...claiming("badge", ["badge:1"]), kind: "badge", state: { user: "u2" } });
      await one.append(change("u2"));
      const link = { kind: "user", field: "state.user" };
      expect((await other.loadByClaimWith("badge:1", link))?.other).toBeUndefined();
      expect(await one.loadByClaimWith("badge:1", link)).toBeUndefined();
    });

    test("look a stream up again after the other store changed it", async () => {
      const [one, other] = [current(), await open()];
      await one.append({ ...claiming("badge", ["badge:1"]), kind: "badge", state: { user: "u1" } });
      const version = async () =>
        (await one.loadByClaimWith("badge:1", { kind: "user", field: "state.user" }))?.other?.version;
      for (let expectedVersion = 0; expectedVersion < 20; expectedVersion++) {
        await other.append(change("u1", { expectedVersion }));
        expect(await version()).toBe(expectedVersion + 1);
      }
    });
  });
}
