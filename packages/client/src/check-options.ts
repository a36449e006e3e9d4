/** The longest delay of a timer, milliseconds. A longer one would fire at once. */
const MAX_NUMBER = 2 ** 31 - 1;

/** Throws TypeError with the option's name and what is allowed. The value may be a secret, so it is not shown. */
export function checkOption(name: string, isAllowed: boolean, allowed: string): asserts isAllowed {
  if (!isAllowed) throw new TypeError(`${name}: must be ${allowed}`);
}

/** Throws TypeError unless the value is text. An environment variable that is not set is no text. */
export function checkText(name: string, value: unknown): asserts value is string {
  checkOption(name, typeof value === "string" && value.trim() !== "", "a non-empty string");
}

/** Throws TypeError unless the value is undefined, or a number of at least `least` for which a timer can wait. */
export function checkNumber(name: string, value: unknown, least = 0): void {
  const isAllowed = value === undefined || (typeof value === "number" && value >= least && value <= MAX_NUMBER);
  checkOption(name, isAllowed, `a number from ${least} to ${MAX_NUMBER}`);
}
