import { fold } from "../../../src/domain/fold.ts";
import type { SearchResult, StreamRecord } from "../../../src/store/port.ts";
import type { Filter, OrderPlace, Query, SortKey, SortValue } from "../../../src/store/query.ts";

/** The search that the store's port describes, as a loop over all streams of the kind. */
export function answer(query: Query, streams: StreamRecord[]): SearchResult {
  const passing = streams.filter((stream) => passes(query.where, stream));
  const keys: SortKey[] = [...query.order.keys, { field: "id" }];
  passing.sort((one, other) => {
    const order = keys.reduce((order, key) => order || compare(keyOf(key, one), keyOf(key, other)), 0);
    return query.order.descending ? -order : order;
  });
  return {
    records: passing.slice(query.offset, query.offset + query.limit),
    isCut: false,
    total: passing.length,
  };
}

export function passes(filter: Filter, stream: StreamRecord, element?: unknown): boolean {
  if ("all" in filter) return filter.all.every((inner) => passes(inner, stream, element));
  if ("any" in filter) return filter.any.some((inner) => passes(inner, stream, element));
  if ("not" in filter) return !passes(filter.not, stream, element);
  if ("some" in filter) {
    const elements = (fieldOf(filter.some, stream, element) ?? []) as unknown[];
    return elements.some((one) => passes(filter.where, stream, one));
  }
  if ("rare" in filter) return passes(filter.rare, stream, element);
  if ("claim" in filter) throw new Error("the model knows no claims");
  const found = fieldOf(filter.field, stream, element);
  if ("exists" in filter) return found !== undefined;
  if ("is" in filter) return found === filter.is;
  if ("atMost" in filter) return typeof found === "number" && found <= filter.atMost;
  if ("after" in filter) return typeof found === "string" && compare(found, filter.after) > 0;
  if ("atLeast" in filter) return typeof found === "number" && found >= filter.atLeast;
  if (typeof found !== "string") return false;
  switch (filter.text) {
    case "equals_ignore_case":
      return fold(found) === fold(filter.value);
    case "starts_with":
      return found.startsWith(filter.value);
    case "starts_with_ignore_case":
      return fold(found).startsWith(fold(filter.value));
    case "contains":
      return found.includes(filter.value);
    case "contains_ignore_case":
      return fold(found).includes(fold(filter.value));
  }
}

/** The place of a stream in an order. */
export function placeOf(stream: StreamRecord, { order }: Query): OrderPlace {
  return { values: order.keys.map((key) => (keyOf(key, stream) ?? null) as SortValue), id: stream.id };
}

function fieldOf(path: string, stream: StreamRecord, element: unknown): unknown {
  const steps = path.split(".");
  const start: unknown = steps[0] === "element" ? { element } : stream;
  return steps.reduce((value, step) => (value as Record<string, unknown> | undefined)?.[step], start);
}

function keyOf(key: SortKey, stream: StreamRecord): unknown {
  return "field" in key ? fieldOf(key.field, stream, undefined) : passes(key.test, stream);
}

function compare(one: unknown, other: unknown): number {
  if (one === undefined || other === undefined) return Number(one !== undefined) - Number(other !== undefined);
  if (typeof one === "string" && typeof other === "string") return Buffer.compare(Buffer.from(one), Buffer.from(other));
  return Number(one) - Number(other);
}
