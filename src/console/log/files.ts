import { type DescEnum, enumToJson, toJson } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, UnlockCauseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCauseSchema, OwnerTypeSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";

const timeOf = (time: Timestamp | undefined) => (time ? String(toJson(TimestampSchema, time)) : "");
const nameOf = (schema: DescEnum, value: number) => String(enumToJson(schema, value));
const lockOf = ({ change }: Event) => (change.case === "lock" ? change.value : undefined);

/** Every field of an event as text, empty if it is not set. Enums and times are those of the API's JSON. */
const FIELDS = {
  time: ({ time }) => timeOf(time),
  type: ({ type }) => type,
  user_id: ({ userId }) => userId,
  actor: ({ actor }) => actor?.subject ?? "",
  actor_token_id: ({ actor }) => actor?.tokenId ?? "",
  address: ({ address }) => address,
  user_agent: ({ userAgent }) => userAgent,
  object_type: ({ objectType }) => objectType,
  object_id: ({ objectId }) => objectId,
  owner_type: ({ owner }) => (owner ? nameOf(OwnerTypeSchema, owner.type) : ""),
  owner_id: ({ owner }) => owner?.id ?? "",
  lock_cause: ({ change }) => (change.case === "lock" ? nameOf(LockCauseSchema, change.value.cause) : ""),
  lock_reason: (event) => lockOf(event)?.reason ?? "",
  lock_note: (event) => lockOf(event)?.note ?? "",
  lock_locked_by: (event) => lockOf(event)?.lockedBy ?? "",
  lock_since: (event) => timeOf(lockOf(event)?.since),
  lock_until: (event) => timeOf(lockOf(event)?.until),
  unlock_cause: ({ change }) => (change.case === "unlock" ? nameOf(UnlockCauseSchema, change.value.cause) : ""),
  denied: ({ denied }) => (denied ? "true" : ""),
  denied_until: ({ deniedUntil }) => timeOf(deniedUntil),
  request_id: ({ requestId }) => requestId,
  cursor: ({ cursor }) => cursor,
} satisfies Record<string, (event: Event) => string>;

export type Field = keyof typeof FIELDS;
const NAMES = Object.keys(FIELDS) as Field[];

/** The fields of an event that are set, as text. */
export function fieldsOf(event: Event): [Field, string][] {
  return NAMES.map((name): [Field, string] => [name, FIELDS[name](event)]).filter(([, value]) => value !== "");
}

/** How a file of events is written. */
export interface Format {
  mediaType: string;
  /** What the file begins with. */
  head: string;
  /** One event, with its line end. */
  line(event: Event): string;
}

/**
 * What begins a formula in a spreadsheet, at the start of a cell or after what some spreadsheets take for the end of one
 * (OWASP, CSV injection). Full-width forms count, too.
 */
const FORMULA = /(?<=^|[;\t\r\n])(?=[^\S\r\n]*[=+\-@＝＋－＠]|[\t\r])/g;

/** A cell of a CSV file, in quotes (RFC 4180). An apostrophe makes a spreadsheet read a formula as text. */
export function csvCell(text: string): string {
  return `"${text.replace(FORMULA, "'").replaceAll('"', '""')}"`;
}

const csvLine = (cells: readonly string[]) => `${cells.map(csvCell).join(",")}\r\n`;

export const FORMATS = {
  /** For spreadsheets (RFC 4180). Cells that would be formulas are changed. */
  csv: {
    mediaType: "text/csv;charset=utf-8;header=present",
    // Spreadsheets take a file without the byte order mark for one of an old encoding.
    head: `\u{feff}${csvLine(NAMES)}`,
    line: (event) => csvLine(NAMES.map((name) => FIELDS[name](event))),
  },
  /** For programs: one event a line, as ListEvents has it in JSON. */
  ndjson: {
    mediaType: "application/x-ndjson",
    head: "",
    line: (event) => `${JSON.stringify(toJson(EventSchema, event))}\n`,
  },
} as const satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;
