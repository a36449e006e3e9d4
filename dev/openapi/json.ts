/** A JSON object of the document, such as a schema or an operation. */
export type Json = { [key: string]: unknown };

/** The object without the keys whose value is undefined. */
export function clean(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** The object with its keys in alphabetical order. */
export function sorted(object: Json): Json {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A reference to a component of the document. */
export function ref(kind: "schemas" | "responses" | "parameters", name: string): Json {
  return { $ref: `#/components/${kind}/${name}` };
}
