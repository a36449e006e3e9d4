import { once } from "node:events";
import { connect } from "node:net";
import type { Calls, Listener, OpenWire, Wire } from "./wire.ts";

/** Returns the problem of an answer with status 200, or undefined. */
export type CheckBody = (body: Buffer) => string | undefined;

/** Splits received bytes into answers with status and body, by length or in chunks (RFC 9112). */
export function http1Reader(onAnswer: (status: number, body: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      const headEnd = rest.indexOf("\r\n\r\n");
      if (headEnd < 0) return;
      const head = rest.toString("latin1", 0, headEnd);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
      if (Number.isNaN(status)) throw new Error(`this is not an HTTP/1.1 answer: ${head.slice(0, 50)}`);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      const bodyAt = headEnd + 4;
      const found = length === undefined ? readChunks(rest, bodyAt) : readLength(rest, bodyAt, Number(length));
      if (!found) return;
      rest = rest.subarray(found.end);
      onAnswer(status, found.body);
    }
  };
}

interface Found {
  body: Buffer;
  end: number;
}

function readLength(bytes: Buffer, at: number, length: number): Found | undefined {
  return at + length <= bytes.length ? { body: bytes.subarray(at, at + length), end: at + length } : undefined;
}

function readChunks(bytes: Buffer, start: number): Found | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const length = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (Number.isNaN(length)) throw new Error("an answer has neither a length nor chunks");
    at = lineEnd + 2 + length + 2;
    if (at > bytes.length) return undefined;
    if (length === 0) return { body: Buffer.concat(chunks), end: at };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
  }
}

/** Opens keep-alive connections that make one call after another. */
export function http1Wires(calls: Calls, checkBody: CheckBody = () => undefined): OpenWire {
  return (listener) => openHttp1Wire(calls, checkBody, listener);
}

async function openHttp1Wire(calls: Calls, checkBody: CheckBody, { onAnswer, onEnd }: Listener): Promise<Wire> {
  const { host, hostname, port } = new URL(calls.url);
  const headers = Object.entries(calls.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = ` HTTP/1.1\r\nhost: ${host}\r\n${headers.join("")}content-length: `;
  let running: number | undefined;
  let out: Buffer | undefined;
  let closed = false;

  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  await once(socket, "connect");
  socket.on("error", end);
  socket.on("close", () => end(new Error("the server closed the connection")));

  function end(error: Error): void {
    if (closed) return;
    closed = true;
    socket.destroy();
    onEnd(error);
  }

  function flush(): void {
    if (out && !closed) socket.write(out);
    out = undefined;
  }

  function problemOf(call: number, status: number, body: Buffer): string | undefined {
    if (status !== 200) return `status ${status}`;
    return body.toString("latin1").includes(calls.expected(call)) ? checkBody(body) : "an answer to another call";
  }

  const read = http1Reader((status, body) => {
    if (running === undefined) throw new Error("an answer came without a call");
    const call = running;
    running = undefined;
    onAnswer(call, problemOf(call, status, body));
  });
  socket.on("data", (chunk) => {
    try {
      read(chunk);
      flush();
    } catch (error) {
      end(error as Error);
    }
  });

  return {
    isFree: () => running === undefined,
    begin(call) {
      running = call;
      const body = calls.body(call);
      const path = typeof calls.path === "string" ? calls.path : calls.path(call);
      out = Buffer.concat([Buffer.from(`POST ${path}${head}${body.length}\r\n\r\n`, "latin1"), body]);
    },
    flush,
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

/** Checks a unary gRPC-Web answer: a message, then trailers with status 0. */
export const checkGrpcWeb: CheckBody = (body) => {
  const trailersAt = body.length < 5 ? 0 : 5 + body.readUInt32BE(1);
  const isThere = body[trailersAt] === 0x80 && /^grpc-status: *0\r?$/m.test(body.toString("latin1", trailersAt + 5));
  return isThere ? undefined : "grpc-status is not 0";
};
