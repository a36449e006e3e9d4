import { DomainError } from "../domain/errors.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { lockOf, type User } from "../domain/user-state.ts";
import type { EventStore, Filter } from "../store/port.ts";
import type { Stored } from "./execute.ts";

/** Tokens that are looked through for another owner. */
const MAX_TOKENS = 1_000;

/**
 * Another user who holds INSTANCE_OWNER by a token and can act: not locked, inactive or deleted. He is what a change
 * that takes such a user out of the way rests on, with his token. None if the user himself holds no such token, for then nothing hangs
 * on him. Rejects with LAST_OWNER if there is nobody else.
 */
export type OtherOwner = (userId: string) => Promise<{ kind: string; id: string; version: number }[]>;

export function createOtherOwner({ store, clock }: { store: EventStore; clock: () => number }): OtherOwner {
  async function owners(...which: Filter[]): Promise<Stored<AccessToken>[]> {
    const { records } = await store.search({
      kind: accessToken.kind,
      where: {
        all: [
          ...which,
          { field: "state.revoked", is: false },
          { not: { field: "state.expires", atMost: clock() } },
          { some: "state.grants", where: { field: "element.role", is: "INSTANCE_OWNER" } },
        ],
      },
      order: { keys: [], descending: false },
      offset: 0,
      limit: MAX_TOKENS,
    });
    return records as Stored<AccessToken>[];
  }

  return async (userId) => {
    const own = await owners({ field: "state.subject", is: userId });
    if (own.length === 0) return [];
    for (const token of await owners({ not: { field: "state.subject", is: userId } })) {
      const other = (await store.load(user.kind, token.state.subject)) as Stored<User> | undefined;
      if (other?.state.lifecycle !== "active" || lockOf(other.state, clock())) continue;
      return [other, token].map(({ kind, id, version }) => ({ kind, id, version }));
    }
    throw new DomainError(
      "LAST_OWNER",
      "The user is the last one who holds INSTANCE_OWNER: give it to another first.",
      {
        metadata: { user_id: userId },
      },
    );
  };
}
