import type { OpenWire, Wire } from "./wire.ts";

/** How long no call at all may be answered, milliseconds. */
const STALL_MS = 20_000;

export interface Load {
  /** The calls from number `from` on are made, so many. */
  from: number;
  count: number;
  connections: number;
  /** How many calls are under way at most, on all connections together. */
  inFlight: number;
  /** At a fixed rate, whatever the server makes of it; left out, each answer begins the next call. */
  perSecond?: number;
}

export interface Outcome {
  calls: number;
  /** Calls a second, all of them OK. */
  rate: number;
  /** Milliseconds of each call; at a fixed rate from the moment when it should have begun. */
  times: Float64Array;
  /** What a call cost this process, microseconds of CPU. */
  ownCpu: number;
}

/** Makes the calls. Rejects, with what the answers were, unless every one is OK. */
export async function load(open: OpenWire, { from, count, connections, inFlight, perSecond }: Load): Promise<Outcome> {
  const share = Math.ceil(inFlight / connections);
  const times = new Float64Array(count);
  const problems = new Map<string, number>();
  const wires: Wire[] = [];
  let begun = 0;
  let answered = 0;
  let finish: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const finished = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });

  // It may be so before anybody waits for it.
  finished.catch(() => {});

  const running = new Array<number>(connections).fill(0);

  /** Begins the next call on this connection. Its time is kept as it began until it is answered. */
  function begin(index: number, at: number): void {
    running[index]!++;
    times[begun] = at;
    (wires[index] as Wire).begin(from + begun++);
  }

  const isFree = (index: number) => running[index]! < share && (wires[index] as Wire).isFree();

  function leastBusy(): number | undefined {
    let found: number | undefined;
    for (let index = 0; index < connections; index++) {
      if (isFree(index) && (found === undefined || running[index]! < running[found]!)) found = index;
    }
    return found;
  }

  function onAnswer(index: number, call: number, problem: string | undefined): void {
    running[index]!--;
    const now = performance.now();
    times[call - from] = now - times[call - from]!;
    if (problem !== undefined) problems.set(problem, (problems.get(problem) ?? 0) + 1);
    if (++answered === count) finish();
    else if (perSecond === undefined) while (begun < count && isFree(index)) begin(index, now);
  }

  try {
    for (let index = 0; index < connections; index++) {
      wires.push(await open({ onAnswer: (call, problem) => onAnswer(index, call, problem), onEnd: fail }));
    }
    const cpu = process.cpuUsage();
    const started = performance.now();

    /** Begins what is due, as far as there is room. */
    function pump(rate: number): void {
      const now = performance.now();
      for (;;) {
        const due = started + (1_000 * begun) / rate;
        const index = due <= now && begun < count ? leastBusy() : undefined;
        if (index === undefined) break;
        begin(index, due);
      }
      for (const wire of wires) wire.flush();
      if (begun < count && perSecond !== undefined) setImmediate(pump, rate);
    }
    pump(perSecond ?? Number.POSITIVE_INFINITY);

    await withoutStall(finished, () => answered);
    const milliseconds = performance.now() - started;
    const { user, system } = process.cpuUsage(cpu);
    if (problems.size > 0) throw new Error(`not every answer was OK: ${describe(problems)} of ${count}`);
    return { calls: count, rate: (1_000 * count) / milliseconds, times, ownCpu: (user + system) / count };
  } finally {
    // Nothing is due any more.
    begun = count;
    for (const wire of wires) wire.close();
  }
}

async function withoutStall(finished: Promise<void>, progress: () => number): Promise<void> {
  let seen = progress();
  let stop: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    stop = setInterval(() => {
      if (progress() === seen) reject(new Error(`no answer for ${STALL_MS / 1_000} s, after ${seen}`));
      seen = progress();
    }, STALL_MS);
  });
  try {
    await Promise.race([finished, stalled]);
  } finally {
    clearInterval(stop);
  }
}

function describe(problems: Map<string, number>): string {
  return [...problems].map(([problem, times]) => `${times} times ${problem}`).join(", ");
}
