import type { MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import type { BatchResult, SearchFilterSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { reasonOf, sentenceOf, sessions, users } from "../core/api.ts";

/** What can be done to users. `relock` replaces a lock by hand, with another reason, note or end. */
export type Action = "lock" | "relock" | "unlock" | "deactivate" | "activate" | "endSessions";

export type Filter = MessageInitShape<typeof SearchFilterSchema>;

/** The users of an action: some, or all that match the filters. */
export type Target = { ids: readonly string[] } | { filters: readonly Filter[]; total: number };

/** The fields of the dialog. Only locks have them. */
export interface Details {
  reason: string;
  note: string;
  /** When the lock ends: after seconds, at a date, or never. */
  end?: { seconds: number } | { at: Date };
}

/** A user that an action did not change. */
export interface Refused {
  id: string;
  reason: string;
  sentence: string;
}

export interface Outcome {
  changed: string[];
  refused: Refused[];
}

interface Run {
  /** Makes a repeated call safe. One for each dialog. */
  key: string;
  isDryRun?: boolean;
  signal: AbortSignal;
  onProgress?(outcome: Outcome): void;
}

/** The number of users of one call, so that progress shows. */
const PAGE = 500;
/** The number of single calls at once. */
const AT_ONCE = 6;

/** The number of users of a target. */
export const sizeOf = (target: Target): number => ("ids" in target ? target.ids.length : target.total);

/**
 * Does an action page by page. Rejects with the error of a call that failed as a whole; what was changed before it has
 * been reported to `onProgress`. After an abort it resolves with what was done.
 */
export async function perform(action: Action, target: Target, details: Details, run: Run): Promise<Outcome> {
  const outcome: Outcome = { changed: [], refused: [] };
  const isBatch = action === "lock" || action === "relock" || action === "unlock";
  const pages = isBatch ? batches(action, target, details, run) : singles(action, target, run);
  for await (const { changed, refused } of pages) {
    outcome.changed.push(...changed);
    outcome.refused.push(...refused);
    run.onProgress?.(outcome);
    if (run.signal.aborted) break;
  }
  return outcome;
}

async function* batches(
  action: "lock" | "relock" | "unlock",
  target: Target,
  details: Details,
  run: Run,
): AsyncGenerator<Outcome> {
  const { key, isDryRun = false } = run;
  const call = async (
    which: { ids: string[] } | { filters: Filter[]; cursor: string; limit: number },
    page: number,
  ) => {
    const headers: Record<string, string> = isDryRun ? {} : { "idempotency-key": `${key}-${page}` };
    if (action === "unlock") return users.batchUnlockUsers({ ...which, dryRun: isDryRun }, { headers });
    const { reason, note } = details;
    return users.batchLockUsers(
      { ...which, reason, note, ...endOf(details), replace: action === "relock", dryRun: isDryRun },
      { headers },
    );
  };
  if ("ids" in target) {
    for (let start = 0; start < target.ids.length; start += PAGE) {
      const { results } = await call({ ids: target.ids.slice(start, start + PAGE) }, start / PAGE);
      yield toOutcome(results);
    }
    return;
  }
  for (let cursor = "", page = 0; page === 0 || cursor !== ""; page++) {
    const { results, nextCursor } = await call({ filters: [...target.filters], cursor, limit: PAGE }, page);
    yield toOutcome(results);
    cursor = nextCursor;
  }
}

function endOf({ end }: Details) {
  if (!end) return {};
  if ("at" in end) return { end: { case: "until" as const, value: timestampFromDate(end.at) } };
  return { end: { case: "duration" as const, value: { seconds: BigInt(end.seconds) } } };
}

function toOutcome(results: readonly BatchResult[]): Outcome {
  const outcome: Outcome = { changed: [], refused: [] };
  for (const { id, outcome: one } of results) {
    if (one.case !== "error") outcome.changed.push(id);
    else {
      const { message, details } = one.value;
      const reason = details.map((detail) => anyUnpack(detail, ErrorInfoSchema)?.reason).find(Boolean) ?? "";
      outcome.refused.push({ id, reason, sentence: message });
    }
  }
  return outcome;
}

async function* singles(
  action: Exclude<Action, "lock" | "relock" | "unlock">,
  target: Target,
  run: Run,
): AsyncGenerator<Outcome> {
  const call = (id: string) => {
    const options = { headers: { "idempotency-key": `${run.key}-${id}` } };
    if (action === "deactivate") return users.deactivateUser({ id }, options);
    if (action === "activate") return users.activateUser({ id }, options);
    return sessions.deleteSessions({ id }, options);
  };
  for await (const ids of idPages(target)) {
    for (let start = 0; start < ids.length; start += AT_ONCE) {
      const some = ids.slice(start, start + AT_ONCE);
      if (run.isDryRun) {
        yield { changed: some, refused: [] };
        continue;
      }
      const settled = await Promise.allSettled(some.map(call));
      const outcome: Outcome = { changed: [], refused: [] };
      for (const [index, each] of settled.entries()) {
        const id = some[index] as string;
        if (each.status === "fulfilled") outcome.changed.push(id);
        else outcome.refused.push({ id, reason: reasonOf(each.reason), sentence: sentenceOf(each.reason) });
      }
      yield outcome;
    }
  }
}

async function* idPages(target: Target): AsyncGenerator<readonly string[]> {
  if ("ids" in target) {
    yield target.ids;
    return;
  }
  for (let cursor = "", isFirst = true; isFirst || cursor !== ""; isFirst = false) {
    const { result, nextCursor } = await users.searchUsers({
      filters: [...target.filters],
      query: { limit: PAGE },
      cursor,
      skipTotal: true,
    });
    yield result.map(({ details }) => details?.id ?? "");
    cursor = nextCursor;
  }
}
