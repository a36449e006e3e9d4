import { MAX_LOOKUPS } from "./limits.ts";
import { StoreUnavailable } from "./port.ts";

/** The number of concurrent groups. Later look-ups share the next one. */
const MAX_IN_FLIGHT = 2;
/** The maximum number of keys of a group. */
const MAX_KEYS = 1_000;

/**
 * Combines concurrent look-ups into groups. A group starts after all of its look-ups, so each sees what was answered
 * before it. `find` returns the results in the order of the keys. Equal keys are looked up once. Rejects with
 * STORE_UNAVAILABLE while too many callers wait: one that gave up at its deadline still counts.
 */
export function coalesce<Key, Found>(
  find: (keys: readonly Key[]) => Promise<readonly (Found | undefined)[]>,
  textOf: (key: Key) => string,
): (key: Key) => Promise<Found | undefined> {
  let waiting = new Map<string, { key: Key; callers: number; found: PromiseWithResolvers<Found | undefined> }>();
  let allCallers = 0;
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
      for (const { callers } of group) allCallers -= callers;
      inFlight--;
      wake();
    }
  }

  return (key) => {
    if (allCallers >= MAX_LOOKUPS) return Promise.reject(new StoreUnavailable("too many look-ups are waiting"));
    const text = textOf(key);
    let one = waiting.get(text);
    if (!one) {
      one = { key, callers: 0, found: Promise.withResolvers() };
      waiting.set(text, one);
      wake();
    }
    one.callers++;
    allCallers++;
    return one.found.promise;
  };
}
