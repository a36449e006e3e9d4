import { user } from "../../domain/user.ts";
import { DENIED, type Denial, denialOf, type User } from "../../domain/user-state.ts";
import type { EventStore } from "../../store/port.ts";
import { ownerMatcher } from "./events.ts";
import type { PartOfSnapshot } from "./watch.ts";

/** The number of users of one read. */
export const PAGE = 500;

/** The types of events that may change who is denied. */
export const DENIAL_TYPES = [
  "user.locked",
  "user.unlocked",
  "user.activated",
  "user.deactivated",
  "user.deleted",
] as const;

/** The fields that say whether a user is denied. The whole state may be large. */
const FIELDS = ["state.lifecycle", "state.lock"] as const;

/** A user that may not act. */
export interface DeniedUser {
  id: string;
  denial: Denial;
}

export type ReadDenied = ReturnType<typeof createReadDenied>;

/** Reads the denied users page by page. Deleted users count. `next` begins the next page. */
export function createReadDenied({
  store,
  clock,
  page: limit = PAGE,
}: {
  store: EventStore;
  clock: () => number;
  page?: number;
}) {
  return async (after: string | undefined, signal: AbortSignal): Promise<PartOfSnapshot<DeniedUser[]>> => {
    const { holders, hasMore } = await store.holders({ prefix: DENIED, after, limit, only: FIELDS }, signal);
    const last = holders.at(-1)?.claim;
    return {
      visible(where) {
        const isOwner = ownerMatcher(where);
        const now = clock();
        return holders.flatMap(({ record: { kind, id, owner, state } }): DeniedUser[] => {
          const denial = kind === user.kind && isOwner(owner) ? denialOf(state as User, now) : undefined;
          return denial ? [{ id, denial }] : [];
        });
      },
      ...(hasMore && last !== undefined && { next: last }),
    };
  };
}
