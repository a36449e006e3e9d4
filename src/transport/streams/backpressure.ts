import type { Writable } from "node:stream";

/** A frame of HTTP/2, as long as it may be if nobody says otherwise (RFC 9113, section 4.2), bytes. */
const PIECE_BYTES = 16 * 1024;
/** The response is given one piece that it writes, and one that waits: what waits in it becomes one write. */
const GIVEN_BYTES = 2 * PIECE_BYTES;

export type Outflow = ReturnType<typeof createOutflow>;

/**
 * The content of a response on its way out. Node tells of a write only when all of it is taken, and makes one of all
 * that waits; so it is handed on in pieces, by which can be seen that a slow client takes something.
 */
export function createOutflow(out: Writable) {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  /** Pieces that were handed on, and of these those that were taken. */
  let handed = 0;
  let taken = 0;
  const whenDrained = new Set<() => void>();
  let tell = () => {};
  out.on("close", onDrained);
  out.on("close", () => tell());

  function onDrained(): void {
    for (const listener of whenDrained) listener();
  }

  function onTaken(): void {
    taken++;
    handOn(GIVEN_BYTES);
    tell();
    if (taken === handed) onDrained();
  }

  // Without a cork: Node ends a response of HTTP/1.1 before it writes what is corked.
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
    /** Bytes that are not taken yet. */
    get unread(): number {
      return out.writableLength + waitingBytes;
    },
    get isGone(): boolean {
      return out.destroyed;
    },
    /** False if much is unread by now: a caller that can wait waits until it is drained. */
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
    /** Resolves when all is taken, or nobody is there to take it; with false once nothing was taken for `stallMs`. */
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
    /** Tells the listener of each piece that is taken, and of the end. */
    onTaken(listener: () => void): void {
      tell = listener;
    },
    /** Hands on all that waits, so that the response can be ended. */
    flush(): void {
      handOn(Number.POSITIVE_INFINITY);
    },
  };
}
