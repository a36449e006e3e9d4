/** The maximum number of keys that are counted apart in one window, and of values of a tally. The rest share one. */
const MAX_KEYS = 1_000;
const OTHERS = "others";

/** How often each text came. */
export interface Tally {
  add(text: string): void;
  /** The counts, the highest first, of at most this many texts. */
  top(count: number): Record<string, number>;
  readonly size: number;
}

export interface Burst {
  count: number;
  /** What was said of each, by the name of the detail. */
  tallies: Record<string, Tally>;
}

/**
 * Counts what happens too often for a line each. `count` returns whether this one may have a line of its own: the first
 * `own` of a key in a window may. At the end of a window `onBurst` gets each key that had more. `close` ends the window.
 */
export function createBursts<Detail extends string = never>(parts: {
  own: number;
  windowMs: number;
  onBurst(key: string, burst: Burst): void;
}) {
  let bursts = new Map<string, Burst>();
  let timer: NodeJS.Timeout | undefined;

  function close(): void {
    clearTimeout(timer);
    timer = undefined;
    const ended = bursts;
    bursts = new Map();
    for (const [key, burst] of ended) if (burst.count > parts.own) parts.onBurst(key, burst);
  }

  return {
    count(key: string, details: Partial<Record<Detail, string>> = {}): boolean {
      timer ??= setTimeout(close, parts.windowMs).unref();
      const name = bursts.has(key) || bursts.size < MAX_KEYS ? key : OTHERS;
      let burst = bursts.get(name);
      if (!burst) {
        burst = { count: 0, tallies: {} };
        bursts.set(name, burst);
      }
      for (const [detail, text] of Object.entries<string | undefined>(details)) {
        burst.tallies[detail] ??= createTally();
        if (text !== undefined) burst.tallies[detail].add(text);
      }
      return ++burst.count <= parts.own;
    },
    close,
  };
}

function createTally(): Tally {
  const counts = new Map<string, number>();
  return {
    add(text) {
      const name = counts.has(text) || counts.size < MAX_KEYS ? text : OTHERS;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    },
    top: (count) => Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a).slice(0, count)),
    get size() {
      return counts.size;
    },
  };
}
