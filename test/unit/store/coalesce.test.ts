// Proves that look-ups share the store's work, and that a store that hangs holds a limited number of them.
import { setImmediate } from "node:timers/promises";
import { coalesce } from "../../../src/store/coalesce.ts";
import { MAX_LOOKUPS } from "../../../src/store/limits.ts";

/** A look-up of numbers that answers when the test says so. */
function startLookUps() {
  const groups: (readonly number[])[] = [];
  let open = Promise.withResolvers<void>();
  const find = async (keys: readonly number[]) => {
    groups.push(keys);
    await open.promise;
    return keys.map((key) => `found ${key}`);
  };
  return {
    groups,
    lookUp: coalesce(find, String),
    answer: () => open.resolve(),
    fail: () => open.reject(new Error("The store is away.")),
    hang() {
      open = Promise.withResolvers();
    },
  };
}

test("equal keys are looked up once, and each caller gets its own answer", async () => {
  const { groups, lookUp, answer } = startLookUps();
  answer();
  expect(await Promise.all([1, 2, 1].map(lookUp))).toEqual(["found 1", "found 2", "found 1"]);
  expect(groups).toEqual([[1, 2]]);
});

test.each<[what: string, keyOf: (place: number) => number]>([
  ["different keys", (place) => place],
  ["the same key", () => 1],
])("while the store hangs, a caller beyond the limit is refused at once: %s", async (_what, keyOf) => {
  const { lookUp, answer, fail, hang } = startLookUps();
  const fill = () => Promise.allSettled(Array.from({ length: MAX_LOOKUPS }, (_, place) => lookUp(keyOf(place))));
  for (const end of [answer, fail]) {
    const held = fill();
    await expect(Promise.race([lookUp(-1), setImmediate("waits")])).rejects.toMatchObject({
      reason: "STORE_UNAVAILABLE",
    });
    end();
    const outcomes = new Set((await held).map(({ status }) => status));
    expect(outcomes).toEqual(new Set([end === answer ? "fulfilled" : "rejected"]));
    hang();
  }
  answer();
  expect(await lookUp(2)).toBe("found 2");
});
