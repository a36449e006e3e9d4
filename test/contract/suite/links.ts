import type { EventStore } from "../../../src/store/port.ts";
import { change, claiming, outcomesOf } from "../../support/stores/appends.ts";

/** The link from a badge to the user who holds it. */
const HOLDER = { kind: "user", field: "state.holder.id" };

export function describeLinks(current: () => EventStore): void {
  const named = (state: unknown) => ({ ...claiming("badge", ["badge:1"]), kind: "badge", state });
  const other = (id: string, kind = "user") => change(id, { kind, state: { id, kind } });

  describe("the stream that a link names", () => {
    test("is found together with the stream that names it, each as a load returns it", async () => {
      const store = current();
      await store.append(named({ holder: { id: "änne" }, user: "bob" }));
      await outcomesOf([other("änne"), other("bob"), other("änne", "robot")].map(store.append));
      await store.append(change("änne", { expectedVersion: 1, owner: { type: "org", id: "a" }, state: { n: 1.5 } }));
      const record = await store.load("badge", "badge");
      for (const link of [HOLDER, { kind: "robot", field: "state.holder.id" }, { kind: "user", field: "state.user" }]) {
        const id = link.field === "state.user" ? "bob" : "änne";
        const found = await store.loadByClaimWith("badge:1", link);
        expect(found).toEqual({ record, other: await store.load(link.kind, id) });
        expect(found?.other?.id).toBe(id);
      }
    });

    test.each([
      ["to an unknown stream", { holder: { id: "nobody" } }],
      ["with a number", { holder: { id: 42 } }],
      ["with null", { holder: { id: null } }],
      ["with an object", { holder: { id: { id: "42" } } }],
      ["in another field", { holder: "42", id: "42" }],
      ["in no field", {}],
    ])("is not found by a link %s", async (_, state) => {
      const store = current();
      await outcomesOf([named(state), other("42"), other("null")].map(store.append));
      const found = await store.loadByClaimWith("badge:1", HOLDER);
      expect(found?.record).toEqual(await store.load("badge", "badge"));
      expect(found?.other).toBeUndefined();
      for (const claim of ["badge:2", "badge:\u0000"]) {
        expect(await store.loadByClaimWith(claim, HOLDER)).toBeUndefined();
      }
    });

    test("can be the stream that names it", async () => {
      const store = current();
      await store.append({ ...claiming("u1", ["name:ann"]), state: { holder: { id: "u1" } } });
      const record = await store.load("user", "u1");
      expect(await store.loadByClaimWith("name:ann", HOLDER)).toEqual({ record, other: record });
    });

    test("is found with each of many streams that name it, during other look-ups", async () => {
      const store = current();
      const badges = Array.from({ length: 20 }, (_, n) => ({
        ...named({ holder: { id: `u${n % 3}` } }),
        id: `b${n}`,
        claims: { add: [`badge:${n}`], remove: [] },
      }));
      await outcomesOf([...badges, other("u0"), other("u1")].map(store.append));
      const [found, alone, missing] = await Promise.all([
        Promise.all(badges.map((_, n) => store.loadByClaimWith(`badge:${n}`, HOLDER))),
        Promise.all(badges.map((_, n) => store.loadByClaim(`badge:${n}`))),
        store.loadByClaimWith("badge:none", HOLDER),
      ]);
      expect(found.map((pair) => pair?.other?.id)).toEqual(badges.map((_, n) => (n % 3 < 2 ? `u${n % 3}` : undefined)));
      expect(found.map((pair) => pair?.record)).toEqual(alone);
      expect(alone.map((record) => record?.id)).toEqual(badges.map(({ id }) => id));
      expect(missing).toBeUndefined();
    });

    test("is found with its latest version, even after earlier look-ups", async () => {
      const store = current();
      await outcomesOf([named({ holder: { id: "u1" } }), other("u1")].map(store.append));
      const versions = () =>
        Promise.all(
          Array.from({ length: 3 }, async () => (await store.loadByClaimWith("badge:1", HOLDER))?.other?.version),
        );
      for (let version = 1; version <= 20; version++) {
        expect(await versions()).toEqual([version, version, version]);
        await store.append(change("u1", { expectedVersion: version }));
      }
      await store.append({ ...claiming("badge", [], ["badge:1"], 1), kind: "badge" });
      expect(await versions()).toEqual([undefined, undefined, undefined]);
    });

    test("is visible as soon as its append is answered", async () => {
      const store = current();
      const seen = Array.from({ length: 50 }, async (_, n) => {
        const badge = {
          ...named({ holder: { id: `u${n}` } }),
          id: `b${n}`,
          claims: { add: [`badge:${n}`], remove: [] },
        };
        await Promise.all([store.append(badge), store.append(other(`u${n}`))]);
        await store.append(change(`u${n}`, { expectedVersion: 1 }));
        return (await store.loadByClaimWith(`badge:${n}`, HOLDER))?.other?.version;
      });
      expect(await Promise.all(seen)).toEqual(seen.map(() => 2));
    });
  });
}
