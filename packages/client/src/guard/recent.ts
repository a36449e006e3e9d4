/** A cache of at most so many entries, which drops those that were not read lately. */
export interface Recent<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): void;
  clear(): void;
}

/**
 * Creates a cache of two generations: when the young one has half the entries, the old one is dropped. A read of a young
 * entry costs one look-up and changes nothing, which a list in the order of use could not do.
 */
export function createRecent<Value>(maxEntries: number): Recent<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();

  function set(key: string, value: Value): void {
    if (maxEntries < 1) return;
    young.set(key, value);
    old.delete(key);
    if (young.size < Math.max(maxEntries / 2, 1)) return;
    old = young;
    young = new Map();
  }

  return {
    get(key) {
      const known = young.get(key);
      if (known !== undefined) return known;
      const aged = old.get(key);
      if (aged !== undefined) set(key, aged);
      return aged;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
    clear() {
      young.clear();
      old.clear();
    },
  };
}
