import type { Exchange } from "./exchange.ts";

/**
 * Cuts the answers of clients who do not read. All share one clock, which runs only while there are any: nearly all
 * answers are taken at once, and a timer for each would be a good part of what they cost.
 */
export function createUnread(limitMs: number) {
  /** By which tick each was written, the oldest first. */
  const written = new Map<Exchange, number>();
  const TICKS = 10;
  let tick = 0;
  let clock: NodeJS.Timeout | undefined;

  function onTick(): void {
    tick++;
    for (const [exchange, since] of written) {
      if (tick - since <= TICKS) break;
      written.delete(exchange);
      // On a connection of HTTP/1.1, answers stand in line.
      if (exchange.isInLine) written.set(exchange, tick);
      else exchange.cut();
    }
    if (written.size > 0) return;
    clearInterval(clock);
    clock = undefined;
  }

  return {
    /** An answer is written; it is cut if the exchange is not over `limitMs`, or a tenth more, from now. */
    add(exchange: Exchange): void {
      written.set(exchange, tick);
      clock ??= setInterval(onTick, limitMs / TICKS).unref();
    },
    /** The exchange is over. */
    delete(exchange: Exchange): void {
      written.delete(exchange);
    },
  };
}
