// Proves that generated ids are unique and ascending.
import fc from "fast-check";
import { systemClock } from "../../../src/clock.ts";
import { idGenerator } from "../../../src/ids.ts";

/** A present time in microseconds. Smaller numbers would hide errors of precision. */
const TODAY = 1_764_000_000_123_456;
const PER_MILLISECOND = 10_000;

/** Ids of one generator whose clock shows these times in turn, then stays at the last one. */
function idsAt(times: number[], count = times.length): string[] {
  let call = 0;
  const newId = idGenerator(() => times[Math.min(call++, times.length - 1)] as number);
  return Array.from({ length: count }, newId);
}

const isRising = (ids: string[]) => ids.every((id, index) => index === 0 || (ids[index - 1] as string) < id);

/** Microseconds between two readings, including no change and jumps in both directions. */
const steps = fc.array(
  fc.oneof(
    fc.constant(0),
    fc.integer({ min: -5_000, max: 5_000 }),
    fc.integer({ min: -3_600_000_000, max: 3_600_000_000 }),
  ),
  { minLength: 1, maxLength: 200 },
);

function readings(start: number, steps: number[]): number[] {
  const times = [start];
  for (const step of steps) times.push((times.at(-1) as number) + step);
  return times;
}

test("an id has 24 decimal digits, and the first 13 are the milliseconds", () => {
  const [id] = idsAt([TODAY]);
  expect(id).toMatch(/^[0-9]{24}$/);
  expect(id?.slice(0, 13)).toBe("1764000000123");
});

test("ids have the same width from the first millisecond of the epoch to the last with 13 digits", () => {
  expect(idsAt([0, 999_999, 9_999_999_999_999_000]).map((id) => id.length)).toEqual([24, 24, 24]);
});

test("later ids sort after earlier ones as text, even when the time gains a digit", () => {
  expect(isRising(idsAt([999_999_999_999_000, 1_000_000_000_000_000, TODAY]))).toBe(true);
});

test("ids of one millisecond stay unique and continue into the next millisecond", () => {
  const ids = idsAt([TODAY], 2 * PER_MILLISECOND + 1);
  expect(new Set(ids).size).toBe(ids.length);
  expect(isRising(ids)).toBe(true);
  expect(ids[PER_MILLISECOND - 1]?.slice(0, 17)).toBe("17640000001239999");
  expect(ids[PER_MILLISECOND]?.slice(0, 17)).toBe("17640000001240000");
});

test("ids continue to ascend when the clock goes back", () => {
  const ids = idsAt([TODAY, TODAY - 60_000_000, TODAY - 30_000_000, TODAY + 1_000]);
  expect(ids.map((id) => id.slice(0, 17))).toEqual([
    "17640000001230000",
    "17640000001230001",
    "17640000001230002",
    "17640000001240000",
  ]);
});

test("50,000 ids of the system clock are unique and ascending", () => {
  const newId = idGenerator(systemClock());
  const ids = Array.from({ length: 50_000 }, newId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(isRising(ids)).toBe(true);
});

test("ids of one generator ascend and keep their width for any sequence of clock readings", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1e12, max: 2 * TODAY }), steps, (start, steps) => {
      const ids = idsAt(readings(start, steps));
      expect(isRising(ids)).toBe(true);
      for (const id of ids) expect(id).toMatch(/^[0-9]{24}$/);
    }),
  );
});

test("independent generators never make the same id, for any sequence of clock readings", () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 2, maxLength: 3 }), (clocks) => {
      const ids = clocks.flatMap((steps) => idsAt(readings(TODAY, steps)));
      expect(new Set(ids).size).toBe(ids.length);
    }),
    { numRuns: 25 },
  );
});
