/**
 * Runs work so much at a time, and the rest in the order of its coming. What its signal aborts before its turn is not
 * run.
 */
export function inTurns<Arg, Result>(
  atOnce: number,
  work: (arg: Arg) => Promise<Result>,
): (arg: Arg, signal: AbortSignal) => Promise<Result> {
  const waiting = new Set<() => void>();
  let running = 0;

  function turn(signal: AbortSignal): Promise<void> {
    if (running < atOnce) {
      running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const take = () => {
        waiting.delete(take);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        waiting.delete(take);
        reject(signal.reason);
      };
      waiting.add(take);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  return async (arg, signal) => {
    signal.throwIfAborted();
    await turn(signal);
    try {
      return await work(arg);
    } finally {
      const [next] = waiting;
      if (next) next();
      else running--;
    }
  };
}

/**
 * A pause for who does much that nobody waits for: each gets on in a turn of the event loop of his own, so that however
 * many they are, everybody else is served between any two of them.
 */
export function createBreather(): () => Promise<void> {
  const waiting: (() => void)[] = [];
  function next(): void {
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(next);
  }
  return () =>
    new Promise((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(next);
    });
}
