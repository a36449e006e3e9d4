/** Objects in one call. */
const PAGE = 1_000;

/** A part of a list, and how many objects the whole list has. */
interface Page<One> {
  result: One[];
  details?: { totalResult: bigint } | undefined;
  /** Empty on the last page. Lists without cursors have none. */
  nextCursor?: string;
}

/**
 * A list, page by page, by its cursors or offsets, and no more than `atMost` objects. Returns how many objects the whole
 * list has. Only the answer without a cursor needs a total.
 */
export async function* pagesOf<One>(
  call: (query: { offset: bigint; limit: number }, cursor: string) => Promise<Page<One>>,
  atMost = Number.POSITIVE_INFINITY,
): AsyncGenerator<One[], number> {
  let total = 0;
  for (let listed = 0, cursor = ""; ; ) {
    const query = { offset: cursor === "" ? BigInt(listed) : 0n, limit: Math.min(PAGE, atMost - listed) };
    const { result, details, nextCursor } = await call(query, cursor);
    if (cursor === "") total = Number(details?.totalResult ?? 0n);
    yield result;
    listed += result.length;
    cursor = nextCursor ?? "";
    const isLast = nextCursor === undefined ? listed >= total || result.length === 0 : nextCursor === "";
    if (isLast || listed >= atMost) return total;
  }
}

/** The number of objects to print without --limit and --all. */
export const DEFAULT_LIMIT = 100;
