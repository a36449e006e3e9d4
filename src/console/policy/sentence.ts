import type { policyEn } from "../i18n/policy.ts";
import { inUnit, SECONDS, UNITS } from "./length.ts";
import type { Values } from "./values.ts";

type Words = (typeof policyEn)["sentence"];

/** Wrong passwords in a row after which a lock does not expire, whatever the policy (docs/concepts.md). */
const IN_A_ROW = 100;
/** The same for unknown devices, if the policy lets known devices pass and the user has one. */
const IN_A_ROW_OF_STRANGERS = 80;

/** What a policy does, in sentences. The first one says when wrong passwords lock, and for how long. */
export function policySentences(values: Values, words: Words): string[] {
  const { maxAttempts, maxLockDuration, lockDuration, knownDevicesPass, revealLock } = values;
  // As many passwords are compared during a lock, at least one.
  const aboutLogins = revealLock ? words.reveals(Math.max(maxAttempts, 1)) : words.hides;
  if (maxAttempts === 0) return [words.never, aboutLogins];
  const isEndless = maxLockDuration === 0;
  const inARow = knownDevicesPass ? words.inARowOfStrangers(IN_A_ROW, IN_A_ROW_OF_STRANGERS) : words.inARow(IN_A_ROW);
  return [
    words.lock(maxAttempts, lengthText(values.window, words, "within"), lockText(values, words)),
    ...(isEndless || lockDuration >= maxLockDuration ? [] : [words.startsOver]),
    inARow,
    knownDevicesPass ? words.devicesPass : words.devicesStop,
    words.endsSessions,
    aboutLogins,
  ];
}

/** How long the first lock lasts, and each further one, which is twice as long, up to the longest. */
function lockText({ lockDuration, maxLockDuration }: Values, words: Words): string {
  if (maxLockDuration === 0) return words.endless;
  const longest = lengthText(maxLockDuration, words);
  const lengths = [lockDuration, 2 * lockDuration, 4 * lockDuration].filter((length) => length < maxLockDuration);
  if (lengths.length === 0) return words.always(longest);
  const { unit } = inUnit(lockDuration);
  const amounts = lengths.map((length) => length / SECONDS[unit]);
  const name = amounts.length === 1 && amounts[0] === 1 ? words.unit[unit].one : words.unit[unit].many;
  return (lengths.length < 3 ? words.few : words.growing)(
    amounts.map((amount) => numberText(amount, words)),
    name,
    longest,
  );
}

/** A length as text, such as "1 hour and 30 minutes". "within": as it follows this word. */
export function lengthText(seconds: number, words: Words, form: "many" | "within" = "many"): string {
  const parts: string[] = [];
  let rest = seconds;
  for (const unit of UNITS) {
    const amount = unit === "s" ? rest : Math.floor(rest / SECONDS[unit]);
    rest -= amount * SECONDS[unit];
    if (amount > 0) parts.push(`${numberText(amount, words)} ${words.unit[unit][amount === 1 ? "one" : form]}`);
  }
  return parts.join(words.and) || `0 ${words.unit.s.many}`;
}

function numberText(amount: number, { locale }: Words): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 6 }).format(amount);
}
