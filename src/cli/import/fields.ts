import type { JsonObject } from "@bufbuild/protobuf";
import { isIdentifier } from "../../domain/identifier.ts";
import { UsageError } from "../frame/errors.ts";
import { suggestion } from "../frame/nearest.ts";
import { notAnId } from "../ids.ts";
import type { NewUser } from "../user/new-user.ts";
import type { Row } from "./rows.ts";

const TEXTS = ["id", "organization", "email", "phone", "password", "passwordHash", "schemaId", "schemaType"] as const;
const FLAGS = ["emailVerified", "phoneVerified", "changeRequired"] as const;

/** The fields of a user that columns can fill. `data.NAME` is one value of the user's data. */
export const FIELDS = [...TEXTS, ...FLAGS, "username", "data", "data.NAME"] as const;

/** The field of each mapped column. */
export type Mapping = Map<string, string>;

/** Reads the options `--map FIELD=COLUMN`. Throws UsageError. */
export function mappingOf(options: string[]): Mapping {
  const mapping: Mapping = new Map();
  for (const option of options) {
    const [, field = "", column = ""] = /^([^=]*)=(.*)$/s.exec(option) ?? [];
    if (field === "" || column === "") throw new UsageError(`--map must be FIELD=COLUMN, not ${option}`);
    if (!isField(field)) {
      throw new UsageError(
        `--map: there is no field ${field}${suggestion(field, FIELDS) || `; use ${FIELDS.join(", ")}`}`,
      );
    }
    if (mapping.has(column)) throw new UsageError(`--map: the column ${column} is mapped twice`);
    mapping.set(column, field);
  }
  return mapping;
}

function isField(name: string): boolean {
  return FIELDS.some((field) => field === name && field !== "data.NAME") || /^data\../.test(name);
}

/** The columns of a row without a field. */
export function unknownColumns({ values }: Row, mapping: Mapping): string[] {
  return [...values.keys()].filter((column) => !mapping.has(column) && !isField(column));
}

/** A value that does not fit its field. The message names the column. */
export class BadValue extends Error {}

/** The user of a row. Skips empty values. Throws BadValue. */
export function userOf({ values }: Row, mapping: Mapping, defaults: Partial<NewUser>): NewUser {
  const user: NewUser = { ...defaults, usernames: [] };
  const data: JsonObject = {};
  for (const [column, value] of values) {
    const field = mapping.get(column) ?? column;
    if (value === "" || value === null || value === undefined) continue;
    if (field === "username") user.usernames?.push(...namesIn(column, value));
    else if (field === "data") Object.assign(data, objectIn(column, value));
    else if (field.startsWith("data.")) data[field.slice("data.".length)] = value as never;
    else if (isIn(FLAGS, field)) user[field] = booleanIn(column, value);
    else if (isIn(TEXTS, field)) user[field] = textIn(column, value);
  }
  if (user.id !== undefined && !isIdentifier(user.id)) throw new BadValue(notAnId(user.id.slice(0, 200)));
  if (Object.keys(data).length > 0) user.data = data;
  return user;
}

const isIn = <Name extends string>(names: readonly Name[], name: string): name is Name =>
  names.some((one) => one === name);

function textIn(column: string, value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  throw new BadValue(`${column} must be text`);
}

function booleanIn(column: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  const word = String(value).toLowerCase();
  if (["true", "yes", "1"].includes(word)) return true;
  if (["false", "no", "0"].includes(word)) return false;
  throw new BadValue(`${column} must be true or false`);
}

function namesIn(column: string, value: unknown): string[] {
  return Array.isArray(value) ? value.map((name) => textIn(column, name)) : [textIn(column, value)];
}

function objectIn(column: string, value: unknown): JsonObject {
  let found = value;
  try {
    if (typeof value === "string") found = JSON.parse(value);
  } catch {
    // Refused below, like JSON that is not an object.
  }
  if (typeof found === "object" && found !== null && !Array.isArray(found)) return found as JsonObject;
  throw new BadValue(`${column} must be a JSON object`);
}
