import { pinGenerator } from "./program.ts";
import { ROUNDS } from "./sizes.ts";
import { median, show, spread } from "./statistics.ts";

/** One of the two compared sides, started and ready. */
export interface Side {
  sample(): Promise<Sample>;
  stop(): Promise<void>;
}

/** The result of one side in a round. */
export interface Sample {
  /** One value, or one for each part of the figure. */
  values: number[];
  /** CPU time of the server for each call, in microseconds. Other programs affect it less than a rate. */
  cpu?: number;
  /** The printed text. */
  line: string;
}

/** A benchmark: the ratio of our side to theirs, measured in turn. */
export interface Bench {
  /** The measured figure, as "ours ÷ theirs". */
  name: string;
  /** The required and the desired ratio: minima, or maxima if less is better. */
  bound?: number;
  aim?: number;
  isLessBetter?: boolean;
  /** Names of parts with their own ratios. Without names the worst part counts. */
  parts?: string[];
  /** Whether servers and generator may use all cores. Otherwise each has one. */
  isUnpinned?: boolean;
  /** Rounds that are not counted, 1 by default. */
  warmUps?: number;
  /** Set if the sides are nearly equal. All rounds then run twice, and each side starts first once. */
  isClose?: true;
  /** Set if `ours` runs a server of a checkout, so that two checkouts can be compared. */
  isOfCheckout?: true;
  /** Starts our side with the code in this folder. */
  ours(checkout: string): Promise<Side>;
  theirs(): Promise<Side>;
}

/** A row of the table in docs/performance.md. */
export interface Row {
  name: string;
  bound: string;
  aim: string;
}

export function rowsOf({ name, bound, aim, isLessBetter, parts = [""] }: Bench): Row[] {
  const limit = (value?: number) => (value === undefined ? "" : `${isLessBetter ? "≤ " : ""}${value}`);
  return parts.map((part) => ({ name: part ? `${name}, ${part}` : name, bound: limit(bound), aim: limit(aim) }));
}

/**
 * Runs the rounds and prints each, then the rows of the table. With another checkout, `theirs` is our side with that
 * checkout's code, and the medians of both are printed. The server that starts first can be slower for as long as it
 * runs, so the rounds of nearly equal sides run twice: ours starts first, then theirs.
 */
export async function compare(bench: Bench, other?: string): Promise<void> {
  if (other !== undefined && !bench.isOfCheckout) throw new Error("this benchmark cannot compare two checkouts");
  if (!bench.isUnpinned) pinGenerator();
  console.log(other === undefined ? bench.name : `${bench.name}: ours here ÷ ours in ${other}`);
  const startOurs = () => bench.ours(".");
  const startTheirs = () => (other === undefined ? bench.theirs() : bench.ours(other));
  const rounds: [Sample, Sample][] = [];
  const isClose = bench.isClose === true || other !== undefined;
  for (const isOursStartedFirst of isClose ? [true, false] : [true]) {
    if (isClose) console.log(`${isOursStartedFirst ? "ours" : "theirs"} starts first`);
    const early = await (isOursStartedFirst ? startOurs : startTheirs)();
    const late = await (isOursStartedFirst ? startTheirs : startOurs)();
    const [ours, theirs] = isOursStartedFirst ? [early, late] : [late, early];
    rounds.push(...(await runRounds(bench, ours, theirs)));
    await ours.stop();
    await theirs.stop();
  }

  const byCpu = rounds.flatMap(([a, b]) => (a.cpu && b.cpu ? b.cpu / a.cpu : []));
  if (byCpu.length > 0) console.log(`by the CPU time of the servers: ${show(median(byCpu))} (${spread(byCpu)})`);
  for (const [part, { name, bound, aim }] of rowsOf(bench).entries()) {
    const ratios = rounds.map((round) => ratiosOf(bench, round)[part] as number);
    const medians = [0, 1].map((side) => show(median(rounds.map((round) => round[side]?.values[part] as number))));
    if (bench.parts || other !== undefined) console.log(`medians: ours ${medians[0]}, theirs ${medians[1]}`);
    const ratio = `${show(median(ratios))} | ${spread(ratios)}`;
    console.log(
      other === undefined ? `| ${name} | ${ratio} | ${bound} | ${aim} |` : `ours here ÷ ours there: ${ratio}`,
    );
  }
}

/** Runs the rounds of two started sides, and prints each. */
async function runRounds(bench: Bench, ours: Side, theirs: Side): Promise<[Sample, Sample][]> {
  const rounds: [Sample, Sample][] = [];
  const warmUps = bench.warmUps ?? 1;
  for (let number = 1 - warmUps; number <= ROUNDS; number++) {
    // The order alternates, so that neither side always runs second.
    const isOursFirst = number % 2 !== 0;
    const first = await (isOursFirst ? ours : theirs).sample();
    const second = await (isOursFirst ? theirs : ours).sample();
    if (number < 1) continue;
    const round: [Sample, Sample] = isOursFirst ? [first, second] : [second, first];
    rounds.push(round);
    console.log(
      `round ${number}: ${ratiosOf(bench, round).map(show).join(", ")}; ours ${round[0].line}; theirs ${round[1].line}`,
    );
  }
  return rounds;
}

function ratiosOf({ parts, isLessBetter }: Bench, [ours, theirs]: [Sample, Sample]): number[] {
  const ratios = ours.values.map((value, part) => value / (theirs.values[part] as number));
  return parts ? ratios : [isLessBetter ? Math.max(...ratios) : Math.min(...ratios)];
}
