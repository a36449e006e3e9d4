// Proves that the columns of indexes hold what is in the state.
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { INDEXED_FIELDS, keysOf } from "../../../src/store/indexed-fields.ts";

test("the values of the columns are what SQLite finds in the JSON of the state", () => {
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
