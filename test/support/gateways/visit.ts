import { once } from "node:events";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { Agent, type RequestOptions, request } from "node:https";
import { connect, type TLSSocket } from "node:tls";

/** What a client sends. Headers are pairs, so that a name can come twice and in any spelling. */
export interface Visit {
  method?: string;
  path?: string;
  headers?: readonly (readonly [name: string, value: string])[];
  body?: AsyncIterable<Uint8Array> | string;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  ms: number;
}

/** The certificate names this host. */
const HOST = "localhost";
const PATIENCE_MS = 20_000;

/** A client of the gateway on the port, over HTTP/1.1 with kept connections, and over HTTP/2. */
export function openVisitor(port: number, ca: Buffer) {
  const agent = new Agent({ keepAlive: true, ca, servername: HOST });
  const target = { host: "127.0.0.1", port };

  /** Sends a request, and resolves with the head of the answer. */
  async function begin({ method = "GET", path = "/", headers = [], body }: Visit): Promise<IncomingMessage> {
    const pairs = [["host", `${HOST}:${port}`], ...headers].flat();
    const options: RequestOptions = { ...target, agent, method, path, timeout: PATIENCE_MS };
    // Node sends pairs as they are, but its types know only objects.
    const message = request({ ...options, headers: pairs as unknown as OutgoingHttpHeaders });
    message.on("timeout", () => message.destroy(new Error("no answer in time")));
    const answered = once(message, "response") as Promise<[IncomingMessage]>;
    if (typeof body === "string" || body === undefined) message.end(body);
    else void send(message, body);
    const [response] = await answered;
    return response;
  }

  return {
    begin,
    async visit(visit: Visit): Promise<Answer> {
      const started = performance.now();
      const response = await begin(visit);
      const text = Buffer.concat(await response.toArray()).toString();
      const { statusCode: status = 0, headers } = response;
      return { status, headers, body: text, ms: performance.now() - started };
    },
    /** Sends bytes on a connection of their own, and resolves with all that comes until `awaited` or the end. */
    async raw(bytes: string, awaited: RegExp = /\r\n\r\n/): Promise<{ text: string; socket: TLSSocket }> {
      const socket = connect({ ...target, ca, servername: HOST, ALPNProtocols: ["http/1.1"], timeout: PATIENCE_MS });
      socket.on("timeout", () => socket.destroy());
      socket.on("error", () => {});
      socket.write(bytes);
      let text = "";
      while (!awaited.test(text)) {
        const [chunk] = await Promise.race([once(socket, "data"), once(socket, "close")]);
        if (!Buffer.isBuffer(chunk)) break;
        text += chunk;
      }
      return { text, socket };
    },
    /** Opens an HTTP/2 connection. */
    async http2(): Promise<ClientHttp2Session> {
      const session = connectHttp2(`https://127.0.0.1:${port}`, { ca, servername: HOST });
      session.on("error", () => {});
      await once(session, "connect");
      return session;
    },
    close: () => agent.destroy(),
  };
}

async function send(message: NodeJS.WritableStream, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const part of body) message.write(part);
  message.end();
}

/** Sends a GET on an HTTP/2 connection, and resolves with the status and the answer's body. */
export function visitHttp2(session: ClientHttp2Session, path: string, headers: Record<string, string | string[]>) {
  const stream = session.request({ ":path": path, ":authority": HOST, ...headers });
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    let [status, shown, body]: [number, Record<string, unknown>, string] = [0, {}, ""];
    stream.setEncoding("utf8");
    stream.setTimeout(PATIENCE_MS, () => stream.destroy(new Error("no answer in time")));
    stream.on("response", (all) => {
      status = Number(all[":status"]);
      shown = all;
    });
    stream.on("data", (text: string) => {
      body += text;
    });
    stream.on("error", reject);
    stream.on("end", () => resolve({ status, headers: shown, body }));
    stream.end();
  });
}
