import { setTimeout as sleep } from "node:timers/promises";
import type { Meters } from "./meters.ts";
import type { Observers, Serving } from "./observers.ts";

const DURATION_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10];
const ROWS_BUCKETS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

/** How long a scrape waits for the probe, milliseconds. A store that hangs must not stop all metrics. */
const PROBE_MS = 2_000;

/** Metrics of the store, whose kind is a label, and whether it can be used. */
export function observeStore(meters: Meters, kind: string): Required<Pick<Observers, "store" | "onServing">> {
  let server: Serving | undefined;
  const usage = () => server?.store.usage() ?? { waiting: 0, pools: [] };
  meters.gauge({
    name: "userlock_ready",
    help: "1 if calls can be served, as `/readyz` says, otherwise 0",
    async read() {
      const isReady = await Promise.race([server?.isReady(), sleep(PROBE_MS, false, { ref: false })]);
      return [[isReady ? 1 : 0]];
    },
  });
  const duration = meters
    .histogram({
      name: "userlock_store_commit_duration_seconds",
      help: "time of a commit, failed ones among them",
      labels: ["store"],
      buckets: DURATION_BUCKETS,
    })
    .labels(kind);
  const rows = meters
    .histogram({
      name: "userlock_store_commit_rows",
      help: "appends that share a commit",
      labels: ["store"],
      buckets: ROWS_BUCKETS,
    })
    .labels(kind);
  meters.gauge({
    name: "userlock_store_waiting",
    help: "appends without a result",
    read: () => [[usage().waiting]],
  });
  const retries = meters.counter({
    name: "userlock_store_retries_total",
    help: "commits that were tried again, on PostgreSQL",
    labels: ["trouble"],
    series: [["connection"], ["collision"], ["timeout"]],
  });
  meters.gauge({
    name: "db_client_connection_count",
    help: "open connections to PostgreSQL",
    labels: ["pool", "state"],
    read: () =>
      usage().pools.flatMap(({ name, used, idle }) => [[used, name, "used"] as const, [idle, name, "idle"] as const]),
  });
  meters.gauge({
    name: "db_client_connection_pending_requests",
    help: "statements that wait for a connection to PostgreSQL",
    labels: ["pool"],
    read: () => usage().pools.map(({ name, pending }) => [pending, name] as const),
  });

  return {
    store: {
      committed(count, milliseconds) {
        duration.observe(milliseconds / 1_000);
        rows.observe(count);
      },
      retried: (trouble) => retries.labels(trouble).inc(),
    },
    onServing(serving) {
      server = serving;
    },
  };
}
