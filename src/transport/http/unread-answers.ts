import type { Exchange } from "./exchange.ts";

/**
 * Aborts answers that clients do not read. All share one timer, because a timer for each would cost a good part of the
 * answer. It runs only while there are unread answers.
 */
export function createUnread(limitMs: number) {
  /** The tick at which each was written, oldest first. */
  const written = new Map<Exchange, number>();
  const TICKS = 10;
  let tick = 0;
  let clock: NodeJS.Timeout | undefined;

  function onTick(): void {
    tick++;
    for (const [exchange, since] of written) {
      if (tick - since <= TICKS) break;
      written.delete(exchange);
      // On an HTTP/1.1 connection it may wait for an earlier answer.
      if (exchange.isInLine) written.set(exchange, tick);
      else exchange.cut();
    }
    if (written.size > 0) return;
    clearInterval(clock);
    clock = undefined;
  }

  return {
    /** Aborts the written answer unless the exchange ends within `limitMs`, or a tenth more. */
    add(exchange: Exchange): void {
      written.set(exchange, tick);
      clock ??= setInterval(onTick, limitMs / TICKS).unref();
    },
    /** Stops the clock: the exchange is over. */
    delete(exchange: Exchange): void {
      written.delete(exchange);
    },
  };
}
