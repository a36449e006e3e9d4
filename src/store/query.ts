export interface Query {
  kind: string;
  where: Filter;
  /** Ties are ordered by id, in the same direction. */
  order: { keys: readonly SortKey[]; descending: boolean };
  /** The page begins after this place of the order, and the offset is 0. Late pages are as fast as early ones. */
  after?: OrderPlace | undefined;
  offset: number;
  limit: number;
  /** Skips counting all matches, which is as expensive as reading them. `total` is then 0. */
  total?: false;
}

/**
 * A condition on a stream. A field is `id`, `owner.type`, `owner.id`, `created`, `changed`, or a path into the state
 * such as `state.email.address`; within `some` it is a path into the element, such as `element.name`. A comparison with
 * an absent field is false, and its negation true. Text is compared by code points.
 */
export type Filter =
  | { all: readonly Filter[] }
  | { any: readonly Filter[] }
  | { not: Filter }
  | { field: string; is: string | number | boolean }
  | { field: string; exists: true }
  /** A number that is at most, or at least, the given one. */
  | { field: string; atMost: number }
  | { field: string; atLeast: number }
  | { field: string; text: TextMethod; value: string }
  /** A text that sorts after the given one. */
  | { field: string; after: string }
  /** At least one element of the array at `some` matches. */
  | { some: string; where: Filter }
  /** The same condition. It says that few streams match, so the store first finds them, by an index if one has all. */
  | { rare: Filter }
  /** The stream holds a claim that begins with the prefix, which is ASCII, and contains the text. */
  | { claim: string; contains: string };

/** Methods that ignore case compare both texts folded (domain/fold.ts). */
export type TextMethod =
  | "equals_ignore_case"
  | "starts_with"
  | "starts_with_ignore_case"
  | "contains"
  | "contains_ignore_case";

/** Sorts by a field (absent first), or by a condition (non-matching first). */
export type SortKey = { field: string } | { test: Filter };

/** A place in an order: the value of each key there, and the id. The total still counts the streams before it. */
export interface OrderPlace {
  values: readonly SortValue[];
  id: string;
}

/** The value of a sort key: null for an absent field, a boolean for a condition. */
export type SortValue = string | number | boolean | null;

/** Counts streams of a kind. */
export interface CountQuery {
  kind: string;
  where: Filter;
  /** Conditions, each counted by itself. */
  tests: readonly Filter[];
  /** Counts those of the streams that also match `where`. Conditions that few streams match belong here. */
  part: {
    where: Filter;
    tests: readonly Filter[];
    /** The most frequent texts of a field. */
    top: { field: string; limit: number };
  };
}

export interface Counts {
  total: number;
  /** The number of streams that match each of the tests. */
  tests: number[];
  part: {
    total: number;
    tests: number[];
    /** The most frequent first; equally frequent ones in order of code points. */
    top: { text: string; count: number }[];
  };
}
