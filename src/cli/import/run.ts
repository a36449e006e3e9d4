import { createHash } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { FIRST_PATIENCE_MS, PATIENCE_MS, type Patience, withPatience } from "../bulk/calls.ts";
import { createPlaceKeeper, type Place } from "../bulk/place.ts";
import { count, createProgress, spanOf } from "../bulk/progress.ts";
import { failedOf, failureLine, reasonsOf } from "../bulk/report.ts";
import { explain } from "../client.ts";
import type { Surroundings } from "../frame/command.ts";
import { EX_INTERRUPTED, EX_OK, EX_REFUSED, EX_UNAVAILABLE, UsageError } from "../frame/errors.ts";
import { createRequest, type NewUser } from "../user/new-user.ts";
import { BadValue, type Mapping, unknownColumns, userOf } from "./fields.ts";
import type { Row } from "./rows.ts";

/** Rows after which the progress is saved. */
const PAGE = 200;
/** Concurrent calls. */
const AT_ONCE = 16;

/** What to import, and how. */
export interface ImportJob {
  rows: () => AsyncIterable<Row>;
  /** Undefined if the rows can be read only once. */
  total: number | undefined;
  mapping: Mapping;
  defaults: Partial<NewUser>;
  ignoresUnknown: boolean;
  dryRun: boolean;
  isJson: boolean;
  resume: string | undefined;
  fingerprint: string;
}

/**
 * Creates the users of a file. Prints a line for each failed user on stdout (id, reason, message), and progress and a
 * summary on stderr. Resolves with the exit code. Rejects with UsageError, CommandFailed or the server's error.
 */
export async function runImport(
  client: Client<typeof UserService>,
  job: ImportJob,
  { stdout, stderr }: Pick<Surroundings, "stdout" | "stderr">,
  stop: AbortSignal,
): Promise<number> {
  const started = performance.now();
  const keeper = createPlaceKeeper(job.resume, job.fingerprint);
  const place = keeper.load();
  const { done: behind, hash: before } = place;
  place.total ??= job.total;
  const progress = createProgress(stderr);
  if (behind > 0) progress.note(`continuing after ${count(behind)} rows`);
  const patience: Patience = {
    stop,
    onWait: (why) => progress.note(`waiting: ${why}`),
    onAnswer: () => {
      patience.milliseconds = PATIENCE_MS;
    },
    milliseconds: FIRST_PATIENCE_MS,
  };
  const create = async (row: Row): Promise<Outcome> => {
    try {
      const request = createRequest(userOf(row, job.mapping, job.defaults));
      if (job.dryRun) return { row };
      // Depends on the row only, so the server recognizes a call that is made again after a crash.
      const headers = { "idempotency-key": `${place.run}-${row.line}` };
      await withPatience(() => client.createUser(request, { headers }), patience);
      return { row };
    } catch (error) {
      return outcomeOf(row, error);
    }
  };
  const show = () => progress.show({ done: place.done, total: place.total, failed: failedOf(place) });
  const finishPage = async (rows: Row[], hash: string) => {
    const lines: string[] = [];
    for (const outcome of await inParallel(rows, create)) lines.push(...countIn(place, outcome, job));
    progress.clear();
    if (lines.length > 0) stdout.write(`${lines.join("\n")}\n`);
    Object.assign(place, { page: place.page + 1, done: place.done + rows.length, hash });
    keeper.save(place);
    show();
  };

  show();
  const hash = createHash("sha256");
  let seen = 0;
  let page: Row[] = [];
  try {
    for await (const row of job.rows()) {
      if (stop.aborted) break;
      if (seen === 0) checkColumns(row, job);
      hash.update(`${JSON.stringify([...row.values])}\n`);
      seen++;
      if (seen > behind) page.push(row);
      else if (seen === behind) checkSame(hash.copy().digest("hex"), before, behind);
      if (page.length < PAGE) continue;
      await finishPage(page, hash.copy().digest("hex"));
      page = [];
    }
    if (seen < behind && !stop.aborted) checkSame("", before, behind);
    if (page.length > 0 && !stop.aborted) {
      await finishPage(page, hash.copy().digest("hex"));
      page = [];
    }
  } catch (error) {
    progress.clear();
    if (!(error instanceof UsageError) && !stop.aborted) stderr.write(`${howToGoOn(place, job)}\n`);
    if (!stop.aborted) throw error;
  }
  progress.clear();
  if (seen === 0 && !stop.aborted) throw new UsageError("the file has no users");
  stderr.write(`${summaryOf(place, job)} in ${spanOf((performance.now() - started) / 1_000)}\n`);
  if (stop.aborted && (page.length > 0 || place.done !== place.total)) {
    stderr.write(`${howToGoOn(place, job)}\n`);
    return EX_INTERRUPTED;
  }
  keeper.forget();
  return failedOf(place) === 0 ? EX_OK : EX_REFUSED;
}

/** The outcome of a row. Without a reason the user was created. */
interface Outcome {
  row: Row;
  reason?: string;
  message?: string;
}

/** Throws the error if every other row would fail by it too. */
function outcomeOf(row: Row, error: unknown): Outcome {
  if (error instanceof BadValue) return { row, reason: "INVALID_REQUEST", message: error.message };
  const { message, exitCode } = explain(error);
  const [, reason, sentence] = /^([A-Z_]+): (.*)$/s.exec(message) ?? [];
  const isOfAll =
    exitCode === EX_UNAVAILABLE || reason === undefined || /^(TOKEN|STORE|KEYS|SHUTTING|TOO_MANY)_/.test(reason);
  if (isOfAll) throw error;
  return { row, reason, message: sentence ?? "" };
}

/** Counts the outcome. Returns the line to print, if there is one. */
function countIn(place: Place, { row, reason, message = "" }: Outcome, { isJson, mapping }: ImportJob): string[] {
  const id = [...row.values].find(([column]) => (mapping.get(column) ?? column) === "id")?.[1];
  if (reason === undefined) {
    place.changed++;
    return [];
  }
  if (reason === "USER_ALREADY_EXISTS") {
    place.unchanged++;
    return [];
  }
  place.failed[reason] = (place.failed[reason] ?? 0) + 1;
  return [failureLine({ id: String(id ?? ""), reason, message: `line ${row.line}: ${message}` }, isJson)];
}

/** Runs the work on all items, a few at once. Resolves with the results in the order of the items. */
async function inParallel<Item, Result>(items: Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as Item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

function checkColumns(row: Row, { mapping, ignoresUnknown }: ImportJob): void {
  const absent = [...mapping.keys()].filter((column) => !row.values.has(column));
  if (absent.length > 0) throw new UsageError(`--map: there is no column ${absent.join(", ")}`);
  const unknown = unknownColumns(row, mapping);
  if (unknown.length === 0 || ignoresUnknown) return;
  throw new UsageError(
    `the header has unknown columns: ${unknown.join(", ")}; add --map FIELD=COLUMN for each, or --ignore-other-columns`,
  );
}

function checkSame(now: string, before: string, rows: number): void {
  if (now !== before)
    throw new UsageError(`the file differs from that of the earlier run in its first ${count(rows)} rows`);
}

function summaryOf(place: Place, { dryRun }: ImportJob): string {
  const created = `${dryRun ? "dry run: would create" : "created"} ${count(place.changed)}`;
  const existed = dryRun ? [] : [`existed before ${count(place.unchanged)}`];
  return [created, ...existed, `failed ${count(failedOf(place))}${reasonsOf(place)}`].join("; ");
}

function howToGoOn({ done, total }: Place, { resume }: ImportJob): string {
  const at = total === undefined ? count(done) : `${count(done)} of ${count(total)}`;
  const how = resume === undefined ? "it skips users that exist" : "it continues at this place";
  return `stopped after ${at} rows; run the same command again: ${how}`;
}
