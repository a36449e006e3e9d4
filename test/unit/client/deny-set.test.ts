// Proves that the set of denied users behaves like a Map, in little memory, and that its hash is SipHash.
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { createDenySet } from "../../../packages/client/src/guard/denied/deny-set.ts";
import { createHashTable } from "../../../packages/client/src/guard/denied/hash-table.ts";
import { createHasher } from "../../../packages/client/src/guard/denied/siphash.ts";

const MIB = 2 ** 20;

test("the hash of the paper's example is the one in the paper", () => {
  const hasher = createHasher(Uint8Array.from({ length: 16 }, (_, index) => index));
  const text = String.fromCharCode(...Array.from({ length: 15 }, (_, index) => index));
  expect(hasher.hash(text)).toBe(true);
  expect([hasher.high, hasher.low]).toEqual([0xa129ca61, 0x49be45e5]);
});

test("hashes of texts of all lengths and of keys differ", () => {
  const keys = [randomBytes(16), randomBytes(16)];
  const seen = new Set<string>();
  for (const key of keys) {
    const hasher = createHasher(key);
    for (let length = 0; length <= 255; length++) {
      expect(hasher.hash("a".repeat(length))).toBe(true);
      seen.add(`${hasher.high} ${hasher.low}`);
    }
  }
  expect(seen.size).toBe(512);
});

test("texts that no user's id can be have no hash, and are never denied", () => {
  const hasher = createHasher(randomBytes(16));
  const set = createDenySet(hasher);
  for (const text of ["é", "a".repeat(256)]) {
    expect(hasher.hash(text)).toBe(false);
    set.add(text);
    set.remove(text);
    expect(set.has(text, 0)).toBe(false);
  }
  expect(set.size).toBe(0);
});

test("a table has what a Map has after any additions and removals, though it grows, shrinks and wraps around", () => {
  // Few high halves, at both ends, make long runs that wrap around. 0 and 0 is the value of an empty place.
  const high = fc.oneof(
    fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  );
  const hash = fc.tuple(high, fc.integer({ min: 0, max: 60 }));
  const step = fc.record({ hash, isAdded: fc.boolean(), end: fc.integer({ min: 0, max: 1e15 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), fc.boolean(), (steps, hasEnds) => {
      const table = createHashTable({ hasEnds });
      const model = new Map<string, number>();
      const keyOf = ([high, low]: [number, number]) => `${high} ${high === 0 && low === 0 ? 1 : low}`;
      for (const { hash, isAdded, end } of steps) {
        if (isAdded) {
          table.put(...hash, end);
          model.set(keyOf(hash), end);
        } else if (table.remove(...hash) !== model.delete(keyOf(hash))) {
          return false;
        }
        if (table.size !== model.size) return false;
      }
      for (const { hash } of steps) {
        const place = table.find(...hash);
        if (place >= 0 !== model.has(keyOf(hash))) return false;
        if (place >= 0 && hasEnds && table.endAt(place) !== model.get(keyOf(hash))) return false;
      }
      for (const key of model.keys()) table.remove(...(key.split(" ").map(Number) as [number, number]));
      return table.size === 0 && table.bytes <= 16 * 16;
    }),
    { numRuns: 50 },
  );
});

test("a set of users has what a Map of their ends has at any time", () => {
  const id = fc.integer({ min: 0, max: 30 }).map((number) => `user-${number}`);
  const until = fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined });
  const step = fc.record({ id, isAdded: fc.boolean(), until });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), fc.integer({ min: 0, max: 100 }), (steps, now) => {
      const set = createDenySet(createHasher(randomBytes(16)));
      const model = new Map<string, number>();
      for (const { id, isAdded, until } of steps) {
        if (isAdded) {
          set.add(id, until);
          model.set(id, until ?? Number.POSITIVE_INFINITY);
        } else {
          set.remove(id);
          model.delete(id);
        }
      }
      expect(set.size).toBe(model.size);
      for (const { id } of steps) expect(set.has(id, now)).toBe(now < (model.get(id) ?? 0));
    }),
  );
});

test("at most 16.8 bytes hold a denied user at any size above a thousand, which is 16 MiB for a million", () => {
  const set = createDenySet(createHasher(randomBytes(16)));
  let worst = 0;
  for (let user = 1; user <= 60_000; user++) {
    set.add(`user-${user}`);
    if (user > 1_000) worst = Math.max(worst, set.bytes / user);
  }
  expect(set.size).toBe(60_000);
  expect(worst).toBeLessThanOrEqual((16 * MIB) / 1e6);
  expect(worst).toBeGreaterThan(8);
});
