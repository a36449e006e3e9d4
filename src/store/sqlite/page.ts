import { MAX_PAGE_LENGTH } from "../limits.ts";

export interface Page<Row> {
  taken: Row[];
  /** Whether there was a row that did not fit. */
  isCut: boolean;
}

/** Takes the first row, and more as long as they fit on the page with it. It reads one that does not fit, and no more. */
export function takePage<Row>(rows: Iterable<Row>, lengthOf: (row: Row) => number): Page<Row> {
  const taken: Row[] = [];
  let length = 0;
  for (const row of rows) {
    length += lengthOf(row);
    if (taken.length > 0 && length > MAX_PAGE_LENGTH) return { taken, isCut: true };
    taken.push(row);
  }
  return { taken, isCut: false };
}
