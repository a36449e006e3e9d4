import { DomainError } from "../domain/errors.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { lockOf, type User } from "../domain/user-state.ts";
import { type EventStore, type Filter, load, search } from "../store/port.ts";
import type { Stored } from "./execute.ts";

/** Tokens that are looked through for another owner. */
const MAX_TOKENS = 1_000;

/** A user without any token, as hardly any user has one, is of no concern to the rule. */
export const tokenOf = (userId: string) => ({ kind: accessToken.kind, subject: userId });

type Owners = ReturnType<typeof createOwners>;
export type OtherOwner = Owners["otherOwner"];
export type OtherOwnerToken = Owners["otherOwnerToken"];
export type HoldsOwner = Owners["holdsOwner"];

/** The rule that somebody who can act holds INSTANCE_OWNER by a token. */
export function createOwners({ store, clock }: { store: EventStore; clock: () => number }) {
  let asked: Promise<Stored<AccessToken>[]> | undefined;

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

  /** The user who holds the token, if a user does. */
  const holderOf = ({ state }: Stored<AccessToken>) => load(store, user, state.subject);

  const canAct = ({ state }: Stored<User>) => state.lifecycle === "active" && lockOf(state, clock()) === undefined;

  /** Begins once all who ask now have asked, so that no answer is older than its question. */
  async function look(): Promise<Stored<AccessToken>[]> {
    await new Promise((resolve) => setImmediate(resolve));
    asked = undefined;
    return ownerTokens();
  }

  return {
    /**
     * Another user who holds INSTANCE_OWNER by a token and can act (not locked, inactive or deleted), with that token: a
     * change that takes the user out of the way rests on both. Empty if the user holds no such token. Rejects with
     * LAST_OWNER if nobody else does; users in `except` do not count.
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
     * What the revocation of a token rests on: another token of its holder, or one of another user who can act. If the
     * holder is no user, another token of such a holder is enough. Empty if the token is not an INSTANCE_OWNER's, or its
     * holder cannot act anyway. Rejects with LAST_OWNER.
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
    /** Whether the user holds INSTANCE_OWNER by a token. Calls at about the same time share one search. */
    async holdsOwner(userId: string): Promise<boolean> {
      asked ??= look();
      const tokens = await asked;
      // There may be more tokens than were read.
      return tokens.length === MAX_TOKENS || tokens.some(({ state }) => state.subject === userId);
    },
  };
}

type Seen = Pick<Stored<unknown>, "kind" | "id" | "version">;

function asSeen(...records: Stored<unknown>[]): Seen[] {
  return records.map(({ kind, id, version }) => ({ kind, id, version }));
}

function lastOwner(subject: string): DomainError {
  const message = "Nobody else holds INSTANCE_OWNER by a token: give it to another user first.";
  return new DomainError("LAST_OWNER", message, { metadata: { user_id: subject } });
}
