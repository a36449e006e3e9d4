// Proves that the cache of tokens keeps those in use, and never more than it may.
import { createRecent } from "../../../packages/client/src/guard/recent.ts";

test("an entry that is read again and again survives any number of others", () => {
  const recent = createRecent<number>(10);
  recent.set("mine", 1);
  for (let other = 0; other < 1_000; other++) {
    recent.set(`other-${other}`, other);
    expect(recent.get("mine")).toBe(1);
  }
  const kept = Array.from({ length: 1_000 }, (_, other) => recent.get(`other-${other}`)).filter(
    (value) => value !== undefined,
  );
  expect(kept.length).toBeLessThanOrEqual(10);
});

test("a cache of no entries keeps none", () => {
  const recent = createRecent<number>(0);
  recent.set("a", 1);
  expect(recent.get("a")).toBeUndefined();
});

test("a replaced entry has its new value, and a deleted one is gone, in both generations", () => {
  const recent = createRecent<number>(4);
  recent.set("a", 1);
  recent.set("b", 2);
  recent.set("a", 3);
  expect(recent.get("a")).toBe(3);
  recent.delete("a");
  recent.delete("b");
  expect([recent.get("a"), recent.get("b")]).toEqual([undefined, undefined]);
  recent.set("c", 4);
  recent.clear();
  expect(recent.get("c")).toBeUndefined();
});
