/** How many statements are under way at once; what comes meanwhile shares the next one. */
const MAX_IN_FLIGHT = 2;
/** How many keys one statement takes at most. */
const MAX_KEYS = 1_000;

/**
 * Answers questions in groups: those that come together, or while others are under way, share one statement. It begins
 * after all of them were asked, so that each sees what was answered before it. `find` resolves with what it has found,
 * by the place of its key, from 1 on.
 */
export function gather<Key, Found>(
  find: (keys: Key[]) => Promise<Map<number, Found>>,
  textOf: (key: Key) => string,
): (key: Key) => Promise<Found | undefined> {
  let waiting = new Map<string, { key: Key; found: PromiseWithResolvers<Found | undefined> }>();
  let inFlight = 0;
  let isWoken = false;

  function wake(): void {
    if (isWoken || waiting.size === 0) return;
    isWoken = true;
    setImmediate(() => {
      isWoken = false;
      while (inFlight < MAX_IN_FLIGHT && waiting.size > 0) void answer();
    });
  }

  async function answer(): Promise<void> {
    const entries = [...waiting];
    const group = entries.slice(0, MAX_KEYS);
    waiting = new Map(entries.slice(MAX_KEYS));
    inFlight++;
    try {
      const found = await find(group.map(([, { key }]) => key));
      for (const [index, [, one]] of group.entries()) one.found.resolve(found.get(index + 1));
    } catch (error) {
      for (const [, one] of group) one.found.reject(error);
    } finally {
      inFlight--;
      wake();
    }
  }

  return (key) => {
    const text = textOf(key);
    let one = waiting.get(text);
    if (!one) {
      one = { key, found: Promise.withResolvers() };
      waiting.set(text, one);
      wake();
    }
    return one.found.promise;
  };
}
