import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Owner } from "../../../src/domain/access.ts";
import type { EventStore, Filter, Query, SortKey, StreamRecord, TextMethod } from "../../../src/store/port.ts";
import { change, NOW } from "../../support/stores/appends.ts";
import { answer, passes } from "./search-model.ts";
import { randomQuery, randomStream } from "./search-random.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const EVERYTHING: Filter = { all: [] };

const query = (kind: string, where: Filter, more: Partial<Query> = {}): Query => ({
  kind,
  where,
  order: { keys: [], descending: false },
  offset: 0,
  limit: 100,
  ...more,
});

const text = (value: string, method: TextMethod, field = "state.name"): Filter => ({ field, text: method, value });
const is = (field: string, value: string | number | boolean): Filter => ({ field, is: value });
const exists = (field: string): Filter => ({ field, exists: true });
const not = (filter: Filter): Filter => ({ not: filter });
const atMost = (field: string, value: number): Filter => ({ field, atMost: value });
const atLeast = (field: string, value: number): Filter => ({ field, atLeast: value });
const some = (where: Filter, array = "state.names"): Filter => ({ some: array, where });

/** The streams of the rows below, by id. */
const PEOPLE: Record<string, object> = {
  ann: {
    name: "Ann",
    email: { address: "ann@example.com", verified: true },
    shoe: 40,
    names: [
      { name: "ann", own: true, since: 7 },
      { name: "queen", since: 7.5 },
    ],
  },
  bob: {
    name: "Bob",
    email: { address: "bob@example.com", verified: false },
    shoe: 43.5,
    names: [{ name: "bob", since: 1 }],
  },
  muell: { name: "Müller", lock: { reason: "fraud" }, names: [] },
  MUELL: { name: "MÜLLER", email: { address: "Mueller@example.com" } },
  percent: { name: "100%_\\" },
  oneHundred: { name: "1000" },
  quote: { name: `O'Brien "Bo"`, names: [{ name: `'; DROP TABLE streams; --` }] },
  smile: { name: "😀 smile" },
  empty: { name: "" },
  nameless: {},
};

const IDS = Object.keys(PEOPLE);

const WITH_A_NAME = IDS.filter((id) => id !== "nameless");

const WITH_AN_EMAIL = ["ann", "bob", "MUELL"];

/** A filter, and the ids of the streams that pass. */
const FILTERS: [name: string, where: Filter, ids: string[]][] = [
  ["all of nothing", { all: [] }, IDS],
  ["any of nothing", { any: [] }, []],
  ["not any of nothing", not({ any: [] }), IDS],
  ["all", { all: [exists("state.email"), exists("state.shoe")] }, ["ann", "bob"]],
  ["any", { any: [is("id", "ann"), exists("state.lock"), is("id", "nobody")] }, ["ann", "muell"]],
  ["not", not({ any: [exists("state.name"), exists("state.lock")] }), ["nameless"]],
  ["not not", not(not(is("id", "ann"))), ["ann"]],
  ["nested", { all: [{ any: [is("id", "ann"), is("id", "bob")] }, not(is("state.shoe", 40))] }, ["bob"]],

  ["the id", is("id", "ann"), ["ann"]],
  ["the id in another case", is("id", "ANN"), []],
  ["the type of the owner", is("owner.type", "org"), ["ann", "bob"]],
  ["the id of the owner", is("owner.id", "a"), ["ann"]],
  ["the time of the first event", is("created", NOW + 1), ["bob"]],
  ["the time of the last event", is("changed", NOW + 100), ["ann"]],
  ["a text", is("state.name", "Müller"), ["muell"]],
  ["an empty text", is("state.name", ""), ["empty"]],
  ["a text within", is("state.email.address", "ann@example.com"), ["ann"]],
  ["a number", is("state.shoe", 43.5), ["bob"]],
  ["true", is("state.email.verified", true), ["ann"]],
  ["false", is("state.email.verified", false), ["bob"]],
  ["not true is false or absent", not(is("state.email.verified", true)), IDS.filter((id) => id !== "ann")],
  ["not a text is another one or absent", not(is("state.name", "Bob")), IDS.filter((id) => id !== "bob")],
  ["an object that is there", exists("state.lock"), ["muell"]],
  ["one that is not", not(exists("state.email")), IDS.filter((id) => !["ann", "bob", "MUELL"].includes(id))],
  ["what no stream has", exists("state.nothing.at.all"), []],
  ["not what no stream has", not(is("state.nothing.at.all", "x")), IDS],

  ["at most a number", atMost("state.shoe", 40), ["ann"]],
  ["at most a number between two", atMost("state.shoe", 43.4), ["ann"]],
  ["at most more than any", atMost("state.shoe", 1e15), ["ann", "bob"]],
  ["at most less than any", atMost("state.shoe", 39.9), []],
  ["at least a number", atLeast("state.shoe", 43.5), ["bob"]],
  ["at least a number between two", atLeast("state.shoe", 40.1), ["bob"]],
  ["at least less than any", atLeast("state.shoe", -1e15), ["ann", "bob"]],
  ["at least more than any", atLeast("state.shoe", 43.6), []],
  ["at least and at most", { all: [atLeast("state.shoe", 40), atMost("state.shoe", 40)] }, ["ann"]],
  ["at most a time, to the microsecond", atMost("created", NOW + 1), ["ann", "bob"]],
  ["at least a time, to the microsecond", atLeast("changed", NOW + 9), ["ann", "nameless"]],
  ["not at most passes what is absent", not(atMost("state.shoe", 40)), IDS.filter((id) => id !== "ann")],
  ["not at least passes what is absent", not(atLeast("state.shoe", 40.1)), IDS.filter((id) => id !== "bob")],
  ["a text is at most no number", atMost("state.name", 1e15), []],
  ["a text is at least no number", atLeast("state.name", -1e15), []],
  ["an object is at least no number", atLeast("state.email", -1e15), []],
  ["some element at least", some(atLeast("element.since", 7)), ["ann"]],
  ["some element at most", some(atMost("element.since", 6.9)), ["bob"]],
  [
    "some is one element between two numbers",
    some({ all: [atLeast("element.since", 2), atMost("element.since", 6)] }),
    [],
  ],

  ["equals_ignore_case", text("mÜLLER", "equals_ignore_case"), ["muell", "MUELL"]],
  ["equals_ignore_case is no prefix", text("mülle", "equals_ignore_case"), []],
  ["equals_ignore_case of nothing", text("", "equals_ignore_case"), ["empty"]],
  ["equals_ignore_case is no pattern", text("%", "equals_ignore_case"), []],
  ["starts_with", text("Mü", "starts_with"), ["muell"]],
  ["starts_with in another case", text("mü", "starts_with"), []],
  ["starts_with the whole", text("Ann", "starts_with"), ["ann"]],
  ["starts_with more than the whole", text("Anna", "starts_with"), []],
  ["starts_with what is further in", text("üller", "starts_with"), []],
  ["starts_with nothing", text("", "starts_with"), WITH_A_NAME],
  ["starts_with is no pattern", text("_00", "starts_with"), []],
  ["starts_with a wild card", text("100%", "starts_with"), ["percent"]],
  ["starts_with a sign of two UTF-16 units", text("😀", "starts_with"), ["smile"]],
  ["starts_with_ignore_case", text("mÜ", "starts_with_ignore_case"), ["muell", "MUELL"]],
  ["starts_with_ignore_case of nothing", text("", "starts_with_ignore_case"), WITH_A_NAME],
  ["starts_with_ignore_case is no pattern", text("%", "starts_with_ignore_case"), []],
  ["contains", text("ü", "contains"), ["muell"]],
  ["contains in another case", text("ü", "contains"), ["muell"]],
  ["contains_ignore_case", text("ÜLL", "contains_ignore_case"), ["muell", "MUELL"]],
  ["contains_ignore_case of what is further in", text("SMILE", "contains_ignore_case"), ["smile"]],
  ["contains_ignore_case of nothing", text("", "contains_ignore_case"), WITH_A_NAME],
  ["contains_ignore_case is no pattern", text("%", "contains_ignore_case"), ["percent"]],
  ["contains_ignore_case of an email", text("@EXAMPLE", "contains_ignore_case", "state.email.address"), WITH_AN_EMAIL],
  ["contains the whole", text("Bob", "contains"), ["bob"]],
  ["contains nothing", text("", "contains"), WITH_A_NAME],
  ["contains %", text("%", "contains"), ["percent"]],
  ["contains _", text("_", "contains"), ["percent"]],
  ["contains \\", text("\\", "contains"), ["percent"]],
  ["contains '", text("'", "contains"), ["quote"]],
  ['contains "', text('"', "contains"), ["quote"]],
  ["contains a sign of two UTF-16 units", text("😀", "contains"), ["smile"]],
  ["not contains passes what is absent", not(text("", "contains")), ["nameless"]],
  ["not starts_with passes what is absent", not(text("", "starts_with")), ["nameless"]],
  ["not equals_ignore_case passes what is absent", not(text("ann", "equals_ignore_case", "state.nick")), IDS],
  ["a text method on the id", text("MUE", "starts_with", "id"), ["MUELL"]],
  ["a text method on the owner", text("A", "equals_ignore_case", "owner.id"), ["ann"]],

  ["some element", some(is("element.name", "queen")), ["ann"]],
  ["some element at all", some({ all: [] }), ["ann", "bob", "quote"]],
  ["some is one element, not two", some({ all: [is("element.name", "queen"), is("element.own", true)] }), []],
  ["some with both", some({ all: [is("element.name", "ann"), is("element.own", true)] }), ["ann"]],
  ["some element that is not", some(not(is("element.own", true))), ["ann", "bob", "quote"]],
  [
    "not some passes what has no array",
    not(some({ all: [] })),
    IDS.filter((id) => !["ann", "bob", "quote"].includes(id)),
  ],
  ["some by a text method", some(text("B", "starts_with_ignore_case", "element.name")), ["bob"]],
  ["some that looks like SQL", some(is("element.name", `'; DROP TABLE streams; --`)), ["quote"]],
  ["some of an array that no stream has", some({ all: [] }, "state.nothing"), []],
];

/** Keys, and all ids in the order that they make. */
const ORDERS: [name: string, keys: SortKey[], ids: string[]][] = [
  [
    "no key: by id, by code points",
    [],
    ["MUELL", "ann", "bob", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile"],
  ],
  [
    "a text, by code points, absent first",
    [{ field: "state.name" }],
    ["nameless", "empty", "percent", "oneHundred", "ann", "bob", "MUELL", "muell", "quote", "smile"],
  ],
  [
    "a number, absent first, ties by id",
    [{ field: "state.shoe" }],
    ["MUELL", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "ann", "bob"],
  ],
  [
    "a test: what does not pass before what does",
    [{ test: exists("state.email") }],
    ["empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "MUELL", "ann", "bob"],
  ],
  [
    "two keys",
    [{ test: { any: [exists("state.email"), exists("state.lock")] } }, { field: "state.name" }],
    ["nameless", "empty", "percent", "oneHundred", "quote", "smile", "ann", "bob", "MUELL", "muell"],
  ],
  [
    "a test with some element",
    [{ test: some(text("b", "contains", "element.name")) }],
    ["MUELL", "ann", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "bob"],
  ],
  [
    "the owner",
    [{ field: "owner.type" }, { field: "owner.id" }],
    ["MUELL", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "ann", "bob"],
  ],
  [
    "the time of the last event",
    [{ field: "changed" }],
    ["muell", "MUELL", "percent", "oneHundred", "quote", "smile", "empty", "nameless", "bob", "ann"].sort(
      (one, other) => (one === "ann" ? 1 : other === "ann" ? -1 : IDS.indexOf(one) - IDS.indexOf(other)),
    ),
  ],
  [
    "tests that are the same for all",
    [{ test: { all: [] } }, { test: { any: [] } }, { test: not({ all: [] }) }],
    ["MUELL", "ann", "bob", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile"],
  ],
];

/** Ann and Bob are their organizations', the others the instance's. */
const ownerOf = (id: string): Owner =>
  id === "ann" || id === "bob" ? { type: "org", id: id.slice(0, 1) } : { type: "instance", id: "default" };

export function describeSearch(current: () => EventStore): void {
  let store: EventStore;

  beforeAll(async () => {
    store = current();
    await Promise.all(
      IDS.map((id, index) => store.append(change(id, { state: PEOPLE[id], time: NOW + index, owner: ownerOf(id) }))),
    );
    await store.append(
      change("ann", { expectedVersion: 1, state: PEOPLE.ann, time: NOW + 100, owner: ownerOf("ann") }),
    );
    await store.append(change("ann", { kind: "token", state: PEOPLE.ann }));
  });

  const idsOf = (records: StreamRecord[]) => records.map(({ id }) => id);

  test.each(FILTERS)("where: %s", async (_, where, ids) => {
    const { records, total } = await store.search(query("user", where));
    expect(idsOf(records).sort()).toEqual([...ids].sort());
    expect(total).toBe(ids.length);

    const everybody = (await store.search(query("user", EVERYTHING))).records;
    const ofTheModel = everybody.filter((record) => passes(where, record));
    expect(idsOf(ofTheModel).sort()).toEqual([...ids].sort());
  });

  test.each(ORDERS)("order: %s", async (_, keys, ids) => {
    const inOrder = async (descending: boolean) =>
      idsOf((await store.search(query("user", EVERYTHING, { order: { keys, descending } }))).records);
    expect(await inOrder(false)).toEqual(ids);
    expect(await inOrder(true)).toEqual([...ids].reverse());
  });

  test("order goes by code points where UTF-16 units say otherwise", async () => {
    const names = { one: "😀", other: "～" };
    for (const [id, name] of Object.entries(names)) await store.append(change(id, { kind: "sign", state: { name } }));
    const order = { keys: [{ field: "state.name" }], descending: false };
    expect(idsOf((await store.search(query("sign", EVERYTHING, { order }))).records)).toEqual(["other", "one"]);
  });

  test("gives the records as they are loaded, and those of the kind alone", async () => {
    const { records } = await store.search(query("user", is("id", "ann")));
    expect(records).toEqual([await store.load("user", "ann")]);
    expect(await store.search(query("other", EVERYTHING))).toEqual({ records: [], isCut: false, total: 0 });
  });

  test("the page is cut by offset and limit, the total is not", async () => {
    const all = idsOf((await store.search(query("user", EVERYTHING))).records);
    const page = async (offset: number, limit: number, where = EVERYTHING) => {
      const { records, total } = await store.search(query("user", where, { offset, limit }));
      return [idsOf(records), total];
    };
    expect(await page(0, 3)).toEqual([all.slice(0, 3), 10]);
    expect(await page(3, 3)).toEqual([all.slice(3, 6), 10]);
    expect(await page(9, 3)).toEqual([all.slice(9), 10]);
    expect(await page(10, 3)).toEqual([[], 10]);
    expect(await page(Number.MAX_SAFE_INTEGER, 3)).toEqual([[], 10]);
    expect(await page(0, 0)).toEqual([[], 10]);
    expect(await page(1, 1, exists("state.email"))).toEqual([["ann"], 3]);
  });

  test("a page for which nobody asks the total is the same, and its total is 0", async () => {
    const page = (where: Filter, total?: false) =>
      store.search(query("user", where, { limit: 2, ...(total === false && { total }) }));
    for (const where of [EVERYTHING, { field: "id", after: "ann" } as const, is("id", "nobody")]) {
      expect(await page(where, false)).toEqual({ ...(await page(where)), total: 0 });
    }
  });

  test("a page holds 700,000 characters of states, or a single one, and the next begins behind it", async () => {
    const lengths = { a: 300_000, b: 300_000, c: 300_000, d: 1_500_000, e: 300_000, f: 350_000 };
    for (const [id, length] of Object.entries(lengths)) {
      await store.append(change(id, { kind: "long", state: { text: "x".repeat(length) } }));
    }
    const page = async (offset: number, limit: number, descending = false) => {
      const order = { keys: [], descending };
      const { records, isCut, total } = await store.search(query("long", EVERYTHING, { offset, limit, order }));
      expect(total).toBe(6);
      return [idsOf(records).join(""), isCut];
    };
    expect(await page(0, 10)).toEqual(["ab", true]);
    expect(await page(2, 10)).toEqual(["c", true]);
    expect(await page(3, 10)).toEqual(["d", true]);
    expect(await page(4, 10)).toEqual(["ef", false]);
    expect(await page(0, 2)).toEqual(["ab", false]);
    expect(await page(3, 1)).toEqual(["d", false]);
    expect(await page(0, 10, true)).toEqual(["fe", true]);
  });

  test("sees every append that was answered", async () => {
    for (let version = 0; version < 20; version++) {
      await store.append(change("s", { kind: "seen", expectedVersion: version, state: { at: version } }));
      expect((await store.search(query("seen", is("state.at", version)))).total).toBe(1);
    }
  });

  test("the page and the total are of one moment", async () => {
    const rows = Array.from({ length: 1_000 }, (_, index) => change(`there ${index}`, { kind: "row" }));
    await Promise.all(rows.map((row) => store.append(row)));
    let writing = true;
    const writer = (async () => {
      for (let index = 0; writing; index++) await store.append(change(`new ${index}`, { kind: "row" }));
    })();
    let last = rows.length;
    for (let round = 0; round < 40; round++) {
      const { records, total } = await store.search(query("row", EVERYTHING, { limit: 100_000 }));
      expect(total).toBe(records.length);
      expect(total).toBeGreaterThanOrEqual(last);
      last = total;
      await sleep(0);
    }
    writing = false;
    await writer;
    expect(last).toBeGreaterThan(rows.length);
  });

  test.each(["all", "any"] as const)("takes thousands of filters in one %s", async (join) => {
    const filters = Array.from({ length: 2_000 }, (_, index) => is("id", index === 1_234 ? "ann" : `n${index}`));
    const where = join === "any" ? { any: filters } : { all: filters.map(not) };
    const { total } = await store.search(query("user", where));
    expect(total).toBe(join === "any" ? 1 : 9);
  });

  test("every character is found by its upper case and as NFD where case is ignored, as it is folded elsewhere", async () => {
    // What folding changes, and all else of the first two planes: by 2,048, so that the texts are not many.
    const codes = [...range(0x1, 0xd7ff), ...range(0xe000, 0x1_ffff), ...range(0x2_f800, 0x2_fa1f)];
    const texts = Array.from({ length: Math.ceil(codes.length / 2_048) }, (_, index) =>
      codes
        .slice(index * 2_048, (index + 1) * 2_048)
        .map((code) => String.fromCodePoint(code))
        .join(" "),
    );
    await Promise.all(
      texts.map((name, index) => store.append(change(`t${index}`, { kind: "folded", state: { name } }))),
    );
    for (const [index, name] of texts.entries()) {
      for (const other of [name.toUpperCase(), name.normalize("NFD")]) {
        const where = { all: [is("id", `t${index}`), text(other, "equals_ignore_case")] };
        expect([index, (await store.search(query("folded", where))).total]).toEqual([index, 1]);
      }
    }
  });

  test("any filter and order gives what a naive evaluation over all streams gives", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(randomStream, { maxLength: 8 }), randomQuery, async (streams, random) => {
        const kind = `run ${run++}`;
        await Promise.all(streams.map((more, index) => store.append(change(`s${index}`, { kind, ...more }))));
        const all = (await store.search(query(kind, EVERYTHING))).records;
        expect(await store.search({ ...random, kind })).toEqual(answer({ ...random, kind }, all));
      }),
      { numRuns: 300 },
    );
  });
}
