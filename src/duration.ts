const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };
/** 10 years, so that an end can be written in every protocol. */
const MAX_DAYS = 3_650;

/** The rule for durations, for error messages. */
export const DURATION_RULE = `a number with a unit of s, m, h, d or w, such as 30m or 12h, and at most ${MAX_DAYS}d`;

/** Parses a text such as `12h` to microseconds; undefined for any other text. */
export function durationOf(text: string): number | undefined {
  const [, number, unit] = /^([1-9]\d{0,8})([smhdw])$/.exec(text) ?? [];
  const seconds = Number(number) * UNITS[unit as keyof typeof UNITS];
  return seconds <= MAX_DAYS * UNITS.d ? seconds * 1_000_000 : undefined;
}
