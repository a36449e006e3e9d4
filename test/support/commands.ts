import { LOCK_OPTIONS, readJob, UNLOCK_OPTIONS } from "../../src/cli/bulk/options.ts";
import { parse } from "../../src/cli/frame/parse.ts";

/** The job of `userlock lock …` or `userlock unlock …` for a server. Throws UsageError. */
export function jobOf(action: "lock" | "unlock", argv: string[], url = "http://127.0.0.1:8080") {
  const options = action === "lock" ? LOCK_OPTIONS : UNLOCK_OPTIONS;
  const { values, args } = parse({ options, argument: "[ID…]" }, argv);
  return readJob(action, values as Parameters<typeof readJob>[1], args, url);
}
