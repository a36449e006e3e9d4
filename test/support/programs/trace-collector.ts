import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A span as OTLP has it in JSON, with its attributes by name. */
export interface CollectedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  status: { code?: number; message?: string };
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  milliseconds: number;
  resource: Record<string, unknown>;
}

export interface Collector {
  endpoint: string;
  /** The spans so far. */
  spans: CollectedSpan[];
  /** The bodies so far, as they were received. */
  bodies: string[];
  /** The spans, once there is one that passes, or after 10 s. */
  until(test: (span: CollectedSpan) => boolean): Promise<CollectedSpan[]>;
  close(): Promise<void>;
}

type Attributes = { key: string; value: Record<string, unknown> }[];
const byName = (attributes: Attributes) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.intValue ?? Object.values(value)[0]]));

/** Receives spans by OTLP over HTTP, in JSON. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.url !== "/v1/traces" || request.headers["content-type"] !== "application/json") {
      response.writeHead(404).end();
      return;
    }
    bodies.push(body);
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      for (const span of scopeSpans.flatMap((scope: { spans: unknown[] }) => scope.spans)) {
        const nanoseconds = BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano);
        spans.push({
          ...span,
          attributes: byName(span.attributes ?? []),
          links: span.links ?? [],
          milliseconds: Number(nanoseconds) / 1e6,
          resource: byName(resource.attributes),
        });
      }
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    bodies,
    async until(test) {
      for (let waited = 0; waited < 1_000 && !spans.some(test); waited++) await sleep(10);
      return spans;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
