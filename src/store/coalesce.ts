/** How many groups are under way at once; what comes meanwhile shares the next one. */
const MAX_IN_FLIGHT = 2;
/** How many keys a group has at most. */
const MAX_KEYS = 1_000;

/**
 * Answers look-ups in groups: those that come together, or while others are under way, are found together. A group
 * begins after all of its look-ups, so each sees what was answered before it. `find` returns what it has found, each in
 * the place of its key. Keys of the same text are looked up once.
 */
export function coalesce<Key, Found>(
  find: (keys: readonly Key[]) => Promise<readonly (Found | undefined)[]>,
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
    const group = entries.slice(0, MAX_KEYS).map(([, one]) => one);
    waiting = new Map(entries.slice(MAX_KEYS));
    inFlight++;
    try {
      const found = await find(group.map(({ key }) => key));
      for (const [place, one] of group.entries()) one.found.resolve(found[place]);
    } catch (error) {
      for (const one of group) one.found.reject(error);
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
