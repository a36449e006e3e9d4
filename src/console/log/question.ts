import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Event, ListEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";

/** What the log asks for, as its address has it. Empty fields do not filter. */
export interface Question {
  types: readonly string[];
  users: readonly string[];
  actor: string;
  organization: string;
  /** Only events of the last so many seconds. 0: `since` and `before` count. */
  last: number;
  since: Date | undefined;
  before: Date | undefined;
  /** Whether new events appear by themselves. */
  isLive: boolean;
}

/** The periods to choose from, seconds. */
export const PERIODS = [900, 3_600, 86_400, 604_800] as const;

/** The parameters that `questionOf` reads as filters. */
export const FILTER_PARAMETERS = ["type", "user", "actor", "org", "last", "since", "before"] as const;

/** Neither ids nor types have spaces or commas. */
export const listOf = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** Reads the question from the query of an address. */
export function questionOf({ searchParams }: URL): Question {
  const get = (name: string) => searchParams.get(name)?.trim() ?? "";
  const last = PERIODS.find((period) => String(period) === get("last")) ?? 0;
  return {
    types: listOf(get("type")),
    users: listOf(get("user")),
    actor: get("actor"),
    organization: get("org"),
    last,
    since: last > 0 ? undefined : dateOf(get("since")),
    before: last > 0 ? undefined : dateOf(get("before")),
    isLive: get("live") !== "off",
  };
}

/** The date in a parameter of the address. Undefined for an invalid one. */
export function dateOf(text: string): Date | undefined {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** The request of a question, without its page. `now`: milliseconds since the Unix epoch. */
export function requestOf(question: Question, now: number): MessageInitShape<typeof ListEventsRequestSchema> {
  const { types, users, actor, organization, last, before } = question;
  const since = last > 0 ? new Date(now - last * 1_000) : question.since;
  return {
    types: [...types],
    userIds: [...users],
    ...(actor !== "" && { actor }),
    ...(organization !== "" && { organization: { property: { case: "orgId", value: organization } } }),
    ...(since && { since: timestampFromDate(since) }),
    ...(before && { before: timestampFromDate(before) }),
  };
}

/** Whether a new event belongs to the answer of a question. The server decides the same for those of a page. */
export function matches(event: Event, question: Question): boolean {
  const { types, users, actor, organization, since, before } = question;
  if (types.length > 0 && !types.includes(event.type)) return false;
  if (users.length > 0 && !users.includes(event.userId)) return false;
  if (actor !== "" && event.actor?.subject !== actor) return false;
  const { owner, time } = event;
  if (organization !== "" && !(owner?.type === OwnerType.ORG && owner.id === organization)) return false;
  const at = time ? timestampDate(time) : new Date(0);
  return (!since || at >= since) && (!before || at < before);
}
