import { DomainError } from "../domain/errors.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { lockOf, type User } from "../domain/user-state.ts";
import { type EventStore, load, search } from "../store/port.ts";
import type { Filter } from "../store/query.ts";
import type { Stored } from "./execute.ts";

/** The number of tokens that are searched for another owner. */
const MAX_TOKENS = 1_000;

/** Skips the rule for users without a token, as nearly all users are. */
export const tokenOf = (userId: string) => ({ kind: accessToken.kind, subject: userId });

type Owners = ReturnType<typeof createOwners>;
export type OtherOwner = Owners["otherOwner"];
export type OtherOwnerToken = Owners["otherOwnerToken"];
export type HoldsOwner = Owners["holdsOwner"];

/** The rule that at least one user who can act holds INSTANCE_OWNER by a token. */
export function createOwners({ store, clock }: { store: EventStore; clock: () => number }) {
  let pending: Promise<Stored<AccessToken>[]> | undefined;

  async function ownerTokens(...which: Filter[]): Promise<Stored<AccessToken>[]> {
    const now = clock();
    const tokens: Stored<AccessToken>[] = [];
    for (;;) {
      const last = tokens.at(-1);
      const behind: Filter[] = last ? [{ field: "id", after: last.id }] : [];
      const query = {
        where: {
          all: [
            ...which,
            ...behind,
            { field: "state.revoked", is: false },
            { not: { field: "state.expires", atMost: now } },
            { some: "state.grants", where: { field: "element.role", is: "INSTANCE_OWNER" } },
          ],
        },
        order: { keys: [], descending: false },
        offset: 0,
        limit: MAX_TOKENS - tokens.length,
        total: false as const,
      };
      const { records, isCut } = await search(store, accessToken, query, { isLookUp: true });
      tokens.push(...records);
      if (!isCut) return tokens;
    }
  }

  /** The user that holds the token, if its subject is a user. */
  const holderOf = ({ state }: Stored<AccessToken>) => load(store, user, state.subject);

  const canAct = ({ state }: Stored<User>) => state.lifecycle === "active" && lockOf(state, clock()) === undefined;

  /** Starts in the next tick, so that no caller sees state older than its call. */
  async function look(): Promise<Stored<AccessToken>[]> {
    await new Promise((resolve) => setImmediate(resolve));
    pending = undefined;
    return ownerTokens();
  }

  return {
    /**
     * Returns another user that can act (not locked, inactive or deleted) and holds INSTANCE_OWNER by a token, with the
     * token: a change that disables the first user requires both. Empty if the first user holds no such token. Rejects
     * with LAST_OWNER if there is no other owner. Users in `except` do not count.
     */
    async otherOwner(userId: string, except?: ReadonlySet<string>): Promise<Seen[]> {
      const own = await ownerTokens({ field: "state.subject", is: userId });
      if (own.length === 0) return [];
      for (const token of await ownerTokens({ not: { field: "state.subject", is: userId } })) {
        if (except?.has(token.state.subject)) continue;
        const other = await holderOf(token);
        if (other && canAct(other)) return asSeen(other, token);
      }
      throw lastOwner(userId);
    },
    /**
     * Returns what the revocation of a token requires: another owner token of its holder, or one of another user that
     * can act. If the holder is not a user, another token of such a holder is enough. Empty if the token is not an
     * INSTANCE_OWNER's, or its holder cannot act anyway. Rejects with LAST_OWNER.
     */
    async otherOwnerToken(tokenId: string): Promise<Seen[]> {
      const [own] = await ownerTokens({ field: "id", is: tokenId });
      if (!own) return [];
      const { subject } = own.state;
      const holder = await holderOf(own);
      if (holder && !canAct(holder)) return asSeen(holder);
      for (const token of await ownerTokens({ not: { field: "id", is: tokenId } })) {
        if (token.state.subject === subject) return asSeen(token);
        const other = await holderOf(token);
        if (other && canAct(other)) return asSeen(other, token);
        if (!other && !holder) return asSeen(token);
      }
      throw lastOwner(subject);
    },
    /** Whether the user holds INSTANCE_OWNER by a token. Concurrent calls share one search. */
    async holdsOwner(userId: string): Promise<boolean> {
      pending ??= look();
      const tokens = await pending;
      // There may be more tokens than the search returned.
      return tokens.length === MAX_TOKENS || tokens.some(({ state }) => state.subject === userId);
    },
  };
}

type Seen = Pick<Stored<unknown>, "kind" | "id" | "version">;

function asSeen(...records: Stored<unknown>[]): Seen[] {
  return records.map(({ kind, id, version }) => ({ kind, id, version }));
}

function lastOwner(subject: string): DomainError {
  const message = "No other user holds INSTANCE_OWNER by a token. Give it to another user first.";
  return new DomainError("LAST_OWNER", message, { metadata: { user_id: subject } });
}
