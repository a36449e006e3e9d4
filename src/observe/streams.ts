import type { Meters } from "./meters.ts";
import type { Observers } from "./observers.ts";

const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Of a stream's messages, the lag of one in so many is measured: of all it would cost a tenth of their delivery. */
const SAMPLED = 8;

/** Metrics of event streams, and of the log that they follow. The clock is that of the events. */
export function observeStreams(meters: Meters, clock: () => number): Pick<Observers, "watch" | "followed"> {
  let open = 0;
  let messages = 0;
  /** When a read last reached the end of the log. */
  let atEnd = 0;
  meters.gauge({ name: "userlock_watchers", help: "open streams of events and of locks", read: () => [[open]] });
  meters.readCounter({
    name: "userlock_watch_messages_total",
    help: "events that were sent to streams",
    read: () => [[messages]],
  });
  const cut = meters.counter({
    name: "userlock_watch_cut_total",
    help: "event streams that the server ended, by the reason of the error",
    labels: ["reason"],
    series: [["WATCHER_TOO_SLOW"], ["TOKEN_INVALID"], ["SHUTTING_DOWN"]],
  });
  const lag = meters
    .histogram({
      name: "userlock_watch_lag_seconds",
      help: `time from a change to its message on a stream, of one message in ${SAMPLED}; catching up does not count`,
      buckets: LAG_BUCKETS,
    })
    .labels();
  meters.gauge({
    name: "userlock_log_read_age_seconds",
    help: "time since a read reached the end of the log, at most about 1 while the log can be read; 0 without streams",
    read: () => [[open === 0 ? 0 : (performance.now() - atEnd) / 1_000]],
  });

  return {
    followed: (store) => ({
      ...store,
      async head() {
        const cursor = await store.head();
        atEnd = performance.now();
        return cursor;
      },
      async read(query, signal) {
        const page = await store.read(query, signal);
        if (!page.hasMore) atEnd = performance.now();
        return page;
      },
    }),
    watch: (watch) => async (question, watcher) => {
      const began = clock();
      let sent = 0;
      if (open++ === 0) atEnd = performance.now();
      try {
        return await watch(question, {
          ...watcher,
          send(event) {
            if (!watcher.send(event)) return false;
            messages++;
            if (event.time >= began && sent++ % SAMPLED === 0) lag.observe(Math.max(clock() - event.time, 0) / 1e6);
            return true;
          },
        });
      } catch (error) {
        const { reason = "INTERNAL" } = error as { reason?: string };
        if (reason !== "CANCELLED") cut.labels(reason).inc();
        throw error;
      } finally {
        open--;
      }
    },
  };
}
