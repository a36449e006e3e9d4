import { may, missing, type Owner, type Permission, type Principal, reach } from "../../domain/access.ts";
import type { Cursor, EventFilter, EventStore, RecordedEvent } from "../../store/port.ts";
import { createFairQueue } from "../fairness.ts";
import type { Asker } from "../search.ts";

export type { RecordedEvent } from "../../store/port.ts";

const TO_SEE: Permission = "event.read";

/** The share of callers' pages. The store reads two at once. */
const PAGES = { atOnce: 2, atOnceEach: 1, waiting: 1_000, waitingEach: 200, full: "Too many pages are waiting." };

/** A filter of events. Empty or omitted fields do not filter. */
export interface EventQuestion {
  /** The id of the organization that owns the objects. */
  organization?: string | undefined;
  userIds: readonly string[];
  types: readonly string[];
}

/** A page of the log. Times are microseconds since the Unix epoch. */
interface PageQuestion extends EventQuestion {
  /** The page begins after it, in its own direction. */
  cursor?: Cursor | undefined;
  limit: number;
  descending: boolean;
  actor?: string | undefined;
  since?: number | undefined;
  before?: number | undefined;
}

export type ListEvents = ReturnType<typeof createListEvents>;

/**
 * Returns a page of the audit log that the principal may see. `next` starts the next page. Rejects with INVALID_REQUEST
 * for an invalid cursor, and with PERMISSION_MISSING for an organization out of reach. Callers take turns.
 */
export function createListEvents({ store }: { store: EventStore }) {
  const pages = createFairQueue(PAGES);
  return async ({ principal, signal }: Asker, page: PageQuestion) => {
    const { cursor: from, limit, descending, actor, since, before, ...question } = page;
    const where = {
      ...filterOf(principal, question),
      ...(actor !== undefined && { actor }),
      ...(since !== undefined && { since }),
      ...(before !== undefined && { before }),
    };
    const { events, cursor, hasMore } = await pages(
      principal.subject,
      () => store.read({ from, limit, descending, where }, signal),
      signal,
    );
    return { events, next: hasMore ? cursor : undefined };
  };
}

/**
 * Combines the question with what the principal may see. Throws PERMISSION_MISSING for an organization out of reach.
 */
export function filterOf(principal: Principal, { organization, userIds, types }: EventQuestion): EventFilter {
  return {
    ...(organization === undefined ? visible(principal) : inOrganization(principal, organization)),
    ...(userIds.length > 0 && { userIds }),
    ...(types.length > 0 && { types }),
  };
}

function visible(principal: Principal): EventFilter {
  if (principal.isSystem) return {};
  const { instance, organizations } = reach(principal, TO_SEE);
  return instance ? { ownerTypes: ["instance", "org"] } : { organizations };
}

function inOrganization(principal: Principal, organization: string): EventFilter {
  if (!may(principal, TO_SEE, { type: "org", id: organization })) throw missing(TO_SEE);
  return { organizations: [organization] };
}

/** The part of the filter about owners, as a function of an owner. */
export function ownerMatcher({ ownerTypes, organizations }: EventFilter): (owner: Owner) => boolean {
  const owners = organizations && new Set(organizations);
  return ({ type, id }) => {
    if (ownerTypes && !ownerTypes.includes(type)) return false;
    return !owners || (type === "org" && owners.has(id));
  };
}

/** The filter as a function of an event, without the store. */
export function matcher(filter: EventFilter): (event: RecordedEvent) => boolean {
  const { userIds, types } = filter;
  const isOwner = ownerMatcher(filter);
  const users = userIds && new Set(userIds);
  const kinds = types && new Set(types);
  return ({ owner, userId, type }) => {
    if (!isOwner(owner)) return false;
    if (users && !(userId !== undefined && users.has(userId))) return false;
    return !kinds || kinds.has(type);
  };
}
