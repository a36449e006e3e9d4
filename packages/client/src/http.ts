import * as http from "node:http";
import * as https from "node:https";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientResponse } from "@connectrpc/connect/protocol";

/** Options of TLS, as for an agent of node:https, such as `ca` or `cert` and `key`. */
export type TlsOptions = Pick<
  https.AgentOptions,
  "ca" | "cert" | "key" | "pfx" | "passphrase" | "servername" | "rejectUnauthorized"
>;

/** Sends requests over HTTP/1.1. */
export interface HttpClient {
  send: UniversalClientFn;
  /** Ends all requests and connections. */
  close(): void;
}

/** Connections to one server. An open stream keeps one for itself. */
const MAX_CONNECTIONS = 128;
/** A server may close a connection that is idle for longer, milliseconds. */
const IDLE_MS = 4_000;

/**
 * Creates an HTTP client with its own connections, 128 by default; further requests wait for one. What goes wrong on the network is an error with the code UNAVAILABLE
 * and a cause.
 */
export function createHttpClient(
  protocol: string,
  tls: TlsOptions = {},
  { maxConnections = MAX_CONNECTIONS }: { maxConnections?: number } = {},
): HttpClient {
  const options = { keepAlive: true, maxSockets: maxConnections, timeout: IDLE_MS, noDelay: true };
  const isSecure = protocol === "https:";
  const agent = isSecure ? new https.Agent({ ...options, ...tls }) : new http.Agent(options);
  const request = isSecure ? https.request : http.request;
  const open = new Set<http.ClientRequest>();
  let isClosed = false;

  return {
    async send({ method, url, header, body, signal }) {
      const bytes = await bytesOf(body);
      if (isClosed) throw new ConnectError("the client is closed", Code.Canceled);
      signal?.throwIfAborted();
      const headers = { ...Object.fromEntries(header), "content-length": String(bytes.length) };
      const outgoing = request(url, { method, headers, agent });
      // The agent's timeout concerns idle connections only.
      outgoing.setTimeout(0);
      open.add(outgoing);
      const onAbort = () => outgoing.destroy(asError(signal?.reason));
      signal?.addEventListener("abort", onAbort);
      outgoing.once("close", () => {
        open.delete(outgoing);
        signal?.removeEventListener("abort", onAbort);
      });
      return new Promise<UniversalClientResponse>((resolve, reject) => {
        outgoing.on("error", (error) => reject(signal?.aborted ? error : unavailable(error)));
        outgoing.once("response", (incoming) => resolve(responseOf(incoming, signal)));
        outgoing.end(bytes);
      });
    },
    close() {
      isClosed = true;
      for (const each of open) each.destroy(new ConnectError("the client is closed", Code.Canceled));
      agent.destroy();
    },
  };
}

async function bytesOf(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
}

function responseOf(incoming: http.IncomingMessage, signal: AbortSignal | undefined): UniversalClientResponse {
  const header = new Headers();
  for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
    header.append(incoming.rawHeaders[at] as string, incoming.rawHeaders[at + 1] as string);
  }
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      yield* incoming;
    } catch (error) {
      throw signal?.aborted ? error : unavailable(error);
    }
  }
  return { status: incoming.statusCode ?? 0, header, body: body(), trailer: new Headers() };
}

function unavailable(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const { code = "no code", message } = error as NodeJS.ErrnoException;
  return new ConnectError(`the server does not answer: ${message || code}`, Code.Unavailable, undefined, [], error);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
