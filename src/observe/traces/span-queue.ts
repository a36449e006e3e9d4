import { ExportResultCode } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "../../log.ts";

/** How many spans wait for the collector. Further ones are dropped. */
const MAX_WAITING = 2_048;
const MAX_BATCH = 512;
const DELAY_MS = 1_000;
/** How long the collector may take for a batch, retries included. A stop waits as long. */
const EXPORT_MS = 3_000;
/** Failures are logged once in this time. */
const LOG_EACH_MS = 60_000;

export const EXPORT_FAILED = "spans could not be sent to the collector";

/** Queues ended spans for the exporter. It drops spans rather than wait for a collector, or fill the memory. */
export function createSpanQueue(exporter: SpanExporter): BatchSpanProcessor {
  return new BatchSpanProcessor({
    exporter,
    maxQueueSize: MAX_WAITING,
    maxExportBatchSize: MAX_BATCH,
    scheduledDelayMillis: DELAY_MS,
    exportTimeoutMillis: EXPORT_MS + 1_000,
  });
}

/**
 * Sends spans to a collector by OTLP over HTTP, in JSON (https://opentelemetry.io/docs/specs/otlp/). Logs failures at
 * most once a minute. Headers with secrets come from OTEL_EXPORTER_OTLP_HEADERS, which the SDK reads by itself.
 */
export function createExporter(endpoint: string, log: Pick<Logger, "warn">): SpanExporter {
  const url = `${endpoint.replace(/\/$/, "")}/v1/traces`;
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: EXPORT_MS, concurrencyLimit: 5 });
  let logged = Number.NEGATIVE_INFINITY;
  let lost = 0;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== ExportResultCode.SUCCESS) {
          lost += spans.length;
          if (performance.now() - logged > LOG_EACH_MS) {
            logged = performance.now();
            log.warn({ endpoint, spans: lost, reason: result.error?.message }, EXPORT_FAILED);
            lost = 0;
          }
        }
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}
