// Proves that generated ids are unique and in order.
import fc from "fast-check";
import { systemClock } from "../../../src/clock.ts";
import { idGenerator } from "../../../src/ids.ts";

/** A moment of today in microseconds: earlier ones hide what only goes wrong with numbers of this size. */
const TODAY = 1_764_000_000_123_456;
const PER_MILLISECOND = 10_000;

/** Ids of one generator whose clock shows these times in turn, then stands still at the last. */
function idsAt(times: number[], count = times.length): string[] {
  let call = 0;
  const newId = idGenerator(() => times[Math.min(call++, times.length - 1)] as number);
  return Array.from({ length: count }, newId);
}

const isRising = (ids: string[]) => ids.every((id, index) => index === 0 || (ids[index - 1] as string) < id);

/** Microseconds between two readings: standing still, going back and leaping ahead among them. */
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

test("an id is 24 decimal digits, of which the first 13 are the milliseconds", () => {
  const [id] = idsAt([TODAY]);
  expect(id).toMatch(/^[0-9]{24}$/);
  expect(id?.slice(0, 13)).toBe("1764000000123");
});

test("the width stays the same from the first millisecond of the epoch to the last that has 13 digits", () => {
  expect(idsAt([0, 999_999, 9_999_999_999_999_000]).map((id) => id.length)).toEqual([24, 24, 24]);
});

test("later ids are greater as text, over a change in the number of digits too", () => {
  expect(isRising(idsAt([999_999_999_999_000, 1_000_000_000_000_000, TODAY]))).toBe(true);
});

test("ids are made of different milliseconds even where the clock shows one", () => {
  const ids = idsAt([TODAY], 2 * PER_MILLISECOND + 1);
  expect(new Set(ids).size).toBe(ids.length);
  expect(isRising(ids)).toBe(true);
  expect(ids[PER_MILLISECOND - 1]?.slice(0, 17)).toBe("17640000001239999");
  expect(ids[PER_MILLISECOND]?.slice(0, 17)).toBe("17640000001240000");
});

test("the ids go on from where they were when the clock goes back", () => {
  const ids = idsAt([TODAY, TODAY - 60_000_000, TODAY - 30_000_000, TODAY + 1_000]);
  expect(ids.map((id) => id.slice(0, 17))).toEqual([
    "17640000001230000",
    "17640000001230001",
    "17640000001230002",
    "17640000001240000",
  ]);
});

test("with the clock of the system, each id of a burst is its own", () => {
  const newId = idGenerator(systemClock());
  const ids = Array.from({ length: 50_000 }, newId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(isRising(ids)).toBe(true);
});

test("whatever a clock does, the ids of a generator rise and keep their width", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1e12, max: 2 * TODAY }), steps, (start, steps) => {
      const ids = idsAt(readings(start, steps));
      expect(isRising(ids)).toBe(true);
      for (const id of ids) expect(id).toMatch(/^[0-9]{24}$/);
    }),
  );
});

test("generators that know nothing of one another never make the same id, whatever their clocks do", () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 2, maxLength: 3 }), (clocks) => {
      const ids = clocks.flatMap((steps) => idsAt(readings(TODAY, steps)));
      expect(new Set(ids).size).toBe(ids.length);
    }),
    { numRuns: 25 },
  );
});
