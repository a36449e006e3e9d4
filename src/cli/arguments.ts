import { parseArgs } from "node:util";
import { DURATION_RULE, durationOf } from "../duration.ts";

/** A call of the command line that makes no sense; the message says what does. */
export class UsageError extends Error {
  override name = "UsageError";
}

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

/** Options and positionals; throws UsageError on what is unknown. */
export function parse<Known extends Options>(args: string[], options: Known, allowPositionals = false) {
  try {
    return parseArgs({ args, options, allowPositionals, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Microseconds of a text such as `30d`. Throws UsageError, which names the option. */
export function duration(text: string, option = "--expires"): number {
  const micros = durationOf(text);
  if (micros === undefined) throw new UsageError(`${option} must be ${DURATION_RULE}`);
  return micros;
}
