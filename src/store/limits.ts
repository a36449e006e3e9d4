/** How many appends one commit takes at most. */
export const COMMIT_ROWS = 1_000;
/** How much text it takes at most if it is more than one append, UTF-16 code units. */
export const MAX_BATCH_LENGTH = 4_000_000;
/**
 * How much text the states or the events of a page have at most if there is more than one, characters of JSON. As
 * protobuf no JSON takes more than 5.5 bytes a character (a list of numbers of one digit), so that every page fits into
 * the 4 MiB that a gRPC client takes if nobody says otherwise.
 */
export const MAX_PAGE_LENGTH = 700_000;
/** How many appends may wait; one more is refused, so that a stalled disk or server does not fill the memory. */
export const MAX_WAITING = 20_000;
/** How many searches run at once, each on a connection of its own. */
export const SEARCHES_AT_ONCE = 4;
/** How many pages of the log are read at once for auditors and watchers. */
export const READS_AT_ONCE = 2;

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
