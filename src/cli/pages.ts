/** Objects of one call. */
export const PAGE = 1_000;

/** A list, page by page, by its offsets. The call resolves with a page, and with how many objects there are in all. */
export async function* pagesOf<One>(
  call: (query: {
    offset: bigint;
    limit: number;
  }) => Promise<{ result: One[]; details?: { totalResult: bigint } | undefined }>,
): AsyncGenerator<One[]> {
  for (let offset = 0n; ; ) {
    const { result, details } = await call({ offset, limit: PAGE });
    yield result;
    offset += BigInt(result.length);
    if (result.length === 0 || offset >= (details?.totalResult ?? 0n)) return;
  }
}
