import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import {
  EventSchema,
  type EventService,
  type ListEventsRequestSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { Surroundings } from "../frame/command.ts";
import { printable } from "../frame/printable.ts";
import { createListing, type Format } from "../output.ts";
import { DEFAULT_LIMIT } from "../pages.ts";
import { EVENT_COLUMNS } from "./describe.ts";

const PAGE = 1_000;

/** What events are listed, and how many. */
export interface EventQuery {
  userIds: string[];
  types: string[];
  organization: MessageInitShape<typeof ListEventsRequestSchema>["organization"];
  actor: string | undefined;
  since: Date | undefined;
  before: Date | undefined;
  after: string | undefined;
  oldestFirst: boolean;
  /** Undefined: the first few. */
  limit: number | undefined;
}

/** Prints events page by page. */
export async function listEvents(
  client: Client<typeof EventService>,
  query: EventQuery,
  format: Format,
  around: Surroundings,
): Promise<void> {
  const { since, before, after, limit, actor, organization, ...filters } = query;
  const listing = createListing(EventSchema, EVENT_COLUMNS, format, around);
  const atMost = limit ?? DEFAULT_LIMIT;
  let cursor = after ?? "";
  for (let listed = 0; listed < atMost; ) {
    const { events, nextCursor } = await client.listEvents({
      ...filters,
      ...(organization && { organization }),
      ...(actor !== undefined && { actor }),
      ...(since && { since: timestampFromDate(since) }),
      ...(before && { before: timestampFromDate(before) }),
      cursor,
      limit: Math.min(PAGE, atMost - listed),
    });
    listing.print(events);
    listed += events.length;
    cursor = nextCursor;
    if (cursor === "") return;
  }
  if (limit === undefined)
    around.stderr.write(`There are more events; --all lists them, and --after ${printable(cursor)} goes on.\n`);
}
