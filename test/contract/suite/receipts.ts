import type { EventStore } from "../../../src/store/port.ts";
import {
  change,
  claiming,
  inShort,
  NOW,
  outcomesOf,
  readAll,
  receipt,
  versionOf,
} from "../../support/stores/appends.ts";

const MINUTE = 60_000_000;

export function describeReceipts(current: () => EventStore): void {
  describe("a receipt", () => {
    test("is stored together with its change", async () => {
      const store = current();
      const kept = receipt("key", { answer: Buffer.from([0, 255, 1, 128]) });
      await store.append(change("u1", { receipt: kept }));
      const found = await store.loadReceipt("key", NOW);
      expect(found).toMatchObject({ key: "key", fingerprint: kept.fingerprint, expires: kept.expires });
      expect(Buffer.from(found?.answer ?? [])).toEqual(kept.answer);
      expect(await store.loadReceipt("other", NOW)).toBeUndefined();
    });

    test.each([
      ["conflict", change("taken", { receipt: receipt("key") })],
      ["claimed", { ...claiming("u1", ["name:ann"]), receipt: receipt("key") }],
    ])("is not stored if its change is refused (%s)", async (outcome, append) => {
      const store = current();
      await store.append(claiming("taken", ["name:ann"]));
      expect(await store.append(append)).toMatchObject({ outcome });
      expect(await store.loadReceipt("key", NOW)).toBeUndefined();
    });

    test("with a used key prevents any change", async () => {
      const store = current();
      await store.append(change("u1", { receipt: receipt("key") }));
      const again = receipt("key", { answer: Buffer.from("another answer") });
      expect(await store.append(change("u2", { receipt: again }))).toEqual({ outcome: "repeated" });
      expect(await store.append(change("u1", { receipt: again }))).toEqual({ outcome: "repeated" });
      expect(await versionOf(store, "u2")).toBeUndefined();
      expect(String(Buffer.from((await store.loadReceipt("key", NOW))?.answer ?? []))).toBe("answer to key");
      expect(inShort(await readAll(store))).toEqual(["u1 1"]);
    });

    test("lets only one of several concurrent changes with its key succeed", async () => {
      const store = current();
      const outcomes = await outcomesOf(
        Array.from({ length: 32 }, (_, n) => store.append(change(`u${n}`, { receipt: receipt("key") }))),
      );
      expect(outcomes.filter((outcome) => outcome === "appended")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === "repeated")).toHaveLength(31);
      expect(await readAll(store)).toHaveLength(1);
    });

    test("is not found after it expires, and its key is free again", async () => {
      const store = current();
      await store.append(change("u1", { receipt: receipt("key") }));
      expect(await store.loadReceipt("key", NOW + MINUTE - 1)).toBeDefined();
      expect(await store.loadReceipt("key", NOW + MINUTE)).toBeUndefined();

      const next = receipt("key", { fingerprint: "another", expires: NOW + 2 * MINUTE });
      expect(await store.append(change("u2", { receipt: next, time: NOW + MINUTE }))).toMatchObject({
        outcome: "appended",
      });
      expect(await store.loadReceipt("key", NOW + MINUTE)).toMatchObject({ fingerprint: "another" });
    });

    test("expires by the clock even if its event has a later time", async () => {
      const store = current();
      await store.keep(receipt("key"), NOW);
      await store.keep(receipt("another"), NOW);
      const ahead = { time: NOW + 60 * MINUTE, now: NOW + 1 };
      expect(await store.append(change("u1", { ...ahead, receipt: receipt("key") }))).toEqual({ outcome: "repeated" });
      expect(await store.append(change("u1", { ...ahead, receipt: receipt("third") }))).toMatchObject({
        outcome: "appended",
      });
      for (const key of ["key", "another", "third"]) {
        expect(await store.loadReceipt(key, NOW + MINUTE - 1)).toMatchObject({ key });
        expect(await store.loadReceipt(key, NOW + MINUTE)).toBeUndefined();
      }
      const next = receipt("key", { fingerprint: "another", expires: NOW + 3 * MINUTE });
      const late = { time: NOW + 60 * MINUTE, now: NOW + MINUTE, receipt: next };
      expect(await store.append(change("u2", late))).toMatchObject({ outcome: "appended" });
      expect(await store.loadReceipt("key", NOW + MINUTE)).toMatchObject({ fingerprint: "another" });
    });

    test("can be stored without a change if its key is free", async () => {
      const store = current();
      const kept = await Promise.all(Array.from({ length: 8 }, () => store.keep(receipt("key"), NOW)));
      expect(kept.filter(Boolean)).toHaveLength(1);
      expect(await store.loadReceipt("key", NOW)).toMatchObject({ fingerprint: "request of key" });
      expect(await store.append(change("u1", { receipt: receipt("key") }))).toEqual({ outcome: "repeated" });
      expect(await store.keep(receipt("key", { expires: NOW + 3 * MINUTE }), NOW + MINUTE)).toBe(true);
    });

    test("returns a large answer unchanged", async () => {
      const store = current();
      const answer = Buffer.alloc(3_000_000, "0123456789");
      await store.keep(receipt("key", { answer }), NOW);
      expect(Buffer.from((await store.loadReceipt("key", NOW))?.answer ?? []).equals(answer)).toBe(true);
    });
  });
}
