import { DomainError } from "../domain/errors.ts";
import { type AccessToken, accessToken } from "../domain/token.ts";
import { user } from "../domain/user.ts";
import { lockOf, type User } from "../domain/user-state.ts";
import { type EventStore, type Filter, load, search } from "../store/port.ts";
import type { Stored } from "./execute.ts";

/** Tokens that are looked through for another owner. */
const MAX_TOKENS = 1_000;

/** What a user must not have for the rule to concern him: hardly any user has a token at all. */
export const tokenOf = (userId: string) => ({ kind: accessToken.kind, subject: userId });

/**
 * Another user who holds INSTANCE_OWNER by a token and can act: not locked, inactive or deleted. He is what a change
 * that takes such a user out of the way rests on, with his token. None if the user himself holds no such token, for
 * then nothing hangs on him. Rejects with LAST_OWNER if there is nobody else; those in `except` are no others.
 */
export type OtherOwner = (
  userId: string,
  except?: ReadonlySet<string>,
) => Promise<{ kind: string; id: string; version: number }[]>;

/**
 * The same for one token that is revoked: what its holder's right rests on then is another token of the same holder, or
 * one of another user who can act. Where the holder is no user, another token of such a holder is enough. None if the
 * token is not an INSTANCE_OWNER's, or its holder cannot act anyway.
 */
export type OtherOwnerToken = (tokenId: string) => ReturnType<OtherOwner>;

/** Whether the user holds INSTANCE_OWNER by a token. Who ask at about the same time share a look at the tokens. */
export type HoldsOwner = (userId: string) => Promise<boolean>;

interface Parts {
  store: EventStore;
  clock: () => number;
}

export function createOtherOwner({ store, clock }: Parts): OtherOwner {
  return async (userId, except) => {
    const own = await ownerTokens(store, clock(), { field: "state.subject", is: userId });
    if (own.length === 0) return [];
    for (const token of await ownerTokens(store, clock(), { not: { field: "state.subject", is: userId } })) {
      if (except?.has(token.state.subject)) continue;
      const other = await holderOf(token, store);
      if (other && canAct(other, clock())) return asSeen(other, token);
    }
    throw lastOwner(userId);
  };
}

export function createOtherOwnerToken({ store, clock }: Parts): OtherOwnerToken {
  return async (tokenId) => {
    const [own] = await ownerTokens(store, clock(), { field: "id", is: tokenId });
    if (!own) return [];
    const { subject } = own.state;
    const holder = await holderOf(own, store);
    if (holder && !canAct(holder, clock())) return asSeen(holder);
    for (const token of await ownerTokens(store, clock(), { not: { field: "id", is: tokenId } })) {
      if (token.state.subject === subject) return asSeen(token);
      const other = await holderOf(token, store);
      if (other && canAct(other, clock())) return asSeen(other, token);
      if (!other && !holder) return asSeen(token);
    }
    throw lastOwner(subject);
  };
}

/** The user who holds the token, if a user does. */
async function holderOf({ state }: Stored<AccessToken>, store: EventStore): Promise<Stored<User> | undefined> {
  return load(store, user, state.subject);
}

function canAct({ state }: Stored<User>, now: number): boolean {
  return state.lifecycle === "active" && lockOf(state, now) === undefined;
}

function asSeen(...records: Stored<unknown>[]): Awaited<ReturnType<OtherOwner>> {
  return records.map(({ kind, id, version }) => ({ kind, id, version }));
}

function lastOwner(subject: string): DomainError {
  const message = "Nobody else holds INSTANCE_OWNER by a token: give it to another user first.";
  return new DomainError("LAST_OWNER", message, { metadata: { user_id: subject } });
}

export function createHoldsOwner({ store, clock }: Parts): HoldsOwner {
  let asked: Promise<Stored<AccessToken>[]> | undefined;
  /** Begins once all who ask now have asked, so that nobody is answered from before his question. */
  async function look(): Promise<Stored<AccessToken>[]> {
    await new Promise((resolve) => setImmediate(resolve));
    asked = undefined;
    return ownerTokens(store, clock());
  }

  return async (userId) => {
    asked ??= look();
    const tokens = await asked;
    // Where there may be more of them, anybody may be one.
    return tokens.length === MAX_TOKENS || tokens.some(({ state }) => state.subject === userId);
  };
}

async function ownerTokens(store: EventStore, now: number, ...which: Filter[]): Promise<Stored<AccessToken>[]> {
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
