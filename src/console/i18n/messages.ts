import { computed } from "@preact/signals";
import { language } from "../core/preferences.ts";
import { de } from "./de.ts";
import { en, type Messages } from "./en.ts";

/** The texts in the chosen language. */
export const texts = computed<Messages>(() => (language.value === "de" ? de : en));

const numbers = computed(() => new Intl.NumberFormat(language.value));
const moments = computed(() => new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }));
const times = computed(() => new Intl.DateTimeFormat(language.value, { timeStyle: "short" }));
const relatives = computed(() => new Intl.RelativeTimeFormat(language.value, { numeric: "auto", style: "short" }));

export const formatNumber = (value: number | bigint): string => numbers.value.format(value);
export const formatMoment = (date: Date): string => moments.value.format(date);
/** The time of a day, such as "3:04 AM". */
export const formatTime = (date: Date): string => times.value.format(date);

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** The time from `now`, such as "in 5 min." or "2 hr. ago". */
export function formatRelative(date: Date, now: number): string {
  const seconds = (date.getTime() - now) / 1_000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relatives.value.format(Math.trunc(seconds / length), unit);
  }
  return relatives.value.format(Math.trunc(seconds), "second");
}
