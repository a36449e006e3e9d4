import { setTimeout as sleep } from "node:timers/promises";
import { authoriseOrganization, type Permission } from "../domain/access.ts";
import { hasReason, isUnavailable } from "../domain/errors.ts";
import { endOf, type UserCommand, user } from "../domain/user.ts";
import type { User } from "../domain/user-state.ts";
import type { Caller, Execute, Guard, Stored } from "./execute.ts";
import { type HoldsOwner, type OtherOwner, tokenOf } from "./last-owner.ts";
import type { CallReceipts } from "./receipts.ts";
import type { Search, UserFilter } from "./search.ts";

/** How many users are under way at once: enough for full commits, and no more, because others call too. */
const AT_ONCE = 500;
/** How much later the second half begins, milliseconds: one half is decided while the other is written. */
const HEAD_START_MS = 5;

/** What is to be done with each of many users. */
export interface BatchChange {
  command: Extract<UserCommand, { type: "lock" | "unlock" }>;
  permission: Permission;
  /** The organization in which the caller expects the users. */
  organization: string | undefined;
  /** Decides the same and changes nothing: the users are answered as they are. */
  isDryRun: boolean;
  /** Of a call that may be repeated: what was done for a user is not done again, but answered alike. */
  repeatable?: { receipts: CallReceipts; toAnswer(stored: Stored<User>): Uint8Array } | undefined;
}

/** What became of one user: the user after the change, the answer of the same call before, or why there was none. */
export type Outcome = { id: string } & ({ stored: Stored<User> } | { answer: Uint8Array } | { error: unknown });

export type Batch = ReturnType<typeof createBatch>;

/**
 * Changes many users, each independently: one may fail and another succeed. Rejects with a DomainError if the call as a
 * whole is wrong, if the store could be reached for no user, or with the signal's reason if the call ends before it is
 * done; what was done by then stays done.
 */
export function createBatch(parts: {
  execute: Execute;
  search: Search;
  otherOwner: OtherOwner;
  holdsOwner: HoldsOwner;
  clock: () => number;
}) {
  const { execute, search, otherOwner, holdsOwner, clock } = parts;

  /**
   * Rejects with what is wrong for every user. Then records under the call's key that it has begun, so that another
   * request under the key is refused even if this one is cut off. Rejects with IDEMPOTENCY_KEY_REUSED if this request is
   * the other one.
   */
  async function begin(batch: BatchChange, { principal }: Caller): Promise<void> {
    const { command, permission, organization, repeatable, isDryRun } = batch;
    if (command.type === "lock") endOf(command, clock());
    authoriseOrganization(principal, { permission, toSee: user.toSee, organization });
    if (!repeatable || isDryRun) return;
    // No user has this id.
    const begun = repeatable.receipts.part("");
    if ((await begun.find()) || (await begun.keep(new Uint8Array()))) return;
    await begun.find();
  }

  /** In the order of the ids; an id that is given twice has one outcome, in both places. */
  async function change(batch: BatchChange, ids: readonly string[], caller: Caller): Promise<Outcome[]> {
    const { repeatable, ...shared } = batch;
    const guard = batch.command.type === "lock" ? ownerGuard(batch.isDryRun) : undefined;
    const outcomes = new Map<string, Outcome>();
    let unavailable: unknown;

    async function changeOne(id: string): Promise<void> {
      caller.signal.throwIfAborted();
      // Once the store has failed, the others are not tried: each would wait for it as long.
      if (unavailable !== undefined) {
        outcomes.set(id, { id, error: unavailable });
        return;
      }
      const own = repeatable && { ...repeatable, receipts: repeatable.receipts.part(id) };
      const receipt = own && { of: (stored: Stored<User>) => own.receipts.of(own.toAnswer(stored)) };
      try {
        const change = { ...shared, id, receipt, ...(guard && { guard: guard(id) }) };
        outcomes.set(id, { id, stored: await execute(user, change, caller) });
      } catch (error) {
        caller.signal.throwIfAborted();
        if (isUnavailable(error)) unavailable ??= error;
        outcomes.set(id, await outcomeOf(id, error, own?.receipts));
      }
    }

    const waiting = new Set(ids).values();
    async function changeNext(): Promise<void> {
      for (const id of waiting) await changeOne(id);
    }
    const half = () => Promise.all(Array.from({ length: AT_ONCE / 2 }, changeNext));
    await Promise.all([half(), sleep(HEAD_START_MS).then(half)]);
    // Users whose changes collided, such as owners who each relied on the other: now one after the other.
    for (const { id, ...outcome } of outcomes.values()) {
      if ("error" in outcome && hasReason(outcome.error, "CONCURRENT_CHANGE")) await changeOne(id);
    }
    const all = [...outcomes.values()];
    if (all.length > 0 && all.every((one) => "error" in one && isUnavailable(one.error))) throw unavailable;
    return ids.map((id) => outcomes.get(id) as Outcome);
  }

  /** The rule of the last owner, for the few that hold the role. */
  function ownerGuard(isDryRun: boolean): (id: string) => Guard {
    if (!isDryRun) return (id) => ({ unless: tokenOf(id), check: () => otherOwner(id) });
    const gone = new Set<string>();
    let turn: Promise<unknown> = Promise.resolve();
    const check = async (id: string) => {
      if (!(await holdsOwner(id))) return [];
      // A dry run stores nothing, so owners that this batch would have taken away are remembered.
      const mine = turn.then(() => otherOwner(id, gone));
      turn = mine.then(
        () => gone.add(id),
        () => {},
      );
      return mine;
    };
    return (id) => ({ check: () => check(id) });
  }

  return {
    async ids(batch: BatchChange, ids: readonly string[], caller: Caller): Promise<Outcome[]> {
      await begin(batch, caller);
      return change(batch, ids, caller);
    },
    /**
     * Those users of a page, in the order of their ids, that the caller may see: the first `limit` after the id `after`
     * ("" for all) that pass. `next` is where the next page begins, undefined after the last one.
     */
    async page(
      batch: BatchChange,
      { filters, after, limit }: { filters: UserFilter[]; after: string; limit: number },
      caller: Caller,
    ): Promise<{ outcomes: Outcome[]; next: string | undefined }> {
      await begin(batch, caller);
      const { organization } = batch;
      const { ids, hasMore } = await search.usersAfter(caller, { filters, organization, after, limit });
      const outcomes = await change(batch, ids, caller);
      return { outcomes, next: hasMore ? ids.at(-1) : undefined };
    },
  };
}

/** Of a change that failed: perhaps only because the same call has come before, and got as far as to this user. */
async function outcomeOf(id: string, error: unknown, receipts: CallReceipts | undefined): Promise<Outcome> {
  try {
    const answer = await receipts?.find();
    return answer ? { id, answer } : { id, error };
  } catch (cause) {
    return { id, error: hasReason(cause, "IDEMPOTENCY_KEY_REUSED") ? cause : error };
  }
}
