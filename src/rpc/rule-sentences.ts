import type { DescEnum } from "@bufbuild/protobuf";
import type { Violation } from "@bufbuild/protovalidate";

/** The values of an enum that a caller may set, as a list. A value that means "not set" is not offered. */
export function allowedNames({ values }: DescEnum): string {
  return values
    .map(({ name }) => name)
    .filter((name) => !name.endsWith("_UNSPECIFIED"))
    .join(", ");
}

/** The description of an invalid enum number. */
export function mustBeOneOf(desc: DescEnum): string {
  return `must be one of ${allowedNames(desc)}`;
}

/** The path of the field that breaks a rule. Callers do not know the names of oneofs. */
export function fieldPathOf({ field }: Violation): Violation["field"] {
  return field.at(-1)?.kind === "oneof" ? field.slice(0, -1) : field;
}

const SENTENCES: Record<string, string> = {
  required: "is required",
  "timestamp.gt_now": "must be in the future",
  "repeated.min_items": "must have at least one value",
};

/** What is wrong with a field, for a caller who does not know the rules of protovalidate. */
export function sentenceOf({ ruleId, message, field }: Violation): string {
  const last = field.at(-1);
  if (last?.kind === "oneof") return `set one of ${last.fields.map(({ jsonName }) => jsonName).join(", ")}`;
  if (ruleId.startsWith("enum.") && last && "enum" in last && last.enum) return mustBeOneOf(last.enum);
  return SENTENCES[ruleId] ?? plain(message);
}

/** The library's message in the words of this API. */
function plain(message: string): string {
  return message
    .replace(/^must be greater than or equal to (\S+) and less than or equal to (\S+)$/, "must be from $1 to $2")
    .replace(/^must be less than or equal to /, "must be at most ")
    .replace(/^must be greater than /, "must be more than ")
    .replace("item(s)", "values");
}
