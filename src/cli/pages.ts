/** Objects in one call. */
const PAGE = 1_000;

/** A part of a list, and how many objects the whole list has. */
interface Page<One> {
  result: One[];
  details?: { totalResult: bigint } | undefined;
}

/**
 * A list, page by page, by its offsets, and no more than `atMost` objects. Returns how many objects the whole list has.
 */
export async function* pagesOf<One>(
  call: (query: { offset: bigint; limit: number }) => Promise<Page<One>>,
  atMost = Number.POSITIVE_INFINITY,
): AsyncGenerator<One[], number> {
  for (let offset = 0; ; ) {
    const { result, details } = await call({ offset: BigInt(offset), limit: Math.min(PAGE, atMost - offset) });
    const total = Number(details?.totalResult ?? 0n);
    yield result;
    offset += result.length;
    if (result.length === 0 || offset >= Math.min(total, atMost)) return total;
  }
}

/** The number of objects to print without --limit and --all. */
export const DEFAULT_LIMIT = 100;
