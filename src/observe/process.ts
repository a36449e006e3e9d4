import { readdirSync } from "node:fs";
import { constants, monitorEventLoopDelay, PerformanceObserver, performance } from "node:perf_hooks";
import type { Meters } from "./meters.ts";

/** How often the delay of the event loop is sampled, milliseconds. */
const RESOLUTION_MS = 10;
const PERCENTILES = [50, 90, 99];
const GC_TYPES = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);
const GC_BUCKETS = [0.001, 0.01, 0.1, 1, 2, 5];

/** Metrics of the process and of Node, which are measured from `begin` to `end`. */
export function observeProcess(meters: Meters, about: { version: string; store: string }) {
  meters.gauge({
    name: "userlock_build_info",
    help: "always 1; the labels tell what runs",
    labels: ["version", "node", "store"],
    read: () => [[1, about.version, process.versions.node, about.store]],
  });

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  for (const [place, percent] of PERCENTILES.entries()) {
    meters.gauge({
      name: `nodejs_eventloop_delay_p${percent}_seconds`,
      help: `how late the event loop runs timers since the last scrape, percentile ${percent}`,
      read() {
        // A sample includes the time between two samples. Without a sample the percentile is 0.
        const late = Math.max(delay.percentile(percent) / 1e9 - RESOLUTION_MS / 1_000, 0);
        if (place === PERCENTILES.length - 1) delay.reset();
        return [[late]];
      },
    });
  }
  let before = performance.eventLoopUtilization();
  meters.gauge({
    name: "nodejs_eventloop_utilization_ratio",
    help: "how busy the event loop is, 0 to 1, since the last scrape",
    read() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return [[utilization]];
    },
  });
  const collected = meters.histogram({
    name: "nodejs_gc_duration_seconds",
    help: "time of a garbage collection",
    labels: ["type"],
    buckets: GC_BUCKETS,
  });
  const collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { duration, detail } = entry as unknown as { duration: number; detail: { kind: number } };
      const type = GC_TYPES.get(detail.kind);
      if (type) collected.labels(type).observe(duration / 1_000);
    }
  });
  meters.gauge({
    name: "nodejs_heap_size_used_bytes",
    help: "used memory of the heap of the main thread",
    read: () => [[process.memoryUsage().heapUsed]],
  });
  meters.gauge({
    name: "process_resident_memory_bytes",
    help: "resident memory of the process",
    read: () => [[process.memoryUsage.rss()]],
  });
  meters.readCounter({
    name: "process_cpu_seconds_total",
    help: "CPU time of all threads of the process",
    read() {
      const { user, system } = process.cpuUsage();
      return [[(user + system) / 1e6]];
    },
  });
  meters.gauge({
    name: "process_start_time_seconds",
    help: "when the process started, seconds since the Unix epoch",
    read: () => [[performance.timeOrigin / 1_000]],
  });
  meters.gauge({
    name: "process_open_fds",
    help: "open file descriptors of the process, on Linux",
    read() {
      try {
        return [[readdirSync("/proc/self/fd").length]];
      } catch {
        return [];
      }
    },
  });

  return {
    begin() {
      delay.enable();
      collections.observe({ entryTypes: ["gc"] });
    },
    end() {
      delay.disable();
      collections.disconnect();
    },
  };
}
