import { setTimeout as sleep } from "node:timers/promises";
import { authoriseOrganization, type Permission } from "../domain/access.ts";
import { hasReason, isUnavailable } from "../domain/errors.ts";
import { endOf, type UserCommand, user } from "../domain/user.ts";
import type { User } from "../domain/user-state.ts";
import type { Caller, Execute, Guard, Stored } from "./execute.ts";
import { type HoldsOwner, type OtherOwner, tokenOf } from "./last-owner.ts";
import type { CallReceipts } from "./receipts.ts";
import type { Search, UserFilter } from "./search.ts";

/** The number of users processed at once. It fills commits without starving other callers. */
const AT_ONCE = 500;
/** The delay of the second half, milliseconds. One half is decided while the other is written. */
const HEAD_START_MS = 5;

/** The change of each user. */
export interface BatchChange {
  command: Extract<UserCommand, { type: "lock" | "unlock" }>;
  permission: Permission;
  /** The organization in which the caller expects the users. */
  organization: string | undefined;
  /** Decides without changing. The outcomes hold the current users. */
  isDryRun: boolean;
  /** For a repeatable call: users that are done get the same answer again. */
  repeatable?: { receipts: CallReceipts; toAnswer(stored: Stored<User>): Uint8Array } | undefined;
}

/** The outcome of one user: the user after the change, the stored answer of the same call, or the error. */
export type Outcome = { id: string } & ({ stored: Stored<User> } | { answer: Uint8Array } | { error: unknown });

export type Batch = ReturnType<typeof createBatch>;

/**
 * Changes many users independently. Rejects with a DomainError if the call as a whole is wrong or the store was never
 * reachable, or with the signal's reason. Changes made by then stay.
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
   * Rejects with errors that concern every user. Then records under the call's key that the call has begun. Another
   * request with the key then fails with IDEMPOTENCY_KEY_REUSED, even if this one is cut off.
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

  /** In the order of the ids. A repeated id has the same outcome in both places. */
  async function change(batch: BatchChange, ids: readonly string[], caller: Caller): Promise<Outcome[]> {
    const { repeatable, ...shared } = batch;
    const guard = batch.command.type === "lock" ? ownerGuard(batch.isDryRun) : undefined;
    const outcomes = new Map<string, Outcome>();
    let unavailable: unknown;

    async function changeOne(id: string): Promise<void> {
      caller.signal.throwIfAborted();
      // After a store failure the others are not tried, because each would wait as long.
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
    // Retry users whose changes collided one by one, such as owners that each relied on the other.
    for (const { id, ...outcome } of outcomes.values()) {
      if ("error" in outcome && hasReason(outcome.error, "CONCURRENT_CHANGE")) await changeOne(id);
    }
    const all = [...outcomes.values()];
    if (all.length > 0 && all.every((one) => "error" in one && isUnavailable(one.error))) throw unavailable;
    return ids.map((id) => outcomes.get(id) as Outcome);
  }

  /** The rule of the last owner. */
  function ownerGuard(isDryRun: boolean): (id: string) => Guard {
    if (!isDryRun) return (id) => ({ unless: tokenOf(id), check: () => otherOwner(id) });
    const gone = new Set<string>();
    let turn: Promise<unknown> = Promise.resolve();
    const check = async (id: string) => {
      if (!(await holdsOwner(id))) return [];
      // A dry run stores nothing, so it remembers the owners that the batch would remove.
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
     * Changes a page of users, ordered by id: the first `limit` matching users after the id `after` ("" for the first
     * page) that the caller may see. `next` starts the next page and is undefined after the last one.
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

/** The outcome of a failed change. It may have failed because the same call had already changed this user. */
async function outcomeOf(id: string, error: unknown, receipts: CallReceipts | undefined): Promise<Outcome> {
  try {
    const answer = await receipts?.find();
    return answer ? { id, answer } : { id, error };
  } catch (cause) {
    return { id, error: hasReason(cause, "IDEMPOTENCY_KEY_REUSED") ? cause : error };
  }
}
