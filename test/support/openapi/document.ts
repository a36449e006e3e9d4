import { readFileSync } from "node:fs";

/** An object of JSON Schema. */
export type Schema = Record<string, unknown>;

/** The parts of an OpenAPI document that tests read. */
export interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, Schema>>;
}

export interface Operation {
  operationId: string;
  summary: string;
  security?: Record<string, string[]>[];
  parameters?: (Parameter | Reference)[];
  requestBody?: { required: boolean; content: Record<string, { schema: Schema; example?: unknown }> };
  responses: Record<string, Response | Reference>;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
  example?: unknown;
}

export interface Response {
  description: string;
  content?: Record<string, { schema: Schema }>;
}

export interface Reference {
  $ref: string;
}

/** The place of a part in the document, as keys. */
export type Place = readonly string[];

export const JSON_TYPE = "application/json";

/** The generated document. */
export const readDocument = (): Document => JSON.parse(readFileSync("gen/openapi.json", "utf8"));

/** Follows the reference if the part is one. Returns the part with its place. */
export function follow<Part extends object>(
  document: Document,
  part: Part | Reference,
  place: Place,
): { part: Part; place: Place } {
  if (!("$ref" in part)) return { part, place };
  const [, ...keys] = part.$ref.split("/");
  return { part: keys.reduce<unknown>((at, key) => (at as Schema)[key], document) as Part, place: keys };
}

/** The schema of errors that no operation describes. */
export const ERROR: Place = ["components", "schemas", "Status"];

/** The schema of the data of server-sent events. */
export const EVENT: Place = ["components", "schemas", "Event"];

/** The places of all schemas of answers. */
export function answerPlaces(document: Document): Place[] {
  const places = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([verb, { responses }]) =>
      Object.entries(responses).flatMap(([status, response]) => {
        const { part, place } = follow(document, response, ["paths", path, verb, "responses", status]);
        return part.content?.[JSON_TYPE] ? [[...place, "content", JSON_TYPE, "schema"]] : [];
      }),
    ),
  );
  const byPointer = new Map([ERROR, EVENT, ...places].map((place) => [pointerTo(place), place]));
  return [...byPointer.values()];
}

/** A place as a fragment of a URI (RFC 6901, section 6). */
export function pointerTo(place: Place): string {
  return place.map((key) => `/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`).join("");
}

/** The document with `additionalProperties: false` in every object of an answer, so that an unknown field is found. */
export function closed(document: Document): Document {
  const close = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(close);
    if (part === null || typeof part !== "object") return part;
    const entries = Object.entries(part).map(([key, value]) => [key, close(value)]);
    const isOpen =
      "type" in part && part.type === "object" && "properties" in part && !("additionalProperties" in part);
    return Object.fromEntries(isOpen ? [...entries, ["additionalProperties", false]] : entries);
  };
  return close(document) as Document;
}
