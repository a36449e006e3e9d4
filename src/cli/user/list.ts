import { create } from "@bufbuild/protobuf";
import {
  FieldName,
  type GetUser,
  GetUserSchema,
  SearchFilterSchema,
  State,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { FILTER_OPTIONS, filtersOf } from "../bulk/options.ts";
import { count } from "../bulk/progress.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { flag, number, word } from "../frame/options.ts";
import { type Column, createListing, OUTPUT } from "../output.ts";
import { DEFAULT_LIMIT, pagesOf } from "../pages.ts";
import { endOf, namesOf, organizationOf, stateOf } from "./describe.ts";

const STATES = {
  active: State.USER_STATE_ACTIVE,
  inactive: State.USER_STATE_INACTIVE,
  locked: State.USER_STATE_LOCKED,
};
const STATE_NAMES = Object.keys(STATES) as (keyof typeof STATES)[];

const COLUMNS: Column<GetUser>[] = [
  ["ID", ({ details }) => details?.id ?? ""],
  ["STATE", ({ state }) => stateOf(state)],
  ["LIFECYCLE", ({ lifecycle }) => stateOf(lifecycle)],
  ["LOCK REASON", ({ lock }) => lock?.reason ?? ""],
  ["LOCKED UNTIL", ({ lock }) => (lock ? endOf(lock) : "")],
  ["ORGANIZATION", ({ details }) => organizationOf(details)],
  ["USER NAMES", namesOf],
  ["EMAIL", ({ contact }) => contact?.email?.address ?? ""],
];

export const userList = command({
  summary: "List users, ordered by id",
  options: {
    state: word("STATE", `users in this state: ${STATE_NAMES.join(", ")}`, STATE_NAMES),
    ...FILTER_OPTIONS,
    limit: number("N", `how many to list at most; default: ${DEFAULT_LIMIT}`),
    all: flag("list all, page by page"),
    ...OUTPUT,
  },
  example: "user list --state locked --email-contains @example.com --all",
  async run({ state, limit, all, output, ...values }, _args, around) {
    if (all && limit !== undefined) throw new UsageError("give --limit or --all, not both");
    if (limit === 0) throw new UsageError("--limit must be 1 or more");
    const client = clientOf(UserService, around.env);
    const filters = filtersOf(values);
    if (state !== undefined) {
      filters.push(create(SearchFilterSchema, { filter: { case: "stateFilter", value: { state: STATES[state] } } }));
    }
    const sortingColumn = FieldName.ID;
    const call = (query: { offset: bigint; limit: number }, cursor: string) =>
      client.searchUsers({ filters, query, sortingColumn, cursor, skipTotal: cursor !== "" });
    const listing = createListing(GetUserSchema, COLUMNS, output, around);
    const pages = pagesOf(call, all ? undefined : (limit ?? DEFAULT_LIMIT));
    for (let listed = 0; ; ) {
      const { value, done } = await pages.next();
      if (!done) {
        listing.print(value);
        listed += value.length;
        continue;
      }
      if (limit === undefined && listed < value) {
        around.stderr.write(`${count(listed)} of ${count(value)} users; --all lists the rest\n`);
      }
      return EX_OK;
    }
  },
});
