import { median } from "./statistics.ts";

export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);

/** A row of the README's table. */
export interface Figure {
  /** What is measured, as "ours ÷ theirs". */
  name: string;
  /** What it should be at least, and what we aim at; at most, where less is better. */
  bound: number;
  aim: number;
  isLessBetter?: boolean;
  /** What the ratio is of, if it is not a ratio. */
  unit?: string;
}

/** What one round has given. */
export interface Round {
  value: number;
  /** A line about it. */
  line: string;
}

/** Runs the rounds, prints each, and last the row of the table. */
export async function measure(figure: Figure, round: () => Promise<Round>): Promise<void> {
  console.log(figure.name);
  const values: number[] = [];
  for (let number = 1; number <= ROUNDS; number++) {
    const { value, line } = await round();
    values.push(value);
    console.log(`round ${number}: ${show(value)}${figure.unit ?? ""}; ${line}`);
  }
  const { name, bound, aim, isLessBetter = false, unit = "" } = figure;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const limit = (value: number) => `${isLessBetter ? "≤ " : ""}${value}${unit}`;
  console.log(
    `| ${name} | ${show(median(values))}${unit} | ${show(least)} to ${show(most)} | ${limit(bound)} | ${limit(aim)} |`,
  );
}

/** Three digits that count. */
export function show(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
