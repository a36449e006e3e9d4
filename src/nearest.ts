/** How many letters a misspelt word may have wrong. */
const MAX_DISTANCE = 2;

/**
 * How many letters must be added, removed, replaced or swapped to turn a word into another one, in any case of letters.
 * Infinity if more than two.
 */
export function distance(one: string, other: string): number {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  if (a === b) return 0;
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return Number.POSITIVE_INFINITY;
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [before, last] = [last, row];
  }
  const found = last[b.length] ?? 0;
  // Of a short word, two letters are most of it.
  return found <= Math.min(MAX_DISTANCE, Math.max(1, Math.floor(b.length / 3))) ? found : Number.POSITIVE_INFINITY;
}
