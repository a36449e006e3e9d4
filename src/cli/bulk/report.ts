import type { BatchResult } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { reasonOf } from "./calls.ts";
import type { Listed } from "./id-list.ts";
import type { Job } from "./options.ts";
import type { Place } from "./place.ts";
import { count } from "./progress.ts";

/** Reasons for which there was nothing left to do. */
const DONE_BEFORE = { lock: "USER_ALREADY_LOCKED", unlock: "USER_NOT_LOCKED" };

/** Counts what became of a page's users. Returns a line for each failure: id, reason, message. */
export function takeUp(place: Place, { action }: Job, refused: Listed[], results: BatchResult[]): string[] {
  const failure = (id: string, reason: string, message: string) => {
    place.failed[reason] = (place.failed[reason] ?? 0) + 1;
    return [id.slice(0, 200), reason, message].map((part) => part.replaceAll(/\s+/g, " ")).join("\t");
  };
  const lines = refused.map(({ id, line }) => failure(id, "INVALID_REQUEST", `line ${line} has no id of a user`));
  for (const { id, outcome } of results) {
    const reason = outcome.case === "error" ? reasonOf(outcome.value) : undefined;
    if (reason === undefined) place.changed++;
    else if (reason === DONE_BEFORE[action]) place.unchanged++;
    else lines.push(failure(id, reason, outcome.case === "error" ? outcome.value.message : ""));
  }
  return lines;
}

export const failedOf = (place: Place) => Object.values(place.failed).reduce((sum, number) => sum + number, 0);

/** Such as `locked 97; locked before 2; failed 1 (USER_NOT_FOUND 1)`. */
export function summaryOf({ action, request }: Job, place: Place): string {
  const reasons = Object.entries(place.failed)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, number]) => `${reason} ${count(number)}`);
  const [done, before] = action === "lock" ? ["locked", "locked before"] : ["unlocked", "not locked before"];
  return [
    `${request.dryRun ? "dry run, nothing was changed: " : ""}${done} ${count(place.changed)}`,
    `${before} ${count(place.unchanged)}`,
    `failed ${count(failedOf(place))}${reasons.length > 0 ? ` (${reasons.join(", ")})` : ""}`,
  ].join("; ");
}

/** How to go on after a command that was not done. */
export function howToGoOn({ resume, action }: Job, { done, total }: Place): string {
  const at = total === undefined ? count(done) : `${count(done)} of ${count(total)}`;
  const how =
    resume === undefined
      ? `it skips users who are ${action}ed already`
      : "with its place in the file, it goes on from there";
  return `stopped after ${at} users; run the same command again: ${how}`;
}
