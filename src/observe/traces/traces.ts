import { createHash } from "node:crypto";
import {
  type Attributes,
  defaultTextMapSetter,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import type { ObserveFetch } from "../../auth/key-set.ts";
import type { Logger } from "../../log.ts";
import type { ObservedCall } from "../../rpc/observer.ts";
import type { StoreObserver } from "../../store/port.ts";
import { fullNameOf, NAMES, OTHER } from "../names.ts";
import type { Observers } from "../observers.ts";
import { createExporter, createSpanQueue } from "./span-queue.ts";

/** The errors of gRPC that are the server's. Connect counts every error. */
const SERVER_ERRORS: readonly Code[] = [
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
];
/** The maximum number of links of a commit's span, as in the SDK. */
const MAX_LINKS = 128;
const MAX_SUBJECTS = 1_000;

const propagator = new W3CTraceContextPropagator();
const fieldOf = {
  get: ({ traceparent, tracestate }: ObservedCall, name: string) => (name === "traceparent" ? traceparent : tracestate),
  keys: () => ["traceparent", "tracestate"],
};

/** Sends the spans of calls and commits to a collector. `close` sends the last ones, within 4 s. */
export function startTraces(
  settings: { endpoint: string; serviceName: string; ratio: number },
  about: { version: string; store: string },
  log: Pick<Logger, "warn">,
) {
  return createTraces(settings, about, createExporter(settings.endpoint, log));
}

/**
 * Makes spans: one for each call, and one for each commit of the store, with links to the calls that it serves. A call
 * is sampled if its caller's span is, or by the ratio if it has none; a commit if one of its calls is. No attribute has
 * a text of the request.
 */
export function createTraces(
  { serviceName, ratio }: { serviceName: string; ratio: number },
  about: { version: string; store: string },
  exporter: SpanExporter,
): Pick<Observers, "calls"> & { store: StoreObserver; fetchesKeys: ObserveFetch; close(): Promise<void> } {
  const byCaller = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
  const sampler: Sampler = {
    shouldSample(...asked) {
      const [links] = asked.slice(5) as [Link[]];
      if (links.length > 0) return { decision: SamplingDecision.RECORD_AND_SAMPLED };
      return byCaller.shouldSample(...asked);
    },
    toString: () => `userlock(${byCaller})`,
  };
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": serviceName, "service.version": about.version }),
    sampler,
    spanProcessors: [createSpanQueue(exporter)],
  });
  const tracer = provider.getTracer("userlock", about.version);
  const spans = new WeakMap<ObservedCall, Span>();
  /** The sampled calls that run, by request id, which the store's appends carry, too. */
  const running = new Map<string, SpanContext>();
  const pseudonyms = new Map<string, string>();

  /** The same for the same subject, without naming it. */
  function pseudonymOf(subject: string): string {
    const known = pseudonyms.get(subject);
    if (known !== undefined) return known;
    if (pseudonyms.size >= MAX_SUBJECTS) pseudonyms.clear();
    const pseudonym = createHash("sha256").update(subject).digest("hex").slice(0, 16);
    pseudonyms.set(subject, pseudonym);
    return pseudonym;
  }

  return {
    calls: [
      {
        began(call) {
          const parent =
            call.traceparent === undefined ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, call, fieldOf);
          const span = tracer.startSpan(OTHER, { kind: SpanKind.SERVER }, parent);
          const context = span.spanContext();
          call.traceId = context.traceId;
          if (!(context.traceFlags & TraceFlags.SAMPLED)) return;
          spans.set(call, span);
          running.set(call.requestId, context);
        },
        ended(call) {
          const { method, error, requestId } = call;
          const span = spans.get(call);
          if (!span) return;
          running.delete(requestId);
          // A probe is no call. Without its end nothing is sent.
          if (!method && !error) return;
          const name = method ? fullNameOf(method) : OTHER;
          span.updateName(name);
          span.setAttributes({ "rpc.method": name, ...attributesOf(call) });
          if (call.principal) span.setAttribute("enduser.pseudo.id", pseudonymOf(call.principal.subject));
          if (error && isFailure(call, error.code)) {
            span.setAttribute("error.type", NAMES.get(error.code) as string);
            span.setStatus({ code: SpanStatusCode.ERROR });
          }
          span.end();
        },
      },
    ],
    store: {
      committed(rows, milliseconds, appends) {
        const links = [];
        for (const { actor } of running.size > 0 ? appends : []) {
          const context = running.get(actor.requestId ?? "");
          if (context && links.length < MAX_LINKS) links.push({ context });
        }
        if (links.length === 0) return;
        const end = Date.now();
        const attributes = {
          "db.system.name": about.store === "postgres" ? "postgresql" : "sqlite",
          "db.operation.name": "commit",
          "db.operation.batch.size": rows,
        };
        const startTime = end - milliseconds;
        tracer.startSpan("commit", { kind: SpanKind.CLIENT, links, startTime, attributes }, ROOT_CONTEXT).end(end);
      },
      retried() {},
    },
    /** A span of its own, because many calls wait for one fetch. Its context goes to the issuer. */
    fetchesKeys() {
      const span = tracer.startSpan("GET", { kind: SpanKind.CLIENT }, ROOT_CONTEXT);
      const headers: Record<string, string> = {};
      propagator.inject(trace.setSpan(ROOT_CONTEXT, span), headers, defaultTextMapSetter);
      return {
        headers,
        ended(isFetched) {
          if (!isFetched) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    close: () => provider.shutdown().catch(() => {}),
  };
}

function isFailure({ system }: ObservedCall, code: Code): boolean {
  return system === "connectrpc" ? code !== Code.OK : SERVER_ERRORS.includes(code);
}

function attributesOf({ system, error, requestId, verb, scheme, route, status }: ObservedCall): Attributes {
  const attributes: Attributes = {
    "rpc.system.name": system,
    "rpc.status_code": NAMES.get(error?.code ?? Code.OK) as string,
    "userlock.request_id": requestId,
  };
  if (error?.reason !== undefined) attributes["userlock.reason"] = error.reason;
  if (system !== "http") return attributes;
  attributes["http.request.method"] = verb;
  attributes["url.scheme"] = scheme;
  if (route !== undefined) attributes["http.route"] = route;
  if (status !== undefined) attributes["http.response.status_code"] = status;
  return attributes;
}
