import { inUnit, SECONDS, type Unit } from "./length.ts";
import { FIELDS, type Field, type Values } from "./values.ts";

/** A field as it is edited: the choice of the list, and the number beside it. */
export interface FieldInput {
  /** "inherit"; "number" or a unit; "none" for 0; "yes" or "no". */
  choice: "inherit" | "number" | "none" | "yes" | "no" | Unit;
  amount: string;
}
export type Input = Readonly<Record<Field, FieldInput>>;

const LONGEST = 30 * SECONDS.d;

/** The input that means these values. */
export function inputOf(own: Partial<Values>): Input {
  const input = FIELDS.map((field) => [field, fieldOf(field, own[field])] as const);
  return Object.fromEntries(input) as Record<Field, FieldInput>;
}

function fieldOf(field: Field, value: number | boolean | undefined): FieldInput {
  if (value === undefined) return { choice: "inherit", amount: "" };
  if (typeof value === "boolean") return { choice: value ? "yes" : "no", amount: "" };
  if (value === 0) return { choice: "none", amount: "" };
  if (field === "maxAttempts") return { choice: "number", amount: String(value) };
  const { amount, unit } = inUnit(value);
  return { choice: unit, amount: String(amount) };
}

/** The values that an input sets. Undefined if one is missing or out of the server's bounds. */
export function readInput(input: Input): Partial<Values> | undefined {
  const values: Partial<Record<Field, number | boolean>> = {};
  for (const field of FIELDS) {
    const { choice, amount } = input[field];
    if (choice === "inherit") continue;
    if (choice === "yes" || choice === "no") values[field] = choice === "yes";
    else if (choice === "none") values[field] = 0;
    else {
      const number = amount.trim() === "" ? Number.NaN : Number(amount);
      const isAttempts = choice === "number";
      // Whole microseconds, which is what the server keeps.
      const value = isAttempts ? number : Math.round(number * SECONDS[choice] * 1e6) / 1e6;
      const isValid = isAttempts ? Number.isInteger(value) && value <= 99 : value <= LONGEST;
      // Also false for what is not a number.
      if (!(isValid && value >= 1)) return undefined;
      values[field] = value;
    }
  }
  return values as Partial<Values>;
}
