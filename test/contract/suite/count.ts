import fc from "fast-check";
import type { EventStore, StreamRecord } from "../../../src/store/port.ts";
import type { CountQuery, Counts, Filter } from "../../../src/store/query.ts";
import { change } from "../../support/stores/appends.ts";
import { passes } from "./search-model.ts";
import { randomFilter, randomStream } from "./search-random.ts";

const ALL: Filter = { all: [] };
const is = (field: string, value: string | number): Filter => ({ field, is: value });

/** The count that the store's port describes. */
function model({ where, tests, part }: CountQuery, streams: StreamRecord[]): Counts {
  const found = streams.filter((stream) => passes(where, stream));
  const ofPart = found.filter((stream) => passes(part.where, stream));
  const counts = new Map<string, number>();
  for (const stream of ofPart) {
    const { name } = stream.state as { name?: string };
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const order = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));
  const counted = (all: StreamRecord[], tests: readonly Filter[]) =>
    tests.map((test) => all.filter((stream) => passes(test, stream)).length);
  return {
    total: found.length,
    tests: counted(found, tests),
    part: {
      total: ofPart.length,
      tests: counted(ofPart, part.tests),
      top: [...counts]
        .map(([text, count]) => ({ text, count }))
        .sort((one, other) => other.count - one.count || order(one.text, other.text))
        .slice(0, part.top.limit),
    },
  };
}

export function describeCount(current: () => EventStore): void {
  const add = (kind: string, states: object[]) =>
    Promise.all(states.map((state, index) => current().append(change(`c${index}`, { kind, state }))));

  test("counts the streams of the kind and of a part, those that match each test, and the most frequent texts", async () => {
    const states = [{ name: "b", shoe: 1 }, { name: "a", shoe: 1 }, { name: "b" }, { name: "é" }, {}, { name: 7 }];
    await add("counted", states);
    await add("counted elsewhere", [{ name: "b" }]);
    const shoe = is("state.shoe", 1);
    const counts = (where: Filter, limit: number, partWhere = ALL) =>
      current().count({
        kind: "counted",
        where,
        tests: [shoe, { not: shoe }, { any: [] }],
        part: { where: partWhere, tests: [is("state.name", "b"), shoe], top: { field: "state.name", limit } },
      });
    const [a, b, e] = [
      { text: "a", count: 1 },
      { text: "b", count: 2 },
      { text: "é", count: 1 },
    ];
    const all = { total: 6, tests: [2, 4, 0] };
    expect(await counts(ALL, 10)).toEqual({ ...all, part: { total: 6, tests: [2, 2], top: [b, a, e] } });
    expect(await counts(ALL, 2)).toEqual({ ...all, part: { total: 6, tests: [2, 2], top: [b, a] } });
    const one = { text: "b", count: 1 };
    expect(await counts(ALL, 10, shoe)).toEqual({ ...all, part: { total: 2, tests: [1, 2], top: [a, one] } });
    const ofA = { total: 1, tests: [1, 0, 0], part: { total: 1, tests: [0, 1], top: [a] } };
    expect(await counts(is("state.name", "a"), 10)).toEqual(ofA);
    const none = { total: 0, tests: [0, 0, 0], part: { total: 0, tests: [0, 0], top: [] } };
    expect(await counts(is("id", "nobody"), 10)).toEqual(none);
  });

  test("counts without tests", async () => {
    const part = { where: ALL, tests: [], top: { field: "state.name", limit: 0 } };
    expect(await current().count({ kind: "uncounted", where: ALL, tests: [], part })).toEqual({
      total: 0,
      tests: [],
      part: { total: 0, tests: [], top: [] },
    });
  });

  test("counts as a simple model does, by random conditions", async () => {
    let run = 0;
    const tests = fc.array(randomFilter, { maxLength: 2 });
    const top = fc.record({ field: fc.constant("state.name"), limit: fc.integer({ min: 0, max: 3 }) });
    const part = fc.record({ where: randomFilter, tests, top });
    await fc.assert(
      fc.asyncProperty(
        fc.array(randomStream, { maxLength: 8 }),
        fc.record({ where: randomFilter, tests, part }),
        async (streams, random) => {
          const kind = `counted ${run++}`;
          await Promise.all(streams.map((more, index) => current().append(change(`s${index}`, { kind, ...more }))));
          const page = { order: { keys: [], descending: false }, offset: 0, limit: 100 };
          const { records } = await current().search({ kind, where: ALL, ...page });
          expect(await current().count({ kind, ...random })).toEqual(model({ kind, ...random }, records));
        },
      ),
      { numRuns: 150 },
    );
  });
}
