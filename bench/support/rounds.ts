import { median } from "./statistics.ts";

export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);

/** A row of the README's table. */
export interface Figure {
  /** What is measured, as "ours ÷ theirs". */
  name: string;
  /**
   * What it should be at least, and what we aim at; at most, where less is better. Left out if it only shows something.
   */
  bound?: number;
  aim?: number;
  isLessBetter?: boolean;
  /** What the ratio is of, if it is not a ratio. */
  unit?: string;
}

/** What one round has given. */
export interface Round {
  value: number;
  /** The same by the CPU time of the servers, which says more where other programs want the cores, too. */
  byCpu?: number;
  /** A line about it. */
  line: string;
}

/** Runs the rounds, prints each, and last the row of the table. */
export async function measure(figure: Figure, round: () => Promise<Round>): Promise<void> {
  const { name, bound, aim, isLessBetter = false, unit = "" } = figure;
  console.log(name);
  const rounds: Round[] = [];
  for (let number = 1; number <= ROUNDS; number++) {
    const done = await round();
    rounds.push(done);
    console.log(`round ${number}: ${show(done.value)}${unit}; ${done.line}`);
  }
  const byCpu = rounds.flatMap(({ byCpu = [] }) => byCpu);
  if (byCpu.length > 0) console.log(`by the CPU time of the servers: ${show(median(byCpu))} (${spread(byCpu)})`);
  const values = rounds.map(({ value }) => value);
  const limit = (value?: number) => (value === undefined ? "" : `${isLessBetter ? "≤ " : ""}${value}${unit}`);
  console.log(`| ${name} | ${show(median(values))}${unit} | ${spread(values)} | ${limit(bound)} | ${limit(aim)} |`);
}

function spread(values: readonly number[]): string {
  return `${show(Math.min(...values))} to ${show(Math.max(...values))}`;
}

/** Three digits that count. */
export function show(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
