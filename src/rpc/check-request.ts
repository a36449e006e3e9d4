import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Validator } from "@bufbuild/protovalidate";
import { SearchFilterSchema } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { DomainError, type FieldViolation, invalidField } from "../domain/errors.ts";
import { fieldPathOf, mustBeOneOf, sentenceOf } from "./rule-sentences.ts";

/** The maximum number of values in all lists of a request together. */
export const MAX_ITEMS = 20_000;
const MAX_FILTERS = 100;
const MAX_FILTER_DEPTH = 10;

/** Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: google/protobuf/timestamp.proto. */
const TIMESTAMP_SECONDS = { min: -62_135_596_800n, max: 253_402_300_799n };
/** google/protobuf/duration.proto: about 10,000 years. */
export const MAX_DURATION_SECONDS = 315_576_000_000n;
const MAX_NANOS = 999_999_999;

/**
 * Throws INVALID_REQUEST for too many values, for an invalid time, duration or enum number, or for a broken rule of the
 * contract, at any depth.
 */
export function checkRequest(validator: Validator, desc: DescMessage, request: Message): void {
  const { violations, recurring } = checkValues(desc, request);
  // The rules assume valid times, so they run only if all times are valid.
  if (violations.length === 0) {
    for (const part of [{ desc, message: request, path: "" }, ...recurring])
      violations.push(...broken(validator, part));
  }
  const [first] = violations;
  if (!first) return;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  // A rule about several fields names no field.
  const field = first.field ? `${first.field}: ` : "";
  throw new DomainError("INVALID_REQUEST", `${field}${first.description}${more}`, { violations });
}

interface Part {
  desc: DescMessage;
  message: Message;
  path: string;
}

/**
 * Checks what the contract's rules cannot express, and collects messages nested within their own type. Throws for too
 * many values before the rules run, which cost microseconds for each value.
 */
function checkValues(desc: DescMessage, request: Message): { violations: FieldViolation[]; recurring: Part[] } {
  const violations: FieldViolation[] = [];
  const recurring: Part[] = [];
  const around: DescMessage[] = [];
  let itemsLeft = MAX_ITEMS;
  let filtersLeft = MAX_FILTERS;

  function visit(part: Part): void {
    if (part.desc === SearchFilterSchema) {
      const depth = around.filter((each) => each === SearchFilterSchema).length + 1;
      if (--filtersLeft < 0) throw invalidField("filters", `must be at most ${MAX_FILTERS} in all`);
      if (depth > MAX_FILTER_DEPTH) throw invalidField("filters", `must be nested at most ${MAX_FILTER_DEPTH} deep`);
    }
    if (around.includes(part.desc)) recurring.push(part);
    around.push(part.desc);
    for (const field of part.desc.fields) {
      const value = heldIn(part.message, field);
      if (value === undefined) continue;
      const path = part.path ? `${part.path}.${field.name}` : field.name;
      if (field.fieldKind !== "list") check(field, value, path);
      else {
        const items = value as readonly unknown[];
        itemsLeft -= items.length;
        if (itemsLeft < 0) throw invalidField(field.name, `all lists together must have at most ${MAX_ITEMS} values`);
        if (field.listKind !== "scalar")
          for (const [index, item] of items.entries()) check(field, item, `${path}[${index}]`);
      }
    }
    around.pop();
  }

  function check({ enum: values, message: desc }: DescField, value: unknown, path: string): void {
    if (!desc) {
      if (values && !values.value[value as number]) violations.push({ field: path, description: mustBeOneOf(values) });
      return;
    }
    const problem =
      desc.typeName === TimestampSchema.typeName
        ? timestampProblem(value as Timestamp)
        : desc.typeName === DurationSchema.typeName && durationProblem(value as Duration);
    if (problem) violations.push({ field: path, description: problem });
    else if (!desc.typeName.startsWith("google.protobuf.")) visit({ desc, message: value as Message, path });
  }

  visit({ desc, message: request, path: "" });
  return { violations, recurring };
}

function heldIn(message: Message, field: DescField): unknown {
  const holder = message as Message & Record<string, unknown>;
  if (!field.oneof) return holder[field.localName];
  const oneof = holder[field.oneof.localName] as { case?: string; value?: unknown };
  return oneof.case === field.localName ? oneof.value : undefined;
}

/** The rules that a message breaks. The library skips messages nested in their own type, so each is a part. */
function broken(validator: Validator, { desc, message, path }: Part): FieldViolation[] {
  const result = validator.validate(desc, message);
  if (result.kind === "error") throw result.error;
  return (result.violations ?? []).map((violation) => ({
    field: [path, pathToString(fieldPathOf(violation))].filter(Boolean).join("."),
    description: sentenceOf(violation),
  }));
}

function timestampProblem({ seconds, nanos }: Timestamp): string | undefined {
  const isInRange = seconds >= TIMESTAMP_SECONDS.min && seconds <= TIMESTAMP_SECONDS.max;
  return isInRange && nanos >= 0 && nanos <= MAX_NANOS
    ? undefined
    : `must be a time of the years 1 to 9999 with 0 to ${MAX_NANOS} nanoseconds`;
}

function durationProblem({ seconds, nanos }: Duration): string | undefined {
  const isInRange = seconds >= -MAX_DURATION_SECONDS && seconds <= MAX_DURATION_SECONDS;
  const hasOneSign = seconds === 0n || nanos === 0 || seconds > 0n === nanos > 0;
  return isInRange && Math.abs(nanos) <= MAX_NANOS && hasOneSign
    ? undefined
    : `must be at most ${MAX_DURATION_SECONDS} seconds either way, with nanoseconds of the same sign`;
}
