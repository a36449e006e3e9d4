import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Owner } from "../../../src/domain/access.ts";
import type { EventStore, StreamRecord } from "../../../src/store/port.ts";
import type { Filter, Query, SortKey, TextMethod } from "../../../src/store/query.ts";
import { change, NOW } from "../../support/stores/appends.ts";
import { answer, passes, placeOf } from "./search-model.ts";
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

/** The streams that the tables below search, by id. */
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

/** Filters with the ids of the streams that match. */
const FILTERS: [name: string, where: Filter, ids: string[]][] = [
  ["all of no conditions", { all: [] }, IDS],
  ["any of no conditions", { any: [] }, []],
  ["not any of no conditions", not({ any: [] }), IDS],
  ["all of two conditions", { all: [exists("state.email"), exists("state.shoe")] }, ["ann", "bob"]],
  ["any of three conditions", { any: [is("id", "ann"), exists("state.lock"), is("id", "nobody")] }, ["ann", "muell"]],
  ["not any of two conditions", not({ any: [exists("state.name"), exists("state.lock")] }), ["nameless"]],
  ["a double not", not(not(is("id", "ann"))), ["ann"]],
  ["nested conditions", { all: [{ any: [is("id", "ann"), is("id", "bob")] }, not(is("state.shoe", 40))] }, ["bob"]],

  ["the id", is("id", "ann"), ["ann"]],
  ["the id in another case", is("id", "ANN"), []],
  ["the type of the owner", is("owner.type", "org"), ["ann", "bob"]],
  ["the id of the owner", is("owner.id", "a"), ["ann"]],
  ["the time of the first event", is("created", NOW + 1), ["bob"]],
  ["the time of the last event", is("changed", NOW + 100), ["ann"]],
  ["a text", is("state.name", "Müller"), ["muell"]],
  ["an empty text", is("state.name", ""), ["empty"]],
  ["a text in a nested field", is("state.email.address", "ann@example.com"), ["ann"]],
  ["a number", is("state.shoe", 43.5), ["bob"]],
  ["true", is("state.email.verified", true), ["ann"]],
  ["false", is("state.email.verified", false), ["bob"]],
  ["not true, which matches false and absent", not(is("state.email.verified", true)), IDS.filter((id) => id !== "ann")],
  ["not a text, which matches other texts and absent", not(is("state.name", "Bob")), IDS.filter((id) => id !== "bob")],
  ["an existing object", exists("state.lock"), ["muell"]],
  ["a missing object", not(exists("state.email")), IDS.filter((id) => !["ann", "bob", "MUELL"].includes(id))],
  ["a field that no stream has", exists("state.nothing.at.all"), []],
  ["not a field that no stream has", not(is("state.nothing.at.all", "x")), IDS],

  ["at most a number", atMost("state.shoe", 40), ["ann"]],
  ["at most a number between two values", atMost("state.shoe", 43.4), ["ann"]],
  ["at most a number above all values", atMost("state.shoe", 1e15), ["ann", "bob"]],
  ["at most a number below all values", atMost("state.shoe", 39.9), []],
  ["at least a number", atLeast("state.shoe", 43.5), ["bob"]],
  ["at least a number between two values", atLeast("state.shoe", 40.1), ["bob"]],
  ["at least a number below all values", atLeast("state.shoe", -1e15), ["ann", "bob"]],
  ["at least a number above all values", atLeast("state.shoe", 43.6), []],
  ["at least and at most", { all: [atLeast("state.shoe", 40), atMost("state.shoe", 40)] }, ["ann"]],
  ["at most a time, to the microsecond", atMost("created", NOW + 1), ["ann", "bob"]],
  ["at least a time, to the microsecond", atLeast("changed", NOW + 9), ["ann", "nameless"]],
  ["not at most, which matches absent", not(atMost("state.shoe", 40)), IDS.filter((id) => id !== "ann")],
  ["not at least, which matches absent", not(atLeast("state.shoe", 40.1)), IDS.filter((id) => id !== "bob")],
  ["at most a number, which matches no text", atMost("state.name", 1e15), []],
  ["at least a number, which matches no text", atLeast("state.name", -1e15), []],
  ["at least a number, which matches no object", atLeast("state.email", -1e15), []],
  ["some element with at least a number", some(atLeast("element.since", 7)), ["ann"]],
  ["some element with at most a number", some(atMost("element.since", 6.9)), ["bob"]],
  [
    "some, which needs one element between two numbers",
    some({ all: [atLeast("element.since", 2), atMost("element.since", 6)] }),
    [],
  ],

  ["equals_ignore_case", text("mÜLLER", "equals_ignore_case"), ["muell", "MUELL"]],
  ["equals_ignore_case, which matches no prefix", text("mülle", "equals_ignore_case"), []],
  ["equals_ignore_case with an empty text", text("", "equals_ignore_case"), ["empty"]],
  ["equals_ignore_case, which is not a pattern", text("%", "equals_ignore_case"), []],
  ["starts_with", text("Mü", "starts_with"), ["muell"]],
  ["starts_with in another case", text("mü", "starts_with"), []],
  ["starts_with the whole", text("Ann", "starts_with"), ["ann"]],
  ["starts_with more than the whole", text("Anna", "starts_with"), []],
  ["starts_with a later part", text("üller", "starts_with"), []],
  ["starts_with an empty text", text("", "starts_with"), WITH_A_NAME],
  ["starts_with, which is not a pattern", text("_00", "starts_with"), []],
  ["starts_with a wildcard", text("100%", "starts_with"), ["percent"]],
  ["starts_with a character of two UTF-16 units", text("😀", "starts_with"), ["smile"]],
  ["starts_with_ignore_case", text("mÜ", "starts_with_ignore_case"), ["muell", "MUELL"]],
  ["starts_with_ignore_case with an empty text", text("", "starts_with_ignore_case"), WITH_A_NAME],
  ["starts_with_ignore_case, which is not a pattern", text("%", "starts_with_ignore_case"), []],
  ["contains", text("ü", "contains"), ["muell"]],
  ["contains in another case", text("ü", "contains"), ["muell"]],
  ["contains_ignore_case", text("ÜLL", "contains_ignore_case"), ["muell", "MUELL"]],
  ["contains_ignore_case with a later part", text("SMILE", "contains_ignore_case"), ["smile"]],
  ["contains_ignore_case with an empty text", text("", "contains_ignore_case"), WITH_A_NAME],
  ["contains_ignore_case, which is not a pattern", text("%", "contains_ignore_case"), ["percent"]],
  ["contains_ignore_case of an email", text("@EXAMPLE", "contains_ignore_case", "state.email.address"), WITH_AN_EMAIL],
  ["contains the whole", text("Bob", "contains"), ["bob"]],
  ["contains an empty text", text("", "contains"), WITH_A_NAME],
  ["contains %", text("%", "contains"), ["percent"]],
  ["contains _", text("_", "contains"), ["percent"]],
  ["contains \\", text("\\", "contains"), ["percent"]],
  ["contains '", text("'", "contains"), ["quote"]],
  ['contains "', text('"', "contains"), ["quote"]],
  ["contains a character of two UTF-16 units", text("😀", "contains"), ["smile"]],
  ["not contains, which matches absent", not(text("", "contains")), ["nameless"]],
  ["not starts_with, which matches absent", not(text("", "starts_with")), ["nameless"]],
  ["not equals_ignore_case, which matches absent", not(text("ann", "equals_ignore_case", "state.nick")), IDS],
  ["a text method on the id", text("MUE", "starts_with", "id"), ["MUELL"]],
  ["a text method on the owner", text("A", "equals_ignore_case", "owner.id"), ["ann"]],

  ["a rare condition", { rare: is("state.name", "Bob") }, ["bob"]],
  [
    "not a rare condition, which matches absent",
    not({ rare: exists("state.email") }),
    IDS.filter((id) => !WITH_AN_EMAIL.includes(id)),
  ],
  [
    "a rare condition on two fields",
    {
      rare: {
        any: [text("MUE", "contains_ignore_case", "id"), text("ANN@", "contains_ignore_case", "state.email.address")],
      },
    },
    ["ann", "muell", "MUELL"],
  ],
  ["a rare condition that all match", { all: [{ rare: EVERYTHING }, { rare: exists("state.lock") }] }, ["muell"]],

  ["some element", some(is("element.name", "queen")), ["ann"]],
  ["some element of any kind", some({ all: [] }), ["ann", "bob", "quote"]],
  [
    "some, which needs both conditions in one element",
    some({ all: [is("element.name", "queen"), is("element.own", true)] }),
    [],
  ],
  [
    "some with both conditions in one element",
    some({ all: [is("element.name", "ann"), is("element.own", true)] }),
    ["ann"],
  ],
  ["some element without a condition's value", some(not(is("element.own", true))), ["ann", "bob", "quote"]],
  [
    "not some, which matches streams without the array",
    not(some({ all: [] })),
    IDS.filter((id) => !["ann", "bob", "quote"].includes(id)),
  ],
  ["some by a text method", some(text("B", "starts_with_ignore_case", "element.name")), ["bob"]],
  ["some with text that looks like SQL", some(is("element.name", `'; DROP TABLE streams; --`)), ["quote"]],
  ["some of an array that no stream has", some({ all: [] }, "state.nothing"), []],
];

/** Sort keys, and all ids in their order. */
const ORDERS: [name: string, keys: SortKey[], ids: string[]][] = [
  [
    "no key, which sorts by id in code points",
    [],
    ["MUELL", "ann", "bob", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile"],
  ],
  [
    "a text in code points, absent first",
    [{ field: "state.name" }],
    ["nameless", "empty", "percent", "oneHundred", "ann", "bob", "MUELL", "muell", "quote", "smile"],
  ],
  [
    "a number, absent first, ties by id",
    [{ field: "state.shoe" }],
    ["MUELL", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "ann", "bob"],
  ],
  [
    "a condition, non-matching streams first",
    [{ test: exists("state.email") }],
    ["empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile", "MUELL", "ann", "bob"],
  ],
  [
    "two keys",
    [{ test: { any: [exists("state.email"), exists("state.lock")] } }, { field: "state.name" }],
    ["nameless", "empty", "percent", "oneHundred", "quote", "smile", "ann", "bob", "MUELL", "muell"],
  ],
  [
    "a condition on some element",
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
    "conditions with the same result for all",
    [{ test: { all: [] } }, { test: { any: [] } }, { test: not({ all: [] }) }],
    ["MUELL", "ann", "bob", "empty", "muell", "nameless", "oneHundred", "percent", "quote", "smile"],
  ],
];

/** Ann and Bob belong to organizations, the others to the instance. */
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

  test.each(FILTERS)("finds the streams that match %s", async (_, where, ids) => {
    const { records, total } = await store.search(query("user", where));
    expect(idsOf(records).sort()).toEqual([...ids].sort());
    expect(total).toBe(ids.length);

    const everybody = (await store.search(query("user", EVERYTHING))).records;
    const ofTheModel = everybody.filter((record) => passes(where, record));
    expect(idsOf(ofTheModel).sort()).toEqual([...ids].sort());
  });

  test.each(ORDERS)("sorts by %s", async (_, keys, ids) => {
    const inOrder = async (descending: boolean) =>
      idsOf((await store.search(query("user", EVERYTHING, { order: { keys, descending } }))).records);
    expect(await inOrder(false)).toEqual(ids);
    expect(await inOrder(true)).toEqual([...ids].reverse());
  });

  test("sorts by code points, not by UTF-16 units", async () => {
    const names = { one: "😀", other: "～" };
    for (const [id, name] of Object.entries(names)) await store.append(change(id, { kind: "sign", state: { name } }));
    const order = { keys: [{ field: "state.name" }], descending: false };
    expect(idsOf((await store.search(query("sign", EVERYTHING, { order }))).records)).toEqual(["other", "one"]);
  });

  test("returns records as a load does, and only those of the kind", async () => {
    const { records } = await store.search(query("user", is("id", "ann")));
    expect(records).toEqual([await store.load("user", "ann")]);
    expect(await store.search(query("other", EVERYTHING))).toEqual({ records: [], isCut: false, total: 0 });
  });

  test("applies offset and limit to the page and not to the total", async () => {
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

  test("returns the same page with a total of 0 if the total is not requested", async () => {
    const page = (where: Filter, total?: false) =>
      store.search(query("user", where, { limit: 2, ...(total === false && { total }) }));
    for (const where of [EVERYTHING, { field: "id", after: "ann" } as const, is("id", "nobody")]) {
      expect(await page(where, false)).toEqual({ ...(await page(where)), total: 0 });
    }
  });

  test("limits a page to 700,000 characters or one record, and the next page continues after it", async () => {
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

  test.each(ORDERS)("continues after each place of an order by %s", async (_, keys, ids) => {
    for (const descending of [false, true]) {
      const order = { keys, descending };
      const inOrder = descending ? [...ids].reverse() : ids;
      const all = (await store.search(query("user", EVERYTHING, { order }))).records;
      for (const [index, record] of all.entries()) {
        const after = placeOf(record, query("user", EVERYTHING, { order }));
        const { records, total } = await store.search(query("user", EVERYTHING, { order, after, limit: 3 }));
        expect([idsOf(records), total]).toEqual([inOrder.slice(index + 1, index + 4), ids.length]);
      }
    }
  });

  test("finds the streams of the kind that hold a claim with a prefix and a text", async () => {
    const claims: [id: string, kind: string, claims: string[]][] = [
      ["one", "holder", ["name:anna", "name:queen", "nick:anna"]],
      ["two", "holder", ["name:joanna", "nick:bob"]],
      ["three", "holder", ["namf:anna2", "name:%"]],
      ["four", "another", ["name:hanna"]],
      ["five", "holder", []],
    ];
    for (const [id, kind, add] of claims) await store.append(change(id, { kind, claims: { add, remove: [] } }));
    const found = async (claim: string, contains: string, more: (filter: Filter) => Filter = (filter) => filter) => {
      const { records, total } = await store.search(query("holder", more({ claim, contains })));
      expect(total).toBe(records.length);
      return idsOf(records);
    };
    expect(await found("name:", "anna")).toEqual(["one", "two"]);
    expect(await found("name:", "Anna")).toEqual([]);
    expect(await found("name:", "e:q")).toEqual(["one"]);
    expect(await found("name:", "%")).toEqual(["three"]);
    expect(await found("nick:", "")).toEqual(["one", "two"]);
    expect(await found("nick:", "a\0")).toEqual([]);
    expect(await found("name:", "anna", not)).toEqual(["five", "three"]);
    expect(await found("nick:", "anna", (filter) => ({ any: [filter, is("id", "five")] }))).toEqual(["five", "one"]);
  });

  test("continues after a place that no stream has", async () => {
    const order = { keys: [{ field: "state.name" }], descending: false };
    const at = async (name: string | null, id: string, descending = false) => {
      const after = { values: [name], id };
      return idsOf(
        (await store.search(query("user", EVERYTHING, { order: { ...order, descending }, after, limit: 2 }))).records,
      );
    };
    expect(await at("Anna", "zoe")).toEqual(["bob", "MUELL"]);
    expect(await at("Anna", "zoe", true)).toEqual(["ann", "oneHundred"]);
    expect(await at(null, "zoe")).toEqual(["empty", "percent"]);
    expect(await at(null, "a", true)).toEqual([]);
  });

  test("sees every answered append", async () => {
    for (let version = 0; version < 20; version++) {
      await store.append(change("s", { kind: "seen", expectedVersion: version, state: { at: version } }));
      expect((await store.search(query("seen", is("state.at", version)))).total).toBe(1);
    }
  });

  test("takes the page and the total from one snapshot", async () => {
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

  test.each(["all", "any"] as const)("accepts 2,000 filters in one %s", async (join) => {
    const filters = Array.from({ length: 2_000 }, (_, index) => is("id", index === 1_234 ? "ann" : `n${index}`));
    const where = join === "any" ? { any: filters } : { all: filters.map(not) };
    const { total } = await store.search(query("user", where));
    expect(total).toBe(join === "any" ? 1 : 9);
  });

  test("finds every character by its upper case and NFD form if case is ignored, as the domain folds it", async () => {
    // The characters that folding changes, and the rest of the first two planes in texts of 2,048.
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

  test("returns the same as a simple model for random filters and orders", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(randomStream, { maxLength: 8 }), randomQuery, async (streams, random) => {
        const kind = `run ${run++}`;
        await Promise.all(streams.map((more, index) => store.append(change(`s${index}`, { kind, ...more }))));
        const all = (await store.search(query(kind, EVERYTHING))).records;
        expect(await store.search({ ...random, kind })).toEqual(answer({ ...random, kind }, all));

        const whole = { ...random, kind, offset: 0, limit: 8 };
        const { records, total } = answer(whole, all);
        for (const [index, record] of records.entries()) {
          const after = placeOf(record, whole);
          const rest = records.slice(index + 1, index + 1 + random.limit);
          const page = await store.search({ ...whole, limit: random.limit, after });
          expect(page).toEqual({ records: rest, isCut: false, total });
        }
      }),
      { numRuns: 300 },
    );
  });
}
