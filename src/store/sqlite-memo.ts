/** How many answers are kept; the next one begins anew. */
const MAX_KEPT = 1_000;

/**
 * Asks again only if something may have changed since: somebody has committed, or a later turn of the event loop than the
 * last has not looked yet whether anybody has. What is asked within one turn has come before the first of it was answered,
 * so all of it may be answered alike. `dataVersion` is that of a connection that never writes itself.
 */
export function createMemo<Question, Found>({
  find,
  textOf,
  dataVersion,
}: {
  find: (question: Question) => Found;
  textOf: (question: Question) => string;
  dataVersion: () => number;
}): (question: Question) => Found {
  const kept = new Map<string, Found>();
  let version: number | undefined;
  let isFresh = false;

  function refresh(): void {
    const now = dataVersion();
    if (now !== version || kept.size >= MAX_KEPT) kept.clear();
    version = now;
    isFresh = true;
    // It comes before anything else is read from the network.
    process.nextTick(() => {
      isFresh = false;
    });
  }

  return (question) => {
    if (!isFresh) refresh();
    const text = textOf(question);
    let found = kept.get(text);
    if (found === undefined) {
      found = find(question);
      if (found !== undefined) kept.set(text, found);
    }
    return found;
  };
}
