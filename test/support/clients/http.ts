import { once } from "node:events";
import { request as http1Request, type IncomingMessage } from "node:http";
import { connect as http2Connect } from "node:http2";
import { request as http1TlsRequest } from "node:https";
import { type Socket, connect as tcpConnect } from "node:net";
import { checkAnswer } from "../openapi/answers.ts";
import { isRest } from "../openapi/check-answer.ts";

/**
 * An HTTP request. An iterable body is sent as its parts come. With the header `expect`, the body is sent after the
 * server asks for it.
 */
export interface HttpRequest {
  version?: 1 | 2;
  verb?: string;
  path: string;
  headers?: Record<string, string>;
  body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** The trusted certificate, for a server with TLS. */
  ca?: Buffer;
}

export interface HttpAnswer {
  status: number;
  headers: Headers;
  trailers: Headers;
  body: Buffer;
}

/**
 * Sends a request on its own connection. Rejects if the connection breaks before the answer is complete, or if an
 * answer over REST is not as the OpenAPI document says.
 */
export async function exchange(url: string, request: HttpRequest): Promise<HttpAnswer> {
  const answer = await (request.version === 2 ? overHttp2(url, request) : overHttp1(url, request));
  const { pathname } = new URL(request.path, url);
  if (isRest(pathname) && !answer.headers.has("content-encoding")) {
    const { status, headers, body } = answer;
    checkAnswer({ verb: request.verb ?? "POST", path: pathname, status, headers, text: body.toString() });
  }
  return answer;
}

async function overHttp1(url: string, { verb = "POST", path, headers, body, ca }: HttpRequest): Promise<HttpAnswer> {
  const options = { method: verb, headers: { connection: "close", ...headers } };
  const target = new URL(path, url);
  const request = ca ? http1TlsRequest(target, { ...options, ca }) : http1Request(target, options);
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  answered.catch(() => {});
  // The server may answer and close before it has read everything.
  request.on("error", () => {});
  if (headers?.expect) {
    request.on("continue", () => send(request, body));
    request.flushHeaders();
  } else send(request, body);
  const [response] = await answered;
  const bytes = Buffer.concat(await response.toArray());
  request.destroy();
  return {
    status: response.statusCode as number,
    headers: toHeaders(response.headers),
    trailers: toHeaders(response.trailers),
    body: bytes,
  };
}

async function overHttp2(url: string, { verb = "POST", path, headers, body, ca }: HttpRequest): Promise<HttpAnswer> {
  const session = http2Connect(url, ca ? { ca } : {});
  session.on("error", () => {});
  try {
    const stream = session.request({ ":method": verb, ":path": path, ...headers }, { endStream: body === undefined });
    const answered = once(stream, "response") as Promise<[Record<string, string>]>;
    answered.catch(() => {});
    let trailers = new Headers();
    stream.on("trailers", (all: Record<string, string>) => {
      trailers = toHeaders(all);
    });
    if (headers?.expect) stream.on("continue", () => send(stream, body));
    else if (body !== undefined) send(stream, body);
    const [head] = await answered;
    const bytes = Buffer.concat(await stream.toArray());
    return { status: Number(head[":status"]), headers: toHeaders(head), trailers, body: bytes };
  } finally {
    session.destroy();
  }
}

function send(target: NodeJS.WritableStream & { destroyed?: boolean }, body: HttpRequest["body"]): void {
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) {
    target.end(body ?? "");
    return;
  }
  // Not awaited, because the answer may come first.
  void (async () => {
    for await (const chunk of body) {
      if (target.destroyed) return;
      target.write(chunk);
    }
    target.end();
  })();
}

function toHeaders(all: Record<string, string | string[] | undefined>): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined && !name.startsWith(":")) headers.set(name, [value].flat().join(", "));
  }
  return headers;
}

/** A connection for raw bytes. */
export interface RawConnection {
  socket: Socket;
  write(bytes: Uint8Array | string): void;
  /** The bytes received so far. */
  received(): Buffer;
  /** Resolves with all received bytes when the server closes the connection. Rejects after `milliseconds`. */
  closed(milliseconds?: number): Promise<Buffer>;
}

/** `localAddress` is an address of this machine. */
export async function openRaw(url: string, localAddress = "127.0.0.1"): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = tcpConnect({ host: hostname, port: Number(port), localAddress });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  // A reset counts as closed.
  socket.on("error", () => {});
  const end = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await once(socket, "connect");
  return {
    socket,
    write: (bytes) => socket.write(bytes),
    received: () => Buffer.concat(chunks),
    async closed(milliseconds = 5_000) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("the server did not close the connection")), milliseconds);
      });
      try {
        await Promise.race([end, late]);
      } finally {
        clearTimeout(timer);
        socket.destroy();
      }
      return Buffer.concat(chunks);
    },
  };
}
