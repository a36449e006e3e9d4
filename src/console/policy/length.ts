/** The units of lengths of time, the longest first. */
export type Unit = "d" | "h" | "min" | "s";

export const SECONDS: Readonly<Record<Unit, number>> = { d: 86_400, h: 3_600, min: 60, s: 1 };
export const UNITS = Object.keys(SECONDS) as Unit[];

/** The longest unit that divides a length, and its number. Only seconds can have a fraction. */
export function inUnit(seconds: number): { amount: number; unit: Unit } {
  const unit = (seconds > 0 && UNITS.find((one) => seconds % SECONDS[one] === 0)) || "s";
  return { amount: seconds / SECONDS[unit], unit };
}
