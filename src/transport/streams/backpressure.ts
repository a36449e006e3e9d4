import type { Writable } from "node:stream";

/** The default maximum of an HTTP/2 frame (RFC 9113, section 4.2), bytes. */
const PIECE_BYTES = 16 * 1024;
/** The response gets one piece to write and one to wait. What waits in it becomes one write. */
const GIVEN_BYTES = 2 * PIECE_BYTES;

export type Outflow = ReturnType<typeof createOutflow>;

/**
 * The content of a response. Node reports a write only when all of it is done, and merges waiting writes. So content is
 * passed on in pieces, which show that a slow client makes progress.
 */
export function createOutflow(out: Writable) {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  /** The number of pieces passed on, and of those written. */
  let handed = 0;
  let taken = 0;
  const whenDrained = new Set<() => void>();
  let onProgress = () => {};
  out.on("close", onDrained);
  out.on("close", () => onProgress());

  function onDrained(): void {
    for (const listener of whenDrained) listener();
  }

  function onTaken(): void {
    taken++;
    handOn(GIVEN_BYTES);
    onProgress();
    if (taken === handed) onDrained();
  }

  // No cork, because Node ends an HTTP/1.1 response before it writes corked data.
  function hand(piece: Uint8Array): void {
    handed++;
    out.write(piece, onTaken);
  }

  function handOn(givenBytes: number): void {
    while (waiting.length > 0 && out.writableLength < givenBytes && !out.destroyed) {
      const piece = waiting.shift() as Uint8Array;
      waitingBytes -= piece.byteLength;
      hand(piece);
    }
  }

  return {
    /** The number of unread bytes. */
    get unread(): number {
      return out.writableLength + waitingBytes;
    },
    get isGone(): boolean {
      return out.destroyed;
    },
    /** Writes bytes. Returns false if much is unread: a caller that can wait should wait for `drained`. */
    write(bytes: Uint8Array): boolean {
      const isSmall = bytes.byteLength <= PIECE_BYTES && out.writableLength < GIVEN_BYTES;
      if (isSmall && waiting.length === 0) {
        hand(bytes);
        return true;
      }
      for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) waiting.push(bytes.subarray(at, at + PIECE_BYTES));
      waitingBytes += bytes.byteLength;
      handOn(GIVEN_BYTES);
      return waiting.length === 0;
    },
    /** Resolves with true when all is read or the client is gone, with false after `stallMs` without progress. */
    drained(stallMs: number): Promise<boolean> {
      return new Promise((resolve) => {
        if (taken === handed || out.destroyed) return resolve(true);
        let seen = taken;
        let since = performance.now();
        const settle = (result: boolean) => {
          clearInterval(timer);
          whenDrained.delete(onEnd);
          resolve(result);
        };
        const onEnd = () => settle(true);
        const timer = setInterval(() => {
          if (taken > seen) since = performance.now();
          else if (performance.now() - since >= stallMs) settle(false);
          seen = taken;
        }, stallMs / 10);
        whenDrained.add(onEnd);
      });
    },
    /** Calls the listener for each written piece and at the end. */
    onTaken(listener: () => void): void {
      onProgress = listener;
    },
    /** Passes on everything, so that the response can be ended. */
    flush(): void {
      handOn(Number.POSITIVE_INFINITY);
    },
  };
}
