import { setTimeout as sleep } from "node:timers/promises";
import { refusal, rpcErrorOf } from "../../rpc/errors.ts";
import { createShares } from "../../rpc/shares.ts";
import { listen } from "../connections/listener.ts";
import { acceptsGzip, COMPRESS_FROM_BYTES, gzip } from "../http/encoding.ts";
import { type Answer, type Exchange, headerOf } from "../http/exchange.ts";
import { createPathOf, isRpcPath } from "../http/request-path.ts";
import { plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import { createUnread } from "../http/unread-answers.ts";
import type { Limits } from "../limits.ts";
import { createProbesDoor } from "./probes.ts";

const METRICS = "/metrics";

/** The limits of the admin listener where only monitoring and orchestrators call. */
const ADMIN_LIMITS = {
  connections: 64,
  connectionsPerAddress: 32,
  // Short, so that idle clients cannot keep others out.
  keepAliveMs: 5_000,
  sessionIdleMs: 5_000,
  connectionAgeMs: 60_000,
  streams: 16,
  headerBytes: 8 * 1024,
  handshakeMs: 5_000,
  headersMs: 5_000,
  requestMs: 5_000,
};

/** The limits with a console, whose browsers have streams and keep connections. The others are those of the main port. */
const CONSOLE_LIMITS = { connections: 256, connectionsPerAddress: 128 };

/**
 * Serves `/metrics` and the probes for operators, without a token, and perhaps the console, all without TLS. Rejects if
 * the port is not available.
 */
export async function listenAdmin(options: {
  host: string;
  port: number;
  limits: Limits;
  /** Shows the metrics in the format that the Accept header prefers. */
  metrics(accept: string | undefined): Promise<{ type: string; text: string }>;
  isReady: () => Promise<boolean>;
  /** Serves the console and the calls of its page. Undefined: the console is not here. */
  onConsole?: ((exchange: Exchange) => void) | undefined;
  /** Called with errors that are not the client's. */
  onFailure(error: unknown): void;
}) {
  const { host, port, metrics, onConsole, onFailure } = options;
  const probes = createProbesDoor(options.isReady);
  const limits = { ...options.limits, ...(onConsole ? CONSOLE_LIMITS : ADMIN_LIMITS) };
  const pathOf = createPathOf();
  const unread = createUnread(limits.streamEndMs);
  /** The running renderings by the Accept header. Scrapes that come meanwhile share them. */
  const rendering = new Map<string | undefined, ReturnType<typeof metrics>>();

  /** The running requests of the console. */
  const serving = new Set<Exchange>();
  let onIdle = () => {};

  function render(accept: string | undefined): ReturnType<typeof metrics> {
    const running = rendering.get(accept) ?? metrics(accept).finally(() => rendering.delete(accept));
    rendering.set(accept, running);
    return running;
  }

  async function respond({ verb, target, headers }: Exchange): Promise<Answer> {
    const path = target.split("?", 1)[0] as string;
    if (path !== METRICS) return (await probes(verb, path)) ?? notFound();
    if (verb !== "GET") return wrongVerb(["GET"]);
    const { type, text } = await render(headers.accept);
    const fields = { "content-type": type, "cache-control": "no-store", vary: "accept, accept-encoding" };
    const isCompressed = text.length >= COMPRESS_FROM_BYTES && acceptsGzip(headerOf(headers, "accept-encoding"));
    if (!isCompressed) return plainAnswer(200, fields, text);
    return plainAnswer(200, { ...fields, "content-encoding": "gzip" }, await gzip(Buffer.from(text)));
  }

  function onExchange(exchange: Exchange): void {
    if (exchange.isGone) return;
    if (onConsole && isOfConsole(pathOf(exchange)?.path)) {
      serving.add(exchange);
      exchange.onClose(() => {
        serving.delete(exchange);
        if (serving.size === 0) onIdle();
      });
      onConsole(exchange);
      return;
    }
    exchange.onClose(() => unread.delete(exchange));
    respond(exchange)
      .then(({ body, ...answer }) => {
        exchange.answer(exchange.isHead || body === undefined ? answer : { ...answer, body });
        if (!exchange.isGone) unread.add(exchange);
      })
      .catch((error) => {
        if (!exchange.isGone) onFailure(error);
        exchange.cut();
      });
  }

  const { connections } = createShares(limits);
  const listener = await listen({ host, port, limits, connections, onExchange, onFull() {}, onFailure });
  return {
    ...listener,
    /** Resolves once no request of the console runs, or after `milliseconds`. The listener serves on. */
    async drain(milliseconds: number): Promise<void> {
      if (serving.size === 0) return;
      const late = new AbortController();
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve;
      });
      const timeout = sleep(milliseconds, undefined, { signal: late.signal }).catch(() => {});
      await Promise.race([idle, timeout]);
      late.abort();
    },
  };
}

/** Whether the console or its page needs the path. Nothing else of the main port is here. */
function isOfConsole(path: string | undefined): boolean {
  return path !== undefined && (path === "/" || /^\/console(\/|$)/.test(path) || isRpcPath(path));
}

function notFound(): Answer {
  const error = refusal("METHOD_NOT_FOUND", `This port has ${METRICS}, /healthz and /readyz only.`);
  return statusAnswer(rpcErrorOf(error), 404);
}
