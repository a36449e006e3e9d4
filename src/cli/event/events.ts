import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { flag, many, number, pastTime, text } from "../frame/options.ts";
import { OUTPUT } from "../output.ts";
import { DEFAULT_LIMIT } from "../pages.ts";
import { organization as inOrganization } from "../request.ts";
import { followEvents } from "./follow.ts";
import { listEvents } from "./list.ts";

/** Options that --follow does not take. */
const ONLY_LISTED = ["actor", "since", "before", "limit", "all", "oldest-first"] as const;

export const events = command({
  summary: "List what happened, newest first, or follow what happens",
  options: {
    follow: flag("print events as they happen; connect again when the connection ends"),
    after: text("CURSOR", "begin after the event with this cursor; with --follow, 0 is the first event"),
    user: many(text("ID", "events about this user")),
    type: many(text("TYPE", "events of this type, such as user.locked")),
    organization: text("ID", "events of what this organization owns"),
    actor: text("SUBJECT", "events that this subject caused"),
    since: pastTime("TIME", "events from this time on: 2030-01-31T12:00:00Z, or 2h for two hours ago"),
    before: pastTime("TIME", "events before this time"),
    "oldest-first": flag("list the oldest events first"),
    limit: number("N", `how many to list at most; default: ${DEFAULT_LIMIT}`),
    all: flag("list all, page by page"),
    ...OUTPUT,
  },
  example: "events --type user.locked --type user.unlocked --since 2h",
  async run(values, _args, around) {
    const {
      follow,
      after,
      user: userIds,
      type: types,
      organization,
      actor,
      since,
      before,
      limit,
      all,
      output,
    } = values;
    if (all && limit !== undefined) throw new UsageError("give --limit or --all, not both");
    if (limit === 0) throw new UsageError("--limit must be 1 or more");
    const where = inOrganization(organization).organization;
    if (follow) {
      const given = ONLY_LISTED.filter((name) => values[name] !== undefined);
      if (given.length > 0) throw new UsageError(`--${given[0]} does not go with --follow`);
      const client = clientOf(EventService, around.env, 0);
      const request = { userIds, types, ...(where && { organization: where }), ...(after !== undefined && { after }) };
      await around.untilSignal((stop) => followEvents(client, request, output, around, stop));
      return EX_OK;
    }
    const query = {
      ...{ userIds, types, organization: where, actor, since, before, after },
      oldestFirst: values["oldest-first"] === true,
      limit: all ? Number.POSITIVE_INFINITY : limit,
    };
    await listEvents(clientOf(EventService, around.env), query, output, around);
    return EX_OK;
  },
});
