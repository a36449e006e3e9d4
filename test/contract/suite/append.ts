import type { Append, EventStore } from "../../../src/store/port.ts";
import {
  change,
  claiming,
  holderOf,
  inShort,
  NOW,
  outcomeOf,
  outcomesOf,
  readAll,
  versionOf,
} from "../../support/stores/appends.ts";

export function describeAppend(current: () => EventStore): void {
  describe("an append", () => {
    test("answers with the stream as a load then returns it", async () => {
      const store = current();
      const append = change("u1", {
        owner: { type: "org", id: "a" },
        state: { id: "u1", email: { address: "änne@example.com" }, n: 1.5, list: [1, "two", null, { three: [] }] },
      });
      const result = await store.append(append);
      const record = {
        kind: "user",
        id: "u1",
        version: 1,
        owner: { type: "org", id: "a" },
        created: NOW,
        changed: NOW,
        state: append.state,
      };
      expect(result).toEqual({ outcome: "appended" });
      expect(await store.load("user", "u1")).toEqual(record);
    });

    test("increments the version for each event, keeps `created`, and sets `changed`, state and owner", async () => {
      const store = current();
      await store.append(change("u1"));
      const result = await store.append(
        change("u1", {
          expectedVersion: 1,
          events: [
            { type: "user.locked", data: {} },
            { type: "user.unlocked", data: {} },
          ],
          time: NOW + 1,
          owner: { type: "org", id: "a" },
          state: { id: "u1", locks: 1 },
        }),
      );
      const record = {
        kind: "user",
        id: "u1",
        version: 3,
        owner: { type: "org", id: "a" },
        created: NOW,
        changed: NOW + 1,
        state: { id: "u1", locks: 1 },
      };
      expect(result).toEqual({ outcome: "appended" });
      expect(await store.load("user", "u1")).toEqual(record);
    });

    test.each([
      ["an older version", 1],
      ["a newer version", 3],
      ["the version of a new stream", 0],
    ])("that expects %s is a conflict and writes nothing", async (_, expectedVersion) => {
      const store = current();
      await store.append(change("u1"));
      await store.append(claiming("u1", ["name:ann"], [], 1));
      const before = await store.load("user", "u1");

      const refused = claiming("u1", ["name:bob"], ["name:ann"], expectedVersion);
      expect(await store.append({ ...refused, state: { id: "u1", wrong: true } })).toEqual({ outcome: "conflict" });
      expect(await store.load("user", "u1")).toEqual(before);
      expect(await holderOf(store, "name:ann")).toBe("u1");
      expect(await holderOf(store, "name:bob")).toBeUndefined();
      expect(inShort(await readAll(store))).toEqual(["u1 1", "u1 2"]);
    });

    test("to a missing stream is a conflict if a version is expected", async () => {
      expect(await current().append(change("u1", { expectedVersion: 1 }))).toEqual({ outcome: "conflict" });
      expect(await current().load("user", "u1")).toBeUndefined();
    });

    test("succeeds once for many concurrent appends to one stream, and the others are conflicts", async () => {
      const store = current();
      const outcomes = await outcomesOf(Array.from({ length: 64 }, () => store.append(change("u1"))));
      expect(outcomes.filter((outcome) => outcome === "appended")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === "conflict")).toHaveLength(63);
      expect(await versionOf(store, "u1")).toBe(1);
    });

    test("that is refused does not affect concurrent appends", async () => {
      const store = current();
      await store.append(claiming("holder", ["name:ann"]));
      const outcomes = await outcomesOf([
        store.append(claiming("u1", ["name:bob"])),
        store.append(change("holder")),
        store.append(claiming("u2", ["name:carl", "name:ann"])),
        store.append(claiming("u3", ["name:dora"])),
      ]);
      expect(outcomes).toEqual(["appended", "conflict", "claimed", "appended"]);
      const holders = ["ann", "bob", "carl", "dora"].map((name) => holderOf(store, `name:${name}`));
      expect(await Promise.all(holders)).toEqual(["holder", "u1", undefined, "u3"]);
      expect(inShort(await readAll(store))).toEqual(["holder 1", "u1 1", "u3 1"]);
    });

    test("of a value that is not JSON rejects, and does not affect concurrent appends", async () => {
      const store = current();
      const circle: { self?: object } = {};
      circle.self = circle;
      const [before, broken, after] = await Promise.allSettled([
        store.append(change("u1")),
        store.append(change("u2", { state: circle })),
        store.append(change("u3")),
      ]);
      expect([before.status, broken.status, after.status]).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect(await store.load("user", "u2")).toBeUndefined();
    });

    test.each([
      ["U+0000 in the state", { state: { note: "a\u0000b" } }],
      ["U+0000 in an event", { events: [{ type: "user.created", data: { "a\u0000": 1 } }] }],
      ["U+0000 in the actor", { actor: { subject: "\u0000" } }],
      ["half a surrogate pair", { state: { note: "\\ud83d \\\ud83d" } }],
      ["U+0000 in a claim", { claims: { add: ["name:\u0000"], remove: [] } }],
    ])("of text with %s rejects, and does not affect concurrent appends", async (_, more) => {
      const store = current();
      const [broken, after] = await Promise.allSettled([
        store.append(change("u1", more)),
        store.append(change("u2", { state: { note: "\\u0000 😀 \u0001 \\" } })),
      ]);
      expect([broken.status, after.status]).toEqual(["rejected", "fulfilled"]);
      expect((await store.load("user", "u2"))?.state).toEqual({ note: "\\u0000 😀 \u0001 \\" });
      expect(inShort(await readAll(store))).toEqual(["u2 1"]);
    });

    test("of text that cannot be stored has no effect: searches find nothing", async () => {
      const store = current();
      expect(await store.load("user", "\u0000")).toBeUndefined();
      expect(await store.loadByClaim("name:\u0000")).toBeUndefined();
    });

    test("is visible to a load as soon as it is answered, even with many concurrent appends", async () => {
      const store = current();
      const seen = Array.from({ length: 200 }, async (_, index) => {
        await store.append(change(`u${index}`));
        return versionOf(store, `u${index}`);
      });
      expect(await Promise.all(seen)).toEqual(seen.map(() => 1));
    });

    test("distinguishes streams of two kinds with the same id", async () => {
      const store = current();
      await store.append(change("1", { state: { name: "a user" } }));
      expect(outcomeOf(await store.append(change("1", { kind: "token", state: { name: "a token" } })))).toBe(
        "appended",
      );
      expect((await store.load("user", "1"))?.state).toEqual({ name: "a user" });
      expect((await store.load("token", "1"))?.state).toEqual({ name: "a token" });
      expect(await store.load("other", "1")).toBeUndefined();
    });
  });
}

export function describeRequires(current: () => EventStore): void {
  describe("an append that requires the absence of a stream", () => {
    const absent = { kind: "token", subject: "u1" };
    const token = (id: string, state: unknown, kind = "token") => change(id, { kind, state });

    test.each<[string, Append, string]>([
      ["an existing stream with the subject", token("t1", { subject: "u1" }), "conflict"],
      ["a stream with another subject", token("t1", { subject: "u2" }), "appended"],
      ["a stream with the subject as another type", token("t1", { subject: ["u1"] }), "appended"],
      [
        "a stream with the subject in another field",
        token("u1", { userId: "u1", inner: { subject: "u1" } }),
        "appended",
      ],
      ["a stream of another kind with the subject", token("t1", { subject: "u1" }, "badge"), "appended"],
    ])("is decided for %s", async (_, other, outcome) => {
      const store = current();
      await store.append(other);
      expect(outcomeOf(await store.append(change("u1", { absent })))).toBe(outcome);
      expect(await versionOf(store, "u1")).toBe(outcome === "appended" ? 1 : undefined);
    });

    test("conflicts only while a stream has the subject", async () => {
      const store = current();
      await store.append(token("t1", { subject: "nobody" }));
      await store.append({ ...token("t1", { subject: "u1" }), expectedVersion: 1 });
      expect(outcomeOf(await store.append(change("u1", { absent })))).toBe("conflict");
      await store.append({ ...token("t1", {}), expectedVersion: 2 });
      expect(outcomeOf(await store.append(change("u1", { absent })))).toBe("appended");
    });

    test("is decided correctly for twenty concurrent appends", async () => {
      const store = current();
      await outcomesOf(Array.from({ length: 10 }, (_, n) => store.append(token(`t${n}`, { subject: `u${2 * n}` }))));
      const outcomes = await outcomesOf(
        Array.from({ length: 20 }, (_, n) =>
          store.append(change(`u${n}`, { absent: { kind: "token", subject: `u${n}` } })),
        ),
      );
      expect(outcomes).toEqual(outcomes.map((_, n) => (n % 2 === 0 ? "conflict" : "appended")));
    });

    test("rejects text that no store can keep", async () => {
      const refused = current().append(change("u1", { absent: { kind: "token", subject: "\u0000" } }));
      await expect(refused).rejects.toThrow(TypeError);
    });
  });

  describe("an append that requires versions of other streams", () => {
    const requiring = (id: string, version: number, more: Partial<Append> = {}) =>
      change("u1", { requires: [{ kind: "user", id, version }], ...more });

    test.each([
      ["the present version", 2, "appended"],
      ["an older version", 1, "conflict"],
      ["a newer version", 3, "conflict"],
    ])("is decided for %s", async (_, version, outcome) => {
      const store = current();
      await store.append(change("other"));
      await store.append(change("other", { expectedVersion: 1 }));
      expect(outcomeOf(await store.append(requiring("other", version)))).toBe(outcome);
      expect(await versionOf(store, "u1")).toBe(outcome === "appended" ? 1 : undefined);
      expect(await versionOf(store, "other")).toBe(2);
    });

    test("conflicts if the other stream does not exist", async () => {
      expect(await current().append(requiring("nobody", 1))).toEqual({ outcome: "conflict" });
    });

    test("conflicts if only a stream of another kind has the id", async () => {
      const store = current();
      await store.append(change("other"));
      const ofToken = { requires: [{ kind: "token", id: "other", version: 1 }] };
      expect(await store.append(change("u1", ofToken))).toEqual({ outcome: "conflict" });
    });

    test("conflicts if one of several streams has changed, and then writes nothing", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      await store.append(change("one"));
      await store.append(change("other"));
      const before = await store.load("user", "u1");
      const refused = claiming("u1", ["name:bob"], ["name:ann"], 1);
      const requires = ["one", "other"].map((id, index) => ({ kind: "user", id, version: 1 + index }));
      expect(await store.append({ ...refused, requires })).toEqual({ outcome: "conflict" });
      expect(await store.load("user", "u1")).toEqual(before);
      expect(await holderOf(store, "name:ann")).toBe("u1");
      expect(await holderOf(store, "name:bob")).toBeUndefined();
      expect(inShort(await readAll(store))).toEqual(["u1 1", "one 1", "other 1"]);
    });

    test("conflicts with a concurrent change of the other stream, without effect on other appends", async () => {
      const store = current();
      await store.append(change("other"));
      const outcomes = await outcomesOf([
        store.append(change("other", { expectedVersion: 1 })),
        store.append(requiring("other", 1)),
        store.append(change("u2")),
      ]);
      expect(outcomes).toEqual(["appended", "conflict", "appended"]);
      expect(inShort(await readAll(store))).toEqual(["other 1", "other 2", "u2 1"]);
    });

    test("succeeds for one of two concurrent changes that require each other's streams", async () => {
      const store = current();
      for (let round = 0; round < 20; round++) {
        const [one, other] = [`one ${round}`, `other ${round}`];
        await outcomesOf([one, other].map((id) => store.append(change(id))));
        const resting = (id: string, on: string) =>
          change(id, { expectedVersion: 1, requires: [{ kind: "user", id: on, version: 1 }] });
        const outcomes = await outcomesOf([store.append(resting(one, other)), store.append(resting(other, one))]);
        expect(outcomes.sort()).toEqual(["appended", "conflict"]);
      }
    });
  });
}

export function describeClaims(current: () => EventStore): void {
  describe("a claim", () => {
    test("leads to its stream with its latest state", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann", "name:änne"]));
      await store.append(change("u1", { expectedVersion: 1, state: { id: "u1", locks: 1 } }));
      const record = await store.load("user", "u1");
      expect(record?.version).toBe(2);
      expect(await store.loadByClaim("name:ann")).toEqual(record);
      expect(await store.loadByClaim("name:änne")).toEqual(record);
      expect(await store.loadByClaim("name:ANN")).toBeUndefined();
    });

    test("of another stream refuses the append, which names it and writes nothing", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      const result = await store.append(claiming("u2", ["name:bob", "name:ann"]));
      expect(result).toEqual({ outcome: "claimed", claim: "name:ann" });
      expect(await store.load("user", "u2")).toBeUndefined();
      expect(await holderOf(store, "name:ann")).toBe("u1");
      expect(await holderOf(store, "name:bob")).toBeUndefined();
      expect(inShort(await readAll(store))).toEqual(["u1 1"]);
    });

    test("is refused for a stream of another kind with the same id", async () => {
      const store = current();
      await store.append(claiming("1", ["name:ann"]));
      const token = { ...claiming("1", ["name:ann"]), kind: "token" };
      expect(await store.append(token)).toEqual({ outcome: "claimed", claim: "name:ann" });
    });

    test("goes to one of two streams that append it concurrently", async () => {
      const store = current();
      const names = Array.from({ length: 20 }, (_, index) => `name:${index}`);
      for (const name of names) {
        const outcomes = await outcomesOf([
          store.append(claiming(`one ${name}`, [name])),
          store.append(claiming(`other ${name}`, [name])),
        ]);
        expect(outcomes.sort()).toEqual(["appended", "claimed"]);
      }
    });

    test("is free for another stream after its release", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann", "name:bob"]));
      await store.append(claiming("u1", [], ["name:ann"], 1));
      expect(await store.loadByClaim("name:ann")).toBeUndefined();
      expect(await holderOf(store, "name:bob")).toBe("u1");
      expect(outcomeOf(await store.append(claiming("u2", ["name:ann"])))).toBe("appended");
      expect(await holderOf(store, "name:ann")).toBe("u2");
    });

    test("can be taken again by the same stream after its release", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      await store.append(claiming("u1", [], ["name:ann"], 1));
      expect(outcomeOf(await store.append(claiming("u1", ["name:ann"], [], 2)))).toBe("appended");
      expect(await holderOf(store, "name:ann")).toBe("u1");
    });

    test("is released only by its own stream", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      expect(outcomeOf(await store.append(claiming("u2", [], ["name:ann"])))).toBe("appended");
      expect(await holderOf(store, "name:ann")).toBe("u1");
    });

    test("can be added again by the stream that holds it, even twice", async () => {
      const store = current();
      await store.append(claiming("u1", ["name:ann"]));
      expect(outcomeOf(await store.append(claiming("u1", ["name:ann", "name:bob", "name:bob"], [], 1)))).toBe(
        "appended",
      );
      expect(outcomeOf(await store.append(claiming("u1", ["name:ann"], ["name:ann"], 2)))).toBe("appended");
      expect(await holderOf(store, "name:ann")).toBe("u1");
      expect(await holderOf(store, "name:bob")).toBe("u1");
    });
  });
}
