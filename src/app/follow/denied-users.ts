import { user } from "../../domain/user.ts";
import { DENIED, type Denial, denialOf, type User } from "../../domain/user-state.ts";
import type { EventFilter, EventStore } from "../../store/port.ts";
import { ownerMatcher } from "./events.ts";

/** The number of users of one read. */
const PAGE = 500;

/** The types of events that may change who is denied. */
export const DENIAL_TYPES = [
  "user.locked",
  "user.unlocked",
  "user.activated",
  "user.deactivated",
  "user.deleted",
] as const;

/** A user that may not act. */
export interface DeniedUser {
  id: string;
  denial: Denial;
}

export type ReadDenied = ReturnType<typeof createReadDenied>;

/** Reads the denied users whose owner passes the filter, page by page. `next` begins the next page. */
export function createReadDenied({
  store,
  clock,
  page: limit = PAGE,
}: {
  store: EventStore;
  clock: () => number;
  page?: number;
}) {
  return async (after: string | undefined, where: EventFilter, signal: AbortSignal) => {
    const isOwner = ownerMatcher(where);
    const { holders, hasMore } = await store.holders({ prefix: DENIED, after, limit }, signal);
    const now = clock();
    const part = holders.flatMap(({ record: { kind, id, owner, state } }): DeniedUser[] => {
      const denial = kind === user.kind && isOwner(owner) ? denialOf(state as User, now) : undefined;
      return denial ? [{ id, denial }] : [];
    });
    const last = holders.at(-1)?.claim;
    return { part, ...(hasMore && last !== undefined && { next: last }) };
  };
}
