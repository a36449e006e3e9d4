import { type SearchFilter, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { addressOf, clientOf } from "../client.ts";
import type { Surroundings } from "../frame/command.ts";
import { EX_INTERRUPTED, EX_OK, EX_REFUSED, UsageError } from "../frame/errors.ts";
import { confirm } from "../frame/run.ts";
import { callPage, FIRST_PATIENCE_MS, PATIENCE_MS, type Patience, UsersLeft, withPatience } from "./calls.ts";
import { countIds, idsIn, type Listed, textOf } from "./id-list.ts";
import type { Job } from "./options.ts";
import { pagesOfFilters, pagesOfList } from "./pages.ts";
import { createPlaceKeeper } from "./place.ts";
import { count, createProgress, spanOf, usersOf } from "./progress.ts";
import { failedOf, howToGoOn, summaryOf, takeUp } from "./report.ts";

/** Timeout of a call, milliseconds. It is longer than the server's own. */
const TIMEOUT_MS = 40_000;

/** The streams and signals of the command. */
export interface BulkSurroundings extends Pick<Surroundings, "env" | "stdin" | "stdout" | "stderr" | "isInteractive"> {
  /** Stops the command after the current page. */
  stop: AbortSignal;
}

/**
 * Locks or unlocks users page by page. Prints a line for each failed user on stdout (id, reason, message), and progress and
 * a summary on stderr. Resolves with the exit code: EX_OK only if no user failed. Rejects with UsageError, CommandFailed
 * or the server's error.
 */
export async function runBulk(job: Job, around: BulkSurroundings): Promise<number> {
  const { env, stdin, stdout, stderr, stop } = around;
  const started = performance.now();
  const client = clientOf(UserService, env, TIMEOUT_MS);
  const keeper = createPlaceKeeper(job.resume, job.fingerprint);
  const place = keeper.load();
  const progress = createProgress(stderr);
  const onWait = (why: string) => progress.note(`waiting: ${why}`);
  const onAnswer = () => {
    patience.milliseconds = PATIENCE_MS;
  };
  const patience: Patience = { stop, onWait, onAnswer, milliseconds: FIRST_PATIENCE_MS };

  if (place.page > 0) progress.note(`continuing after ${count(place.done)} users`);
  else {
    place.total = await countOf(job.source, async (filters) => {
      const search = () => client.searchUsers({ filters, query: { limit: 1 } });
      return Number((await withPatience(search, patience)).details?.totalResult ?? 0n);
    });
  }
  checkExpected(job, place.total);
  if (place.total === 0 && "filters" in job.source) {
    stderr.write(`No user passes the filters; there is nothing to ${job.action}.\n`);
    return EX_OK;
  }
  if ("filters" in job.source && !job.isSure && !job.request.dryRun) {
    const [verb, left] = [job.action === "lock" ? "Lock" : "Unlock", (place.total ?? 0) - place.done];
    await confirm(`${verb} ${usersOf(left)} on ${addressOf(env)}?`, around, stop);
  }
  const show = () => progress.show({ done: place.done, total: place.total, failed: failedOf(place) });
  show();

  const pages =
    "filters" in job.source ? pagesOfFilters(job.source.filters, place) : pagesOfList(listOf(job.source, stdin), place);
  let isDone = false;
  /** Whether the last page is incomplete. */
  let wasInterrupted = false;
  try {
    for (let cursor = ""; !stop.aborted; ) {
      const { value: page } = await pages.next(cursor);
      isDone = !page;
      if (!page) break;
      // Depends on the users of the page, so the server recognizes a page that is sent again after a crash.
      const key = `${place.run}-${place.page}-${page.behind?.hash.slice(0, 16) ?? "filters"}`;
      const answer = page.request && (await callPage(client, job, page.request, key, patience));
      const results = answer?.results ?? [];
      const lines = takeUp(place, job, page.refused, results);
      if (lines.length > 0) {
        progress.clear();
        stdout.write(`${lines.join("\n")}\n`);
      }
      cursor = answer?.nextCursor ?? "";
      Object.assign(place, { page: place.page + 1, cursor, done: place.done + results.length, ...page.behind });
      // After the last page of filters there is no cursor to continue from.
      if (page.behind || cursor !== "") keeper.save(place);
      show();
    }
  } catch (error) {
    progress.clear();
    const isLeft = error instanceof UsersLeft;
    wasInterrupted = isLeft && stop.aborted;
    if (!wasInterrupted) {
      if (isLeft || place.page > 0) stderr.write(`${howToGoOn(job, place)}\n`);
      throw error;
    }
  }
  progress.clear();
  isDone ||= !wasInterrupted && place.done === place.total;
  if (isDone && place.done === 0 && !("filters" in job.source)) throw new UsageError("the list has no ids");
  stderr.write(`${summaryOf(job, place)} in ${spanOf((performance.now() - started) / 1_000)}\n`);
  if (!isDone) {
    stderr.write(`${howToGoOn(job, place)}\n`);
    return EX_INTERRUPTED;
  }
  keeper.forget();
  return failedOf(place) === 0 ? EX_OK : EX_REFUSED;
}

async function* listOf(
  source: { ids: string[] } | { file: string; column?: string | undefined },
  stdin: () => AsyncIterable<string>,
): AsyncGenerator<Listed> {
  if ("ids" in source) yield* source.ids.map((id) => ({ id }));
  else yield* idsIn(source.file === "-" ? stdin() : textOf(source.file), source.column);
}

/** The number of users; undefined for a list that can be read only once. */
async function countOf(
  source: Job["source"],
  passing: (filters: SearchFilter[]) => Promise<number>,
): Promise<number | undefined> {
  if ("filters" in source) return passing(source.filters);
  if ("ids" in source) return source.ids.length;
  return source.file === "-" ? undefined : countIds(source.file, source.column);
}

function checkExpected({ expect }: Job, total: number | undefined): void {
  if (expect === undefined || expect === total) return;
  if (total === undefined) throw new UsageError("--expect needs a file or filters, whose users can be counted first");
  throw new UsageError(`--expect: ${count(total)} instead of ${count(expect)} users match; nothing was changed`);
}
