// Proves that indexed columns hold the values of the state.
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { INDEXED_FIELDS, keysOf } from "../../../src/store/indexed-fields.ts";

test("the indexed values equal those that SQLite extracts from the state's JSON", () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.record({ address: fc.jsonValue(), until: fc.jsonValue() }, { requiredKeys: [] }),
  );
  const state = fc.record({ email: value, lock: value, subject: value, userId: value }, { requiredKeys: [] });
  const database = new DatabaseSync(":memory:");
  const paths = INDEXED_FIELDS.map(({ field }) => field.replace("state.", "$."));
  const compare = paths.map((path) => database.prepare(`SELECT json_extract(?, '${path}') IS ? AS same`));
  fc.assert(
    fc.property(fc.oneof(state, fc.jsonValue()), (state) => {
      const json = JSON.stringify(state);
      // No state has whole numbers beyond 2^53. JavaScript cannot represent all of them exactly.
      fc.pre(!/\d{16}/.test(json));
      for (const [index, key] of keysOf(state).entries()) {
        expect({ key, same: compare[index]?.get(json, key)?.same }).toEqual({ key, same: 1 });
      }
    }),
    { numRuns: 500 },
  );
  database.close();
});
