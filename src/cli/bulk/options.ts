import { createHash } from "node:crypto";
import { create, fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type BatchLockUsersRequest,
  type Organization,
  type SearchFilter,
  SearchFilterSchema,
  TextFilterMethod,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { UsageError } from "../frame/errors.ts";
import { anyText, duration, flag, number, text, time, type ValuesOf } from "../frame/options.ts";
import { OUTPUT } from "../output.ts";
import { organization as inOrganization } from "../request.ts";

/** What to do with which users. */
export interface Job {
  action: "lock" | "unlock";
  /** The ids themselves, a file with them ("-" for stdin), or what users must pass. */
  source: { ids: string[] } | { file: string; column?: string | undefined } | { filters: SearchFilter[] };
  /** The fields that all requests share. */
  request: Pick<BatchLockUsersRequest, "reason" | "note" | "end" | "replace" | "dryRun"> & {
    organization?: Organization;
  };
  expect: number | undefined;
  resume: string | undefined;
  /** Whether --yes is given. */
  isSure: boolean;
  /** Whether to print JSON. */
  isJson: boolean;
  /** Equal for command lines that do the same. The ids of lists do not count. */
  fingerprint: string;
}

type Filter = MessageInitShape<typeof SearchFilterSchema>["filter"];

const { EQUALS, CONTAINS_IGNORE_CASE, STARTS_WITH_IGNORE_CASE } = TextFilterMethod;

/** The filter that each option stands for. */
const FILTERS = {
  text: (value) => ({ case: "textFilter", value: { text: value } }),
  organization: (id) => ({ case: "organizationIdFilter", value: { id, method: EQUALS } }),
  "username-starts-with": (username) => ({
    case: "usernameFilter",
    value: { username, method: STARTS_WITH_IGNORE_CASE },
  }),
  "email-starts-with": (address) => ({ case: "emailFilter", value: { address, method: STARTS_WITH_IGNORE_CASE } }),
  "email-contains": (address) => ({ case: "emailFilter", value: { address, method: CONTAINS_IGNORE_CASE } }),
  "lock-reason": (reason) => ({ case: "lockFilter", value: { locked: true, reason } }),
} satisfies Record<string, (value: string) => Filter>;
const FILTER_NAMES = Object.keys(FILTERS) as (keyof typeof FILTERS)[];

/** The options that filter users. */
export const FILTER_OPTIONS = {
  text: text("TEXT", "users with it in their id, a name or the address, in any case"),
  organization: text("ID", "users of this organization; with ids, where they are expected"),
  "username-starts-with": text("TEXT", "users with such a name, in any case"),
  "email-starts-with": text("TEXT", "users with such an address, in any case"),
  "email-contains": text("TEXT", "users with such an address, in any case"),
  "lock-reason": text("CODE", "users whose lock has this reason"),
  filter: text("JSON", "users that match a filter of SearchUsers, or an array of filters"),
};

/** The options of unlock. */
export const UNLOCK_OPTIONS = {
  ids: text("FILE", "users of a list, with one id per line or in the first column; - is stdin"),
  column: text("NAME", "the column of the ids, if the list has a header line"),
  ...FILTER_OPTIONS,
  "dry-run": flag("change nothing, show what would happen"),
  expect: number("N", "refuse unless there are exactly N users"),
  resume: text("FILE", "keep the place in FILE, and go on from it"),
  yes: flag("do not ask first"),
  ...OUTPUT,
};

/** The options of lock. */
export const LOCK_OPTIONS = {
  reason: text("CODE", "why, as a code of up to 64 letters, digits and . _ : -; default: manual"),
  note: anyText("TEXT", "why, as a sentence of up to 500 characters"),
  duration: duration("TIME", "when the locks end, such as 30m or 12h; default: never"),
  until: time("TIME", "when the locks end, such as 2030-01-31T12:00:00Z"),
  replace: flag("replace locks by hand, also by an earlier end"),
  ...UNLOCK_OPTIONS,
};

/** The filters of a command line. Throws UsageError if --filter is not a filter in JSON. */
export function filtersOf(values: ValuesOf<typeof FILTER_OPTIONS>): SearchFilter[] {
  const named = FILTER_NAMES.flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [create(SearchFilterSchema, { filter: FILTERS[name](value) })];
  });
  return [...named, ...fromText(values.filter)];
}

/** The job of `userlock lock` or `userlock unlock`; `url` is the address of the server. Throws UsageError. */
export function readJob(
  action: Job["action"],
  values: ValuesOf<typeof UNLOCK_OPTIONS> & Partial<ValuesOf<typeof LOCK_OPTIONS>>,
  ids: string[],
  url: string,
): Job {
  const { ids: file, column, organization, resume, expect, reason = "", note = "", duration: lasting, until } = values;
  const byIds = [ids.length > 0, file !== undefined];
  // With ids, an organization is not a filter: it says where the users are expected.
  const narrowing = FILTER_NAMES.filter((name) => name !== "organization" || !byIds.includes(true));
  const ways = [...byIds, [...narrowing, "filter" as const].some((name) => values[name] !== undefined)];
  if (ways.filter(Boolean).length !== 1) {
    throw new UsageError("name users by ids, by --ids or by filters, and by one of these only");
  }

  if (column !== undefined && file === undefined) throw new UsageError("--column goes with --ids");

  const source = file !== undefined ? { file, column } : ids.length > 0 ? { ids } : { filters: filtersOf(values) };
  const request = {
    ...inOrganization(organization),
    reason,
    note,
    end: endOf(lasting, until),
    replace: values.replace === true,
    dryRun: values["dry-run"] === true,
  };
  const { resume: _resume, expect: _expect, ids: _ids, filter: _filter, yes, output, ...same } = values;
  const filters = "filters" in source ? source.filters.map((filter) => toJson(SearchFilterSchema, filter)) : "ids";
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([action, url, filters, sorted(same)]))
    .digest("hex");
  return { action, source, request, expect, resume, isSure: yes === true, isJson: output === "json", fingerprint };
}

const sorted = (values: object) => Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));

function fromText(json: string | undefined): SearchFilter[] {
  if (json === undefined) return [];
  const expected = "--filter must be a filter of SearchUsers in JSON, or an array of them";
  const example = `such as '{"usernameFilter":{"username":"bot","method":"TEXT_FILTER_METHOD_STARTS_WITH"}}'`;
  let value: JsonValue;
  try {
    value = JSON.parse(json);
  } catch {
    throw new UsageError(`${expected}, ${example}; this is not JSON`);
  }
  try {
    const filters = [value].flat().map((filter) => fromJson(SearchFilterSchema, filter as JsonValue));
    if (filters.length > 0) return filters;
  } catch (error) {
    const why = (error as Error).message.replace(/^cannot decode \S+ \S+ from JSON: /, "");
    throw new UsageError(`${expected}, ${example}; ${why}`);
  }
  throw new UsageError(`${expected}, ${example}`);
}

function endOf(micros: number | undefined, until: Date | undefined): BatchLockUsersRequest["end"] {
  if (micros !== undefined && until !== undefined) throw new UsageError("give --duration or --until, not both");
  if (micros !== undefined) return { case: "duration", value: durationFromMs(micros / 1_000) };
  return until === undefined ? { case: undefined } : { case: "until", value: timestampFromDate(until) };
}
