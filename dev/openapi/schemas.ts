import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import { message as messageRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { CommentOf } from "./comments.ts";
import { clean, type Json, ref } from "./json.ts";
import type { Rules } from "./rules.ts";

/** A request has what a caller may send, a response what the server sends. */
type Direction = "request" | "response";

/** Translates messages to schemas. It collects the schemas of all messages and enums on the way. */
export interface Schemas {
  ofMessage(desc: DescMessage, direction: Direction): Json;
  ofField(field: DescField, direction: Direction): Json;
  /** The schema of a request without some fields, which are in the path. */
  ofRequest(desc: DescMessage, without: readonly DescField[]): Json;
  /** Whether the server refuses a request that does not set the field. */
  isRequired(field: DescField): boolean;
  readonly components: Json;
}

/** Messages with a form of their own in JSON (https://protobuf.dev/programming-guides/json/). */
const WELL_KNOWN = new Map<string, Json>([
  ["google.protobuf.Timestamp", { type: "string", format: "date-time" }],
  ["google.protobuf.Duration", { type: "string", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$" }],
  ["google.protobuf.Struct", { type: "object", additionalProperties: true }],
]);

/** `schemaOfStatus` is that of google.rpc.Status. `outputs` are the messages that responses consist of. */
export function createSchemas(
  { commentOf, rules, validator }: { commentOf: CommentOf; rules: Rules; validator: Validator },
  outputs: readonly DescMessage[],
  schemaOfStatus: Json,
): Schemas {
  const components: Json = {};
  const owners = new Map<string, DescMessage | DescEnum>();
  const inResponses = reachable(outputs);
  const needs = new Map<DescMessage, ReadonlySet<DescField | DescOneof>>();

  /** The name of a component. Throws if two descriptors want the same one. */
  function claim(name: string, desc: DescMessage | DescEnum): string {
    const owner = owners.get(name) ?? desc;
    if (owner !== desc) throw new Error(`${owner.typeName} and ${desc.typeName} have the same name`);
    owners.set(name, desc);
    return name;
  }

  function ofMessage(desc: DescMessage, direction: Direction): Json {
    const known = WELL_KNOWN.get(desc.typeName);
    if (known) return known;
    if (desc.typeName === "google.rpc.Status") return schemaOfStatus;
    const name = claim(direction === "request" && inResponses.has(desc) ? `${desc.name}Input` : desc.name, desc);
    if (!(name in components)) {
      components[name] = {};
      components[name] = direction === "request" ? ofInput(desc, desc.fields) : ofOutput(desc);
    }
    return ref("schemas", name);
  }

  /** ProtoJSON with `alwaysEmitImplicit`: only fields that know whether they are set can be missing. */
  function ofOutput(desc: DescMessage): Json {
    const required = desc.fields.filter(({ presence }) => presence === IMPLICIT).map(({ jsonName }) => jsonName);
    return clean({
      type: "object",
      description: commentOf(desc),
      properties: propertiesOf(desc.fields, "response"),
      required: required.length > 0 ? required : undefined,
    });
  }

  function ofInput(desc: DescMessage, fields: readonly DescField[]): Json {
    const required = fields.filter(isRequired).map(({ jsonName }) => jsonName);
    const sentences = hasOption(desc, messageRules)
      ? getOption(desc, messageRules).cel.map(({ message }) => message)
      : [];
    return clean({
      type: "object",
      description: [commentOf(desc), ...sentences.map((sentence) => `Rule: ${sentence}.`)].join("\n\n"),
      properties: propertiesOf(fields, "request"),
      required: required.length > 0 ? required : undefined,
      ...ofOneofs(desc, fields),
      additionalProperties: false,
    });
  }

  function propertiesOf(fields: readonly DescField[], direction: Direction): Json {
    return Object.fromEntries(
      fields.map((field) => [field.jsonName, { ...ofField(field, direction), ...aboutField(field, direction) }]),
    );
  }

  function aboutField(field: DescField, direction: Direction): Json {
    const isSecret = field.proto.options?.debugRedact === true;
    return clean({
      description: commentOf(field),
      format: isSecret ? "password" : undefined,
      writeOnly: isSecret && direction === "request" ? true : undefined,
    });
  }

  function ofField(field: DescField, direction: Direction): Json {
    const own = direction === "request" ? rules.ofValue(field) : {};
    if (field.fieldKind === "list") {
      return {
        type: "array",
        items: ofOne(field, direction, own),
        ...(direction === "request" && rules.ofList(field)),
      };
    }
    if (field.fieldKind === "map") throw new Error(`${field}: maps have no schema yet`);
    return ofOne(field, direction, own);
  }

  function ofOne({ message, enum: values, scalar }: DescField, direction: Direction, own: Json): Json {
    if (message) return ofMessage(message, direction);
    // Rules name the number of a value, JSON its name.
    if (values) return { ...ofEnum(values), ...(own.not !== undefined && { not: { const: values.values[0]?.name } }) };
    return { ...ofScalar(scalar as ScalarType, direction), ...own };
  }

  function ofEnum(desc: DescEnum): Json {
    const name = claim(desc.name, desc);
    components[name] ??= {
      type: "string",
      description: [
        commentOf(desc),
        desc.values.map((value) => `- \`${value.name}\`: ${commentOf(value) ?? ""}`).join("\n"),
      ].join("\n\n"),
      enum: desc.values.map((value) => value.name),
    };
    return ref("schemas", name);
  }

  /** The fields and oneofs without which the server refuses a message, found by checking one that is empty. */
  function needsOf(desc: DescMessage): ReadonlySet<DescField | DescOneof> {
    const known = needs.get(desc);
    if (known) return known;
    const { violations = [] } = validator.validate(desc, create(desc));
    const found = new Set<DescField | DescOneof>();
    for (const { field } of violations ?? []) {
      const [first] = field;
      if (first?.kind === "field" || first?.kind === "oneof") found.add(first);
    }
    needs.set(desc, found);
    return found;
  }

  function isRequired(field: DescField): boolean {
    return field.oneof === undefined && needsOf(field.parent).has(field);
  }

  /** At most one field of a oneof can be set, and exactly one if the oneof is required. */
  function ofOneofs(desc: DescMessage, fields: readonly DescField[]): Json {
    const all = desc.oneofs.filter((oneof) => oneof.fields.some((field) => fields.includes(field)));
    const [only] = all;
    if (only && all.length === 1 && only.fields.length === fields.length) {
      return { maxProperties: 1, ...(needsOf(desc).has(only) && { minProperties: 1 }) };
    }
    const required = all.filter((oneof) => needsOf(desc).has(oneof));
    if (required.length > 1) throw new Error(`${desc.typeName}: two required oneofs have no schema yet`);
    const together = all.filter((oneof) => !required.includes(oneof)).flatMap(({ fields: some }) => pairsOf(some));
    const [first] = together;
    return clean({
      oneOf: required[0]?.fields.map(({ jsonName, scalar }) => ({
        type: "object",
        properties: { [jsonName]: ofScalar(scalar as ScalarType, "request") },
        required: [jsonName],
      })),
      not: together.length > 1 ? { anyOf: together } : first,
    });
  }

  return {
    ofMessage,
    ofField: (field, direction) => ({ ...ofField(field, direction) }),
    ofRequest(desc, without) {
      const name = claim(desc.name, desc);
      components[name] ??= ofInput(
        desc,
        desc.fields.filter((field) => !without.includes(field)),
      );
      return ref("schemas", name);
    },
    isRequired,
    components,
  };
}

/** FeatureSet.FieldPresence.IMPLICIT of google/protobuf/descriptor.proto: unset and the default value are the same. */
const IMPLICIT = 2;

function ofScalar(type: ScalarType, direction: Direction): Json {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.UINT32:
      return { type: "integer", format: "uint32", minimum: 0 };
    case ScalarType.INT64:
    case ScalarType.UINT64: {
      const isSigned = type === ScalarType.INT64;
      const format = isSigned ? "int64" : "uint64";
      if (direction === "response") return { type: "string", format, pattern: isSigned ? "^-?[0-9]+$" : "^[0-9]+$" };
      return { type: "integer", format, ...(!isSigned && { minimum: 0 }) };
    }
    default:
      throw new Error(`${ScalarType[type]} has no schema yet`);
  }
}

/** Schemas of objects that have two of the fields. */
function pairsOf(fields: readonly DescField[]): Json[] {
  return fields.flatMap((one, index) =>
    fields.slice(index + 1).map((other) => ({ required: [one.jsonName, other.jsonName] })),
  );
}

/** The messages and those of their fields, at any depth. */
function reachable(roots: readonly DescMessage[]): ReadonlySet<DescMessage> {
  const found = new Set(roots);
  for (const desc of found) for (const { message } of desc.fields) if (message) found.add(message);
  return found;
}
