import { createHash } from "node:crypto";
import { create, fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type BatchLockUsersRequest,
  type Organization,
  OrganizationSchema,
  type SearchFilter,
  SearchFilterSchema,
  TextFilterMethod,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { duration, parse, UsageError } from "../arguments.ts";

export const BULK_USAGE = `  userlock lock ID…         lock users
  userlock lock --ids FILE|-
                            lock those of a list, an id a line or the first column
  userlock lock [--organization ID] [--username-starts-with X] [--email-starts-with X] [--email-contains X]
                [--lock-reason CODE] [--filter JSON]
                            lock those who pass all of these; JSON is a filter of SearchUsers, or several
      [--reason CODE] [--note TEXT] [--duration 1h | --until 2030-01-31T12:00:00Z]
                            what the locks say, and when they end
      [--dry-run]           change nothing, show what would become of it
      [--expect N]          refuse if there are not so many
      [--resume FILE]       keep the place in FILE, and go on from it
  userlock unlock …         unlock users; it takes the same, but for what locks say
`;

/** What a command line asks to be done with many users. */
export interface Job {
  action: "lock" | "unlock";
  /** The ids themselves, a file with them ("-" for stdin), or what users must pass. */
  source: { ids: string[] } | { file: string } | { filters: SearchFilter[] };
  /** What all requests have in common. */
  request: Pick<BatchLockUsersRequest, "reason" | "note" | "end" | "dryRun"> & { organization?: Organization };
  expect: number | undefined;
  resume: string | undefined;
  /** Two command lines that ask for the same have the same, whatever the ids in their lists. */
  fingerprint: string;
}

const text = { type: "string" } as const;
const OPTIONS = {
  ids: text,
  organization: text,
  "username-starts-with": text,
  "email-starts-with": text,
  "email-contains": text,
  "lock-reason": text,
  filter: text,
  "dry-run": { type: "boolean" },
  expect: text,
  resume: text,
} as const;
const LOCK_OPTIONS = { ...OPTIONS, reason: text, note: text, duration: text, until: text } as const;

type Filter = MessageInitShape<typeof SearchFilterSchema>["filter"];

const { EQUALS, CONTAINS_IGNORE_CASE, STARTS_WITH_IGNORE_CASE } = TextFilterMethod;

/** Options that stand for a filter. */
const FILTERS: Record<string, (value: string) => Filter> = {
  organization: (id) => ({ case: "organizationIdFilter", value: { id, method: EQUALS } }),
  "username-starts-with": (username) => ({
    case: "usernameFilter",
    value: { username, method: STARTS_WITH_IGNORE_CASE },
  }),
  "email-starts-with": (address) => ({ case: "emailFilter", value: { address, method: STARTS_WITH_IGNORE_CASE } }),
  "email-contains": (address) => ({ case: "emailFilter", value: { address, method: CONTAINS_IGNORE_CASE } }),
  "lock-reason": (reason) => ({ case: "lockFilter", value: { locked: true, reason } }),
};

/** Reads `userlock lock …` or `userlock unlock …`; `url` is the server that it is for. Throws UsageError. */
export function readJob(action: Job["action"], args: string[], url: string): Job {
  const { values, positionals } = parse(args, action === "lock" ? LOCK_OPTIONS : OPTIONS, true);
  const given = values as Record<string, string | boolean | undefined>;
  for (const [name, value] of Object.entries(given)) {
    // It comes from a variable that is not set, and as a filter it would let everybody pass.
    if (value === "" && name !== "note") throw new UsageError(`--${name} is empty`);
  }
  const option = (name: string) => given[name] as string | undefined;
  const list = option("ids");
  const named = Object.keys(FILTERS).filter((name) => option(name) !== undefined);
  const byIds = [positionals.length > 0, list !== undefined];
  // With ids, an organization is not a filter: it says where the users are expected.
  const narrowing = byIds.includes(true) ? named.filter((name) => name !== "organization") : named;
  const ways = [...byIds, narrowing.length > 0 || given.filter !== undefined];
  if (ways.filter(Boolean).length !== 1) {
    throw new UsageError(`name users by ids, by --ids or by filters, and by one of these only:\n${BULK_USAGE}`);
  }

  const source =
    list !== undefined
      ? { file: list }
      : positionals.length > 0
        ? { ids: positionals }
        : { filters: [...named.map((name) => toFilter(name, option(name) as string)), ...fromText(option("filter"))] };
  const organization = option("organization");
  const request = {
    ...(organization !== undefined && {
      organization: create(OrganizationSchema, { property: { case: "orgId", value: organization } }),
    }),
    reason: option("reason") ?? "",
    note: option("note") ?? "",
    end: endOf(option("duration"), option("until")),
    dryRun: given["dry-run"] === true,
  };
  const filters = "filters" in source ? source.filters.map((filter) => toJson(SearchFilterSchema, filter)) : "ids";
  const { resume, expect: _expect, ids: _ids, filter: _filter, ...same } = given;
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([action, url, filters, sorted(same)]))
    .digest("hex");
  return {
    action,
    source,
    request,
    expect: expected(option("expect")),
    resume: option("resume"),
    fingerprint,
  };
}

const sorted = (values: object) => Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));

function toFilter(name: string, value: string): SearchFilter {
  return create(SearchFilterSchema, { filter: FILTERS[name]?.(value) as Filter & object });
}

function fromText(json: string | undefined): SearchFilter[] {
  if (json === undefined) return [];
  const expected = "--filter must be a filter of SearchUsers in JSON, or an array of them";
  let filters: SearchFilter[];
  try {
    filters = [JSON.parse(json) as JsonValue].flat().map((filter) => fromJson(SearchFilterSchema, filter as JsonValue));
  } catch (error) {
    throw new UsageError(`${expected}: ${(error as Error).message}`);
  }
  if (filters.length === 0) throw new UsageError(expected);
  return filters;
}

function endOf(length: string | undefined, until: string | undefined): BatchLockUsersRequest["end"] {
  if (length !== undefined && until !== undefined) throw new UsageError("give --duration or --until, not both");
  if (length !== undefined) return { case: "duration", value: durationFromMs(duration(length, "--duration") / 1_000) };
  if (until === undefined) return { case: undefined };
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(until);
  if (!isTime || Number.isNaN(Date.parse(until))) {
    throw new UsageError("--until must be a time with its zone, such as 2030-01-31T12:00:00Z");
  }
  return { case: "until", value: timestampFromDate(new Date(until)) };
}

function expected(number: string | undefined): number | undefined {
  if (number !== undefined && !/^\d{1,9}$/.test(number)) throw new UsageError("--expect must be a number of users");
  return number === undefined ? undefined : Number(number);
}
