import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { DurationSchema, FieldMaskSchema, isWrapperDesc, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { refusal } from "../../rpc/errors.ts";
import { invalidField, parseJson, readMessage } from "../json.ts";
import { noSuchField, shown } from "../json-problems.ts";
import { type Match, resolveField } from "./routes.ts";

/**
 * The request message of a REST call, from its path, its query and its body, as google/api/http.proto says, and in two
 * points better for people: with `body: "*"` the query may set what the body leaves out, and what is unknown or set
 * twice is refused, not passed over. All three become one JSON document, which is then read by the rules of
 * ProtoJSON. Throws INVALID_REQUEST.
 */
export function bindRequest(match: Match<DescMethod>, query: URLSearchParams, body: Uint8Array): Message {
  const { route, variables } = match;
  const { input } = route.method;
  const json = bodyJson(route.body, body);
  for (const { fieldPath, value } of variables) place(json, input, fieldPath, decode(value));
  for (const key of new Set(query.keys())) {
    const path = key.split(".");
    // Proxies and browsers keep the addresses that they see.
    if (resolveField(input, path)?.proto.options?.debugRedact)
      throw invalidField(key, "is a secret; send it in the body");
    if (typeof route.body === "object" && resolveField(input, path.slice(0, 1)) === route.body) {
      throw invalidField(key, "is not a parameter of the query; send it as the body");
    }
    const values = query.getAll(key);
    if (values.length === 1) place(json, input, path, values[0] as string);
    else place(json, input, path, values);
  }
  return readMessage(input, json, { refuseUnknown: true });
}

function bodyJson(target: DescField | "*" | undefined, body: Uint8Array): JsonObject {
  if (body.byteLength === 0) return {};
  if (target === undefined) throw refusal("INVALID_REQUEST", "This method takes no body; use the query.");
  const json = parseJson(body);
  if (target !== "*") return { [target.jsonName]: json };
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw refusal("INVALID_REQUEST", "The body must be a JSON object.");
  }
  return json;
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw refusal("INVALID_REQUEST", "The path has a broken percent-encoding.");
  }
}

/** Sets the field at the end of the path, making the messages on the way. */
function place(json: JsonObject, desc: DescMessage, path: readonly string[], text: string | string[]): void {
  const name = path.join(".");
  const leaf = resolveField(desc, path);
  if (!leaf) throw missingField(desc, path);
  let target = json;
  let message = desc;
  for (const part of path.slice(0, -1)) {
    const field = resolveField(message, [part]) as DescField & { fieldKind: "message" };
    const key = keyOf(target, field);
    target[key] ??= {};
    if (typeof target[key] !== "object") throw invalidField(name, "is set twice; set it once");
    target = target[key] as JsonObject;
    message = field.message;
  }
  const key = keyOf(target, leaf);
  const value =
    leaf.fieldKind === "list" ? [text].flat().map((item) => toJson(leaf, name, item)) : single(leaf, name, text);
  if (Object.hasOwn(target, key) && JSON.stringify(target[key]) !== JSON.stringify(value)) {
    throw invalidField(name, "is set twice; set it once");
  }
  target[key] = value;
}

/** The key that the object has for the field already, or its JSON name. */
function keyOf(object: JsonObject, field: DescField): string {
  return Object.hasOwn(object, field.name) ? field.name : field.jsonName;
}

function single(field: DescField, name: string, text: string | string[]): JsonValue {
  if (typeof text !== "string") throw invalidField(name, "is set twice; set it once");
  return toJson(field, name, text);
}

/** The text of one value as ProtoJSON; whether it fits the field is left to the reader of ProtoJSON. */
function toJson(field: DescField, name: string, text: string): JsonValue {
  if (field.enum) return /^-?\d+$/.test(text) ? Number(text) : text;
  if (field.message) {
    if (isWrapperDesc(field.message)) return toJson(field.message.fields[0] as DescField, name, text);
    const asText: string[] = [TimestampSchema.typeName, DurationSchema.typeName, FieldMaskSchema.typeName];
    if (asText.includes(field.message.typeName)) return text;
  }
  if (field.fieldKind === "map" || field.scalar === undefined) throw invalidField(name, setFieldsOf(field, name));
  if (field.scalar === ScalarType.BOOL) {
    if (text !== "true" && text !== "false")
      throw invalidField(name, `${shown(text)} is not a boolean; use true or false`);
    return text === "true";
  }
  if (field.scalar === ScalarType.BYTES) return text.replaceAll("-", "+").replaceAll("_", "/");
  return text;
}

/** The error about a path of names that leads to no field. */
function missingField(desc: DescMessage, path: readonly string[]) {
  const known = path.findIndex((_, index) => !resolveField(desc, path.slice(0, index + 1)));
  const field = known === 0 ? undefined : resolveField(desc, path.slice(0, known));
  const message = known === 0 ? desc : field?.fieldKind === "message" ? field.message : undefined;
  const before = path.slice(0, known).join(".");
  const why = message ? noSuchField(message, path[known] as string, before) : `no such field; ${before} has no fields`;
  return invalidField(path.join("."), why);
}

function setFieldsOf({ message }: DescField, name: string): string {
  const field = message?.fields[0];
  return field ? `has fields of its own; set those, such as ${name}.${field.jsonName}` : "cannot be set in the query";
}
