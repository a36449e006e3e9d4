import {
  type DescField,
  type DescMessage,
  fromJson,
  getOption,
  type JsonValue,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { refuse_unknown_fields } from "../../gen/userlock/v3alpha/options_pb.ts";
import { MAX_DURATION_SECONDS } from "../rpc/check-request.ts";
import { refusal } from "../rpc/errors.ts";
import { fieldNamed, noSuchField, notOneOf, problemIn, shown } from "./json-problems.ts";
import { decodeText } from "./text.ts";
import { checkJsonValues } from "./values.ts";

/** Messages within one another, as many as the library reads. */
const MAX_DEPTH = 100;
/** Characters of a field's name that an error repeats. */
const MAX_NAME = 200;

/** The JSON of a body. Throws INVALID_REQUEST for too many values, for bytes that are not UTF-8, and for a key that comes twice. */
export function parseJson(bytes: Uint8Array): JsonValue {
  checkJsonValues(bytes);
  const text = decodeText(bytes);
  let json: JsonValue;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // The rest of Node's sentence quotes the body, which may have a password in it.
    const [, position] = /at position (\d+)/.exec((error as Error).message) ?? [];
    throw refusal("INVALID_REQUEST", `The body is not JSON${position ? `: see character ${position}` : ""}.`);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) throw refusal("INVALID_REQUEST", `The body has the key ${twice} twice in one object.`);
  return json;
}

/**
 * The message of a document in ProtoJSON, on every door. The library passes over enum values that it does not know
 * together with unknown fields, and takes days and hours that do not exist: all of that is refused here. Unknown fields
 * are refused if the caller says so, or the contract does. `types` are those of a google.protobuf.Any. Throws
 * INVALID_REQUEST.
 */
export function readMessage(
  desc: DescMessage,
  json: JsonValue,
  { refuseUnknown = false, types }: { refuseUnknown?: boolean; types?: Registry } = {},
): Message {
  check(desc, json, "", { depth: 1, refuseUnknown: refuseUnknown || getOption(desc, refuse_unknown_fields) });
  try {
    return fromJson(desc, json, { ignoreUnknownFields: true, ...(types && { registry: types }) });
  } catch {
    const problem = problemIn(desc, json);
    if (problem?.field) throw invalidField(problem.field, problem.description);
    throw refusal("INVALID_REQUEST", problem ? "The body must be a JSON object." : "The request cannot be read.");
  }
}

/** The error about one field, named as the caller wrote it. */
export function invalidField(field: string, description: string) {
  const name = field.slice(0, MAX_NAME);
  return refusal("INVALID_REQUEST", `${name}: ${description}`, [{ field: name, description }]);
}

/** A key that an object of the text has twice; the text is JSON. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  let latest = "";
  for (let at = 0; at < text.length; at++) {
    const start = at;
    switch (text[at]) {
      case "{":
      case "[":
        open.push(new Set());
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case '"':
        while (text[++at] !== '"') if (text[at] === "\\") at++;
        latest = text.slice(start, at + 1);
        break;
      case ":": {
        const key = latest.includes("\\") ? JSON.stringify(JSON.parse(latest)) : latest;
        const keys = open.at(-1) as Set<string>;
        if (keys.has(key)) return key;
        keys.add(key);
      }
    }
  }
  return undefined;
}

interface Strictness {
  depth: number;
  refuseUnknown: boolean;
}

/** Values of the wrong shape are left to the library. */
function check(desc: DescMessage, json: JsonValue, path: string, { depth, refuseUnknown }: Strictness): void {
  if (json === null || typeof json !== "object" || Array.isArray(json)) return;
  if (depth > MAX_DEPTH) throw refusal("INVALID_REQUEST", "The request is nested too deep.");
  for (const [key, value] of Object.entries(json)) {
    const field = fieldNamed(desc, key);
    const name = path ? `${path}.${key}` : key;
    if (!field) {
      if (refuseUnknown) throw invalidField(name, noSuchField(desc, key, path));
      continue;
    }
    if (field.scalar !== undefined) continue;
    if (field.fieldKind !== "list") checkValue(field, value, name, { depth, refuseUnknown });
    else if (Array.isArray(value)) {
      for (const [index, item] of value.entries())
        checkValue(field, item, `${name}[${index}]`, { depth, refuseUnknown });
    }
  }
}

function checkValue(field: DescField, value: JsonValue, name: string, { depth, refuseUnknown }: Strictness): void {
  if (value === null) return;
  if (field.enum) {
    const isUnknown = typeof value === "string" && !field.enum.values.some((known) => known.name === value);
    if (isUnknown) throw invalidField(name, notOneOf(field.enum, value));
  } else if (field.message?.typeName === TimestampSchema.typeName) {
    if (!isTime(value)) {
      throw invalidField(name, `${shown(value)} is not a date and time; use RFC 3339, such as "2030-01-31T12:00:00Z"`);
    }
  } else if (field.message?.typeName === DurationSchema.typeName) {
    if (!isDuration(value)) {
      throw invalidField(name, `${shown(value)} is not a duration; use seconds, such as "3600s"`);
    }
  } else if (field.message && !field.message.typeName.startsWith("google.protobuf.")) {
    check(field.message, value, name, { depth: depth + 1, refuseUnknown });
  }
}

/** RFC 3339, section 5.7: the day is one of the month, and no hour is 24. There are no leap seconds in a Timestamp. */
function isTime(value: JsonValue): boolean {
  const pattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
  const [, local] = (typeof value === "string" && pattern.exec(value)) || [];
  const time = Date.parse(`${local}Z`);
  // Date takes the day after the last one of a month for the first of the next.
  return !Number.isNaN(time) && new Date(time).toISOString().slice(0, 19) === local;
}

function isDuration(value: JsonValue): boolean {
  const match = typeof value === "string" && /^-?(\d{1,12})(?:\.\d{1,9})?s$/.exec(value);
  return match !== false && match !== null && BigInt(match[1] as string) <= MAX_DURATION_SECONDS;
}
