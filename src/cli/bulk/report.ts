import type { BatchResult } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { printable, printableJson } from "../frame/printable.ts";
import { notAnId } from "../ids.ts";
import { reasonOf } from "./calls.ts";
import { quotedIfNeeded } from "./csv.ts";
import type { Listed } from "./id-list.ts";
import type { Job } from "./options.ts";
import type { Place } from "./place.ts";
import { count } from "./progress.ts";

/** Reasons that mean that nothing is left to do. */
const DONE_BEFORE = { lock: "USER_ALREADY_LOCKED", unlock: "USER_NOT_LOCKED" };

/** A user that failed. */
interface Failure {
  id: string;
  reason: string;
  message: string;
}

/** A line for a failure: JSON, or id, reason and message with tabs between. */
export function failureLine({ id, reason, message }: Failure, isJson: boolean): string {
  const short = id.slice(0, 200);
  if (isJson) return printableJson(JSON.stringify({ id: short, reason, message }));
  return [quotedIfNeeded(short), reason, message].map((part) => printable(part.replaceAll(/\s+/g, " "))).join("\t");
}

/**
 * Counts the outcomes of a page. Returns the lines to print: one for each failure. In a dry run also one for each user that
 * would be changed.
 */
export function takeUp(
  place: Place,
  { action, request: { dryRun }, isJson }: Pick<Job, "action" | "request" | "isJson">,
  refused: Listed[],
  results: BatchResult[],
): string[] {
  const failure = (one: Failure) => {
    place.failed[one.reason] = (place.failed[one.reason] ?? 0) + 1;
    return failureLine(one, isJson);
  };
  const lines = refused.map(({ id, line }) => {
    const where = line === undefined ? "" : `line ${line}: `;
    return failure({ id, reason: "INVALID_REQUEST", message: where + notAnId(id.slice(0, 200)) });
  });
  for (const { id, outcome } of results) {
    const reason = outcome.case === "error" ? reasonOf(outcome.value) : undefined;
    if (reason === undefined) {
      place.changed++;
      if (dryRun) lines.push(isJson ? JSON.stringify({ id }) : id);
    } else if (reason === DONE_BEFORE[action]) place.unchanged++;
    else lines.push(failure({ id, reason, message: outcome.case === "error" ? outcome.value.message : "" }));
  }
  return lines;
}

export const failedOf = (place: Place) => Object.values(place.failed).reduce((sum, number) => sum + number, 0);

/** Such as ` (USER_NOT_FOUND 3, SELF_LOCK 1)`; empty without failures. */
export function reasonsOf({ failed }: Place): string {
  const reasons = Object.entries(failed)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, number]) => `${reason} ${count(number)}`);
  return reasons.length > 0 ? ` (${reasons.join(", ")})` : "";
}

/** Such as `locked 97; locked before 2; failed 1 (USER_NOT_FOUND 1)`. */
export function summaryOf({ action, request }: Job, place: Place): string {
  const before = action === "lock" ? "locked before" : "not locked before";
  return [
    `${request.dryRun ? `dry run: would ${action}` : `${action}ed`} ${count(place.changed)}`,
    `${before} ${count(place.unchanged)}`,
    `failed ${count(failedOf(place))}${reasonsOf(place)}`,
  ].join("; ");
}

/** How to continue after an interrupted command. */
export function howToGoOn({ resume, action }: Job, { done, total }: Place): string {
  const at = total === undefined ? count(done) : `${count(done)} of ${count(total)}`;
  const how = resume === undefined ? `it skips users that are ${action}ed already` : "it continues at this place";
  return `stopped after ${at} users; run the same command again: ${how}`;
}
