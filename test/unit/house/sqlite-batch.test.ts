import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { KEY_COLUMNS, keysOf } from "../../../src/store/indexed-fields.ts";
import { fromBatch, toBatch, toKeyedRow } from "../../../src/store/sqlite/batch.ts";
import { change, receipt } from "../../support/stores/appends.ts";

const text = fc.string({ maxLength: 5 }).filter((value) => !value.includes("\0"));
const several = fc.array(text, { maxLength: 2 });

const append = fc
  .record({
    kind: text,
    expectedVersion: fc.nat(),
    events: fc.array(fc.record({ type: text, data: fc.dictionary(text, text) }), { minLength: 1, maxLength: 3 }),
    userId: fc.option(text, { nil: undefined }),
    state: fc.record({ subject: text, userId: text }, { requiredKeys: [] }),
    claims: fc.record({ add: several, remove: several }),
    requires: fc.array(fc.record({ kind: text, id: text, version: fc.nat() }), { maxLength: 2 }),
    receipt: fc.option(text.map(receipt), { nil: undefined }),
  })
  .map((more) => change("u1", more));

test("rows come out of a batch as they went in, also across threads", () => {
  fc.assert(
    fc.property(fc.array(append, { maxLength: 4 }), (appends) => {
      const rows = appends.map(toKeyedRow);
      expect(fromBatch(structuredClone(toBatch(rows)))).toEqual(structuredClone(rows));
    }),
  );
});

test("keys are what SQLite finds in the JSON of the state, which it took them from in older files", () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.record({ address: fc.jsonValue(), until: fc.jsonValue() }, { requiredKeys: [] }),
  );
  const state = fc.record({ email: value, lock: value, subject: value, userId: value }, { requiredKeys: [] });
  const database = new DatabaseSync(":memory:");
  const paths = Object.keys(KEY_COLUMNS).map((field) => field.replace("state.", "$."));
  const compare = paths.map((path) => database.prepare(`SELECT json_extract(?, '${path}') IS ? AS same`));
  fc.assert(
    fc.property(fc.oneof(state, fc.jsonValue()), (state) => {
      const json = JSON.stringify(state);
      // Whole numbers beyond 2^53, which no state has: JSON writes them otherwise than JavaScript has them.
      fc.pre(!/\d{16}/.test(json));
      for (const [index, key] of keysOf(state).entries()) {
        expect({ key, same: compare[index]?.get(json, key)?.same }).toEqual({ key, same: 1 });
      }
    }),
    { numRuns: 500 },
  );
  database.close();
});
