import { parseArgs } from "node:util";

/** A call of the command line that makes no sense; the message says what does. */
export class UsageError extends Error {
  override name = "UsageError";
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

/** Options and positionals; throws UsageError on what is unknown. */
export function parse<Known extends Options>(args: string[], options: Known, allowPositionals = false) {
  try {
    return parseArgs({ args, options, allowPositionals, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Milliseconds of a text such as `30d`. Throws UsageError, which names the option. */
export function duration(text: string, option = "--expires"): number {
  const [, number, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (!unit) throw new UsageError(`${option} must be a number with a unit of s, m, h, d or w, such as 30d`);
  return Number(number) * UNITS[unit as keyof typeof UNITS];
}
