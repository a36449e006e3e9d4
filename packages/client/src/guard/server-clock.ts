/** The server's time, whatever the clock of this machine says. */
export interface ServerClock {
  /** Milliseconds since the Unix epoch. Until the first answer it is this machine's time. */
  now(): number;
  /** Sets the clock by the Date header of an answer that has just come. */
  observe(headers: Headers): void;
}

/**
 * Creates a clock. It is at most a second behind the server, because a Date header has whole seconds, and never ahead
 * unless the server's clock was set back since the last answer.
 */
export function createServerClock(): ServerClock {
  /** What to add to the monotonic clock, which no one sets. */
  let offset: number | undefined;
  return {
    now: () => (offset === undefined ? Date.now() : performance.now() + offset),
    observe(headers) {
      const date = Date.parse(headers.get("date") ?? "");
      if (!Number.isNaN(date)) offset = date - performance.now();
    },
  };
}
