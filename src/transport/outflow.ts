import type { Writable } from "node:stream";

/**
 * What the response holds at most, bytes: as much as a client of HTTP/2 lets through, if it says nothing else, before it
 * has taken some (RFC 9113, section 6.9.2); in pieces of a frame each (section 4.2).
 */
const WINDOW_BYTES = 64 * 1024;
const PIECE_BYTES = 16 * 1024;

/**
 * The content of a response on its way out. Node tells of a write only when all of it is taken, and makes one of all
 * that waits; so it is handed on in pieces, by which can be seen that a slow client takes something.
 */
export interface Outflow {
  /** Bytes that are not taken yet. */
  readonly unread: number;
  readonly isGone: boolean;
  write(bytes: Uint8Array): void;
  /** Resolves when all is taken, or nobody is there to take it; with false once nothing was taken for `stallMs`. */
  drained(stallMs: number): Promise<boolean>;
  /** Hands on all that waits, so that the response can be ended. */
  flush(): void;
}

export function createOutflow(out: Writable): Outflow {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  /** Pieces that were handed on, and of these those that were taken. */
  let handed = 0;
  let taken = 0;
  const whenDrained = new Set<() => void>();
  out.on("close", onDrained);

  function onDrained(): void {
    for (const listener of whenDrained) listener();
  }

  function onTaken(): void {
    taken++;
    handOn(WINDOW_BYTES);
    if (taken === handed) onDrained();
  }

  // Without a cork: Node ends a response of HTTP/1.1 before it writes what is corked.
  function hand(piece: Uint8Array): void {
    handed++;
    out.write(piece, onTaken);
  }

  function handOn(windowBytes: number): void {
    if (waiting.length === 0 || out.destroyed) return;
    let pieces = 0;
    while (pieces < waiting.length && out.writableLength < windowBytes) {
      const piece = waiting[pieces++] as Uint8Array;
      waitingBytes -= piece.byteLength;
      hand(piece);
    }
    waiting.splice(0, pieces);
  }

  return {
    get unread() {
      return out.writableLength + waitingBytes;
    },
    get isGone() {
      return out.destroyed;
    },
    write(bytes) {
      if (waiting.length === 0 && bytes.byteLength <= PIECE_BYTES && out.writableLength < WINDOW_BYTES) {
        return hand(bytes);
      }
      for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) waiting.push(bytes.subarray(at, at + PIECE_BYTES));
      waitingBytes += bytes.byteLength;
      handOn(WINDOW_BYTES);
    },
    drained(stallMs) {
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
    flush() {
      handOn(Number.POSITIVE_INFINITY);
    },
  };
}
