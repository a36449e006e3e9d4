import { compressionGzip } from "@connectrpc/connect-node";

/** Messages shorter than this, in bytes, are not compressed, whoever accepts it. */
export const COMPRESS_FROM_BYTES = 1_024;

export function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  return compressionGzip.compress(bytes as Uint8Array<ArrayBuffer>);
}
