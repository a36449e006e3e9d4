import { type DescExtension, type DescField, getOption, hasExtension, hasOption } from "@bufbuild/protobuf";
import {
  field as fieldRules,
  predefined,
  type RepeatedRules,
  type StringRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { clean, type Json } from "./json.ts";

/** Translates the rules of fields (buf/validate/validate.proto) to the keywords of JSON Schema. */
export interface Rules {
  /** The keywords for the value of a field, or for the items of a list. */
  ofValue(field: DescField): Json;
  /** The keywords for a list itself. */
  ofList(field: DescField): Json;
}

type Type = ReturnType<typeof typeOf>;

/** `shared` are the contract's own rules for strings. Throws for a rule that it cannot translate. */
export function createRules(shared: readonly DescExtension[]): Rules {
  const keywords = new Map(shared.map((rule) => [rule, ofExpression(rule)]));

  function ofString(rules: StringRules): Json {
    const { minLen, maxLen, pattern, wellKnown } = rules;
    const own = shared.filter((rule) => hasExtension(rules, rule)).map((rule) => keywords.get(rule) as Json);
    return clean(
      Object.assign({}, ...own, {
        ...(minLen > 0n && { minLength: Number(minLen) }),
        ...(maxLen > 0n && { maxLength: Number(maxLen) }),
        ...(pattern !== "" && { pattern }),
        ...(wellKnown.case !== undefined && { format: wellKnown.case }),
      }),
    );
  }

  function ofType(type: Type): Json {
    if (type?.case === "string") return ofString(type.value);
    if (type?.case === "enum") return type.value.notIn.length > 0 ? { not: { const: 0 } } : {};
    if (type?.case !== "uint32" && type?.case !== "uint64") return {};
    const { lessThan, greaterThan } = type.value;
    return clean({
      maximum: lessThan.case === "lte" ? Number(lessThan.value) : undefined,
      exclusiveMaximum: lessThan.case === "lt" ? Number(lessThan.value) : undefined,
      minimum: greaterThan.case === "gte" ? Number(greaterThan.value) : undefined,
      exclusiveMinimum: greaterThan.case === "gt" ? Number(greaterThan.value) : undefined,
    });
  }

  return {
    ofValue: (field) => ofType(field.fieldKind === "list" ? ofItems(field)?.items?.type : typeOf(field)),
    ofList(field) {
      const { minItems = 0n, maxItems = 0n } = ofItems(field) ?? {};
      return {
        ...(minItems > 0n && { minItems: Number(minItems) }),
        ...(maxItems > 0n && { maxItems: Number(maxItems) }),
      };
    },
  };
}

function typeOf(field: DescField) {
  return hasOption(field, fieldRules) ? getOption(field, fieldRules).type : undefined;
}

function ofItems(field: DescField): RepeatedRules | undefined {
  const type = typeOf(field);
  return type?.case === "repeated" ? type.value : undefined;
}

/** The conditions on `this` that the expressions of shared rules consist of. */
const CONDITIONS: [pattern: RegExp, toKeywords: (match: RegExpExecArray) => Json][] = [
  [/^this\.matches\('(.*)'\)$/, ([, pattern]) => ({ pattern: (pattern as string).replaceAll("\\\\", "\\") })],
  [/^size\(this\) >= (\d+)$/, ([, length]) => ({ minLength: Number(length) })],
  [/^size\(this\) <= (\d+)$/, ([, length]) => ({ maxLength: Number(length) })],
  [/^!this\.contains\('\\u0000'\)$/, () => ({ pattern: "^[^\\u0000]*$" })],
  [/^!\(this in \[(.*)\]\)$/, ([, list]) => ({ not: { enum: JSON.parse(`[${list?.replaceAll("'", '"')}]`) } })],
];

/** The keywords of a shared rule, whose expression is a conjunction. */
function ofExpression(rule: DescExtension): Json {
  const [{ expression } = { expression: "" }] = getOption(rule, predefined).cel;
  const conjunction = /^!rule \|\| (?:\((.*)\)|(.*))$/s.exec(expression);
  const conditions = (conjunction?.[1] ?? conjunction?.[2] ?? expression).split(" && ");
  return Object.assign(
    {},
    ...conditions.map((condition) => {
      for (const [pattern, toKeywords] of CONDITIONS) {
        const match = pattern.exec(condition);
        if (match) return toKeywords(match);
      }
      throw new Error(`${rule.typeName}: JSON Schema has no keyword for ${condition}`);
    }),
  );
}
