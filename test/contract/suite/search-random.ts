import fc from "fast-check";
import type { Filter, SortKey, TextMethod } from "../../../src/store/query.ts";
import { NOW } from "../../support/stores/appends.ts";

// Few values, so that filters match streams. They include those that databases treat specially.
const someText = fc.string({ unit: fc.constantFrom(..."aAäÄ%_'\\😀"), maxLength: 3 });
const someNumber = fc.constantFrom(-1, 0, 0.5, 7, NOW);
const maybe = { requiredKeys: [] };

/** The fields in which random streams differ. */
export const randomStream = fc.record({
  time: fc.integer({ min: NOW, max: NOW + 3 }),
  owner: fc.record({ type: fc.constantFrom("org" as const, "instance" as const), id: fc.constantFrom("a", "A", "b") }),
  state: fc.record(
    {
      name: someText,
      email: fc.record({ address: someText, verified: fc.boolean() }, maybe),
      shoe: someNumber,
      names: fc.array(fc.record({ name: someText, own: fc.boolean(), since: someNumber }, maybe), { maxLength: 3 }),
    },
    maybe,
  ),
});

/** Conditions on a stream or on an element of one of its arrays. */
function conditions(texts: string[], booleans: string[], numbers: string[]): fc.Arbitrary<Filter>[] {
  const method = fc.constantFrom<TextMethod>(
    "equals_ignore_case",
    "starts_with",
    "starts_with_ignore_case",
    "contains",
    "contains_ignore_case",
  );
  const all = [
    fc.record({ field: fc.constantFrom(...texts), is: someText }),
    fc.record({ field: fc.constantFrom(...texts), text: method, value: someText }),
    fc.record({ field: fc.constantFrom(...texts), after: someText }),
    fc.record({ field: fc.constantFrom(...booleans), is: fc.boolean() }),
    fc.record({ field: fc.constantFrom(...texts, ...booleans, ...numbers), exists: fc.constant(true as const) }),
  ];
  const number = fc.constantFrom(...numbers);
  return [
    ...all,
    fc.record({ field: number, is: someNumber }),
    fc.record({ field: fc.oneof(number, fc.constantFrom(...texts)), atMost: someNumber }),
    fc.record({ field: fc.oneof(number, fc.constantFrom(...texts)), atLeast: someNumber }),
  ];
}

function nested(leaves: fc.Arbitrary<Filter>[], depth: number, canBeRare = false): fc.Arbitrary<Filter> {
  if (depth === 0) return fc.oneof(...leaves);
  const inner = nested(leaves, depth - 1, canBeRare);
  return fc.oneof(
    ...leaves,
    fc.record({ all: fc.array(inner, { maxLength: 3 }) }),
    fc.record({ any: fc.array(inner, { maxLength: 3 }) }),
    fc.record({ not: inner }),
    ...(canBeRare ? [fc.record({ rare: inner })] : []),
  );
}

const ofElement = nested(conditions(["element.name"], ["element.own"], ["element.since"]), 2);
/** A random condition on a stream. */
export const randomFilter = nested(
  [
    ...conditions(
      ["id", "owner.id", "owner.type", "state.name", "state.email.address"],
      ["state.email.verified"],
      ["created", "changed", "state.shoe"],
    ),
    fc.record({ some: fc.constant("state.names"), where: ofElement }),
  ],
  3,
  true,
);

const randomKey: fc.Arbitrary<SortKey> = fc.oneof(
  fc.record({
    field: fc.constantFrom(
      "id",
      "owner.id",
      "created",
      "state.name",
      "state.email.address",
      "state.email.verified",
      "state.shoe",
    ),
  }),
  fc.record({ test: randomFilter }),
);

/** A random query. */
export const randomQuery = fc.record({
  where: randomFilter,
  order: fc.record({ keys: fc.array(randomKey, { maxLength: 2 }), descending: fc.boolean() }),
  offset: fc.integer({ min: 0, max: 3 }),
  limit: fc.integer({ min: 0, max: 8 }),
});
