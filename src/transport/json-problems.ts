import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { distance } from "../nearest.ts";
import { allowedNames } from "../rpc/rule-sentences.ts";

/** Characters of a value that an error repeats. */
const MAX_VALUE = 60;
/** Fields that an error lists. */
const MAX_LISTED = 19;
/** A longer name, in characters, is not compared with the names of fields. */
const MAX_NAME = 100;

const WHOLE_NUMBERS: Partial<Record<ScalarType, string>> = {
  [ScalarType.INT32]: "a whole number from -2147483648 to 2147483647",
  [ScalarType.UINT32]: "a whole number from 0 to 4294967295",
  [ScalarType.INT64]: "a whole number from -9223372036854775808 to 9223372036854775807",
  [ScalarType.UINT64]: "a whole number from 0 to 18446744073709551615",
};

/** A field, as a path in the spelling of the document, and what is wrong with it. */
interface Problem {
  field: string;
  description: string;
}

/** The field of this name, in the form of the proto file or of JSON. */
export function fieldNamed({ fields }: DescMessage, name: string): DescField | undefined {
  return fields.find((field) => field.name === name || field.jsonName === name);
}

/**
 * The first value of a JSON document that does not fit its field. It is called after the library has refused the
 * document, so valid requests do not pay for it. Undefined if every value fits.
 */
export function problemIn(desc: DescMessage, json: JsonValue, path = ""): Problem | undefined {
  if (!isObject(json)) return { field: path, description: notAnObject(desc, json) };
  const set = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    const field = fieldNamed(desc, key);
    if (!field || value === null) continue;
    const name = path ? `${path}.${key}` : key;
    const problem = field.fieldKind === "list" ? problemOfList(field, value, name) : problemOf(field, value, name);
    if (problem) return problem;
    const other = field.oneof && set.get(field.oneof.name);
    if (other !== undefined)
      return { field: name, description: `cannot be set together with ${other}; set one of them` };
    if (field.oneof) set.set(field.oneof.name, key);
  }
  return undefined;
}

/** What is said of a field that does not exist, with the field that was probably meant. */
export function noSuchField(desc: DescMessage, name: string, path = ""): string {
  const spelled = ({ name: proto, jsonName }: DescField) => (name.includes("_") ? proto : jsonName);
  const prefix = path ? `${path}.` : "";
  const meant = nearestField(desc, name);
  if (meant) return `no such field; did you mean ${prefix}${meant.map(spelled).join(".")}?`;
  if (desc.fields.length === 0) return "no such field; the message has no fields";
  const fields = desc.fields.slice(0, MAX_LISTED).map(spelled).join(", ");
  return `no such field; use ${fields}${desc.fields.length > MAX_LISTED ? ", …" : ""}`;
}

/** What is said of a value that is not one of an enum. */
export function notOneOf(values: DescEnum, value: JsonValue): string {
  return `${shown(value)} is not allowed; use one of ${allowedNames(values)}`;
}

/** A value as an error repeats it. */
export function shown(value: JsonValue): string {
  if (value !== null && typeof value === "object") return kindOf(value);
  const text = JSON.stringify(value);
  return text.length <= MAX_VALUE ? text : `${text.slice(0, MAX_VALUE)}…`;
}

/** What stands in the place of an object or a list. It is not repeated, because it may be a secret of a field within. */
function kindOf(value: JsonValue): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function isObject(json: JsonValue): json is JsonObject {
  return json !== null && typeof json === "object" && !Array.isArray(json);
}

function problemOfList(field: DescField, value: JsonValue, name: string): Problem | undefined {
  if (!Array.isArray(value)) {
    return { field: name, description: `${kindOf(value)} is not a list; put the values between [ and ]` };
  }
  for (const [index, item] of value.entries()) {
    const at = `${name}[${index}]`;
    if (item === null) return { field: at, description: "null is not allowed in a list" };
    const problem = problemOf(field, item, at);
    if (problem) return problem;
  }
  return undefined;
}

function problemOf(field: DescField, value: JsonValue, name: string): Problem | undefined {
  if (field.message && !field.message.typeName.startsWith("google.protobuf."))
    return problemIn(field.message, value, name);
  return fits(field, value) ? undefined : { field: name, description: misfit(field, value) };
}

/** Whether the library takes the value. */
function fits(field: DescField, value: JsonValue): boolean {
  try {
    fromJson(field.parent, { [field.jsonName]: field.fieldKind === "list" ? [value] : value });
    return true;
  } catch {
    return false;
  }
}

function misfit(field: DescField, value: JsonValue): string {
  const what = shownIn(field, value);
  if (field.enum) return notOneOf(field.enum, value);
  if (field.message) return notAnObject(field.message, value);
  if (field.scalar === ScalarType.BOOL) return `${what} is not a boolean; use true or false`;
  if (field.scalar === ScalarType.STRING) return `${what} is not a string; use text in double quotes`;
  if (field.scalar === ScalarType.BYTES) return `${what} is not bytes; use a string in base64`;
  const number = field.scalar === undefined ? undefined : WHOLE_NUMBERS[field.scalar];
  return `${what} is not ${number ?? "a number"}`;
}

/** Numbers may be secrets, too: a password that was sent without quotes. */
function shownIn(field: DescField, value: JsonValue): string {
  return field.proto.options?.debugRedact ? "the value" : shown(value);
}

function notAnObject({ fields, typeName }: DescMessage, value: JsonValue): string {
  const example = typeName.startsWith("google.protobuf.") ? undefined : fields[0]?.jsonName;
  return `${kindOf(value)} is not an object; ${example ? `set its fields, such as {"${example}": …}` : 'use {"name": …}'}`;
}

/** The field that was probably meant, as a path: one of the message or of the messages in it. */
function nearestField(desc: DescMessage, name: string): DescField[] | undefined {
  if (name.length > MAX_NAME) return undefined;
  const words = name.replaceAll("_", "").toLowerCase();
  const inner = desc.fields.flatMap((field) =>
    field.fieldKind === "message" && !field.message.typeName.startsWith("google.protobuf.")
      ? field.message.fields.map((each) => [field, each])
      : [],
  );
  const paths = [...desc.fields.map((field) => [field]), ...inner];
  const ranked = paths
    .map((path) => ({ path, far: distance(words, (path.at(-1) as DescField).jsonName) + (path.length - 1) / 2 }))
    .filter(({ far }) => far < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.far - b.far);
  if (ranked[0]) return ranked[0].path;
  // "userId" where the field is "id".
  const last = /(?:^|_|(?=[A-Z]))([A-Za-z][a-z]+)$/.exec(name)?.[1]?.toLowerCase();
  const field = desc.fields.find(({ jsonName }) => jsonName === last);
  return field && [field];
}
