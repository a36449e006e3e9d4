import type { OpenWire, Wire } from "./wire.ts";

/** The longest time without any answer, in milliseconds. */
const STALL_MS = 20_000;

export interface Load {
  /** Makes `count` calls, from number `from` on. */
  from: number;
  count: number;
  connections: number;
  /** The maximum number of concurrent calls on all connections. */
  inFlight: number;
  /** A fixed rate in calls per second. Without it, each answer starts the next call. */
  perSecond?: number;
}

export interface Outcome {
  calls: number;
  /** Calls per second, all of them OK. */
  rate: number;
  /** Milliseconds of each call. At a fixed rate they count from when the call was due. */
  times: Float64Array;
  /** CPU time of this process for each call, in microseconds. */
  ownCpu: number;
}

/** Makes the calls. Rejects with a summary of the answers unless all are OK. */
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

  // It may reject before it is awaited.
  finished.catch(() => {});

  const running = new Array<number>(connections).fill(0);

  /** Starts the next call on this connection. `times` has its start until the answer comes. */
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

    /** Starts the due calls, as far as connections are free. */
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
    // No further calls are due.
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
