/** The maximum number of appends in one commit. */
export const COMMIT_ROWS = 1_000;
/** The maximum text of a commit with more than one append, UTF-16 code units. */
export const MAX_BATCH_LENGTH = 4_000_000;
/**
 * The maximum text of a page's states or events with more than one, characters of JSON. JSON takes at most 5.5 bytes a
 * character as Protobuf (a list of one-digit numbers), so every page fits into gRPC's default limit of 4 MiB.
 */
export const MAX_PAGE_LENGTH = 700_000;
/** The maximum number of waiting appends. It bounds memory while a disk or server stalls. */
export const MAX_WAITING = 20_000;
/** The maximum number of callers that wait for look-ups of one kind, such as those of tokens. */
export const MAX_LOOKUPS = 20_000;
/** The number of concurrent searches, each on its own connection. */
export const SEARCHES_AT_ONCE = 4;
/** The number of concurrent log reads of auditors and watchers. */
export const READS_AT_ONCE = 2;

export interface Page<Row> {
  taken: Row[];
  /** Whether a row did not fit. */
  isCut: boolean;
}

/** Takes the first row and all next rows that fit on the page. Reads at most one row that does not fit. */
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
