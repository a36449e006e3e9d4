import { once } from "node:events";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  frameReader,
  HEAD_BYTES,
  headerBlocks,
  PADDED,
  PREFACE,
  settings,
  writeHead,
} from "./http2-frames.ts";
import type { Calls, Listener, OpenWire, Wire } from "./wire.ts";

/** Numbers of SETTINGS (RFC 9113, section 6.5.2). */
const [TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW] = [1, 2, 3, 4];
/** The receive window in bytes. It is renewed when half of it is used. */
const WINDOW = 2 ** 30;
/** The maximum size of a call's message in bytes. */
const MAX_BODY = 1_024;
/** The initial send window in bytes (RFC 9113, section 6.9.2). */
const FIRST_WINDOW = 65_535;

/** Opens connections that make gRPC calls. First makes call number `first`, to learn the trailers of success. */
export async function grpcWires(calls: Calls, first: number): Promise<OpenWire> {
  const trailers = await learnTrailers(calls, first);
  return (listener) => openGrpcWire(calls, trailers, listener);
}

function headersOf({ url, path, headers }: Calls): Record<string, string> {
  if (typeof path !== "string") throw new Error("a gRPC method has one path, not one for each call");
  return { ":method": "POST", ":scheme": "http", ":path": path, ":authority": new URL(url).host, ...headers };
}

/**
 * Learns the bytes of the trailers with `grpc-status: 0` from a call by Node's own client. A client without a dynamic
 * table gets the same bytes for the same trailers on every stream (RFC 7541).
 */
async function learnTrailers(calls: Calls, call: number): Promise<Buffer> {
  let trailers: Buffer | undefined;
  const read = frameReader((type, flags, _stream, payload) => {
    if (type === FRAME.HEADERS && flags & END_STREAM) trailers = Buffer.from(payload);
  });
  const session = connectHttp2(calls.url, {
    settings: { headerTableSize: 0, enablePush: false },
    createConnection: ({ port, hostname }) => tapped(connect(Number(port), hostname), read),
  });
  try {
    const stream = session.request(headersOf(calls));
    stream.end(calls.body(call));
    const chunks: Buffer[] = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    const told: IncomingHttpHeaders = {};
    stream.on("response", (headers) => Object.assign(told, headers));
    stream.on("trailers", (headers) => Object.assign(told, headers));
    await Promise.race([once(stream, "close"), once(session, "error").then(([error]) => Promise.reject(error))]);
    const { ":status": status, "grpc-status": code, "grpc-message": message } = told as Record<string, unknown>;
    if (Number(status) !== 200 || code !== "0") throw new Error(`not OK: ${status}, grpc-status ${code}: ${message}`);
    if (!Buffer.concat(chunks).includes(calls.expected(call))) throw new Error("the answer is to another call");
    return trailers as Buffer;
  } finally {
    session.destroy();
  }
}

/** A connection that also passes received bytes to `onBytes`. */
function tapped(socket: Socket, onBytes: (chunk: Buffer) => void): Duplex {
  const tap = new Duplex({
    read: () => socket.resume(),
    write: (chunk, encoding, done) => void socket.write(chunk, encoding, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => done(socket.destroy() && error),
  });
  socket.on("data", (chunk) => {
    onBytes(chunk);
    if (!tap.push(chunk)) socket.pause();
  });
  socket.on("end", () => tap.push(null));
  socket.on("error", (error) => tap.destroy(error));
  return tap;
}

/** An open stream. */
interface Running {
  call: number;
  data: Buffer | undefined;
}

async function openGrpcWire(calls: Calls, okTrailers: Buffer, { onAnswer, onEnd }: Listener): Promise<Wire> {
  const { hostname, port } = new URL(calls.url);
  const blocks = headerBlocks(headersOf(calls));
  const running = new Map<number, Running>();
  let block = blocks.first;
  let nextStream = 1;
  let maxStreams: number | undefined;
  let sendWindow = FIRST_WINDOW;
  let received = 0;
  let out: Buffer[] = [];
  let closed = false;

  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  socket.on("error", end);
  socket.on("close", () => end(new Error("the server closed the connection")));

  function end(error: Error): void {
    if (closed) return;
    closed = true;
    socket.destroy();
    onEnd(error);
  }

  function answer(stream: number, problem: string | undefined): void {
    const { call } = running.get(stream) as Running;
    running.delete(stream);
    onAnswer(call, problem);
  }

  /** The problem of an answer with these trailers, or undefined. */
  function problemOf({ call, data }: Running, trailers: Buffer): string | undefined {
    if (!trailers.equals(okTrailers)) return "grpc-status is not 0";
    return data?.toString("latin1").includes(calls.expected(call)) ? undefined : "an answer to another call";
  }

  function onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    const open = running.get(stream);
    switch (type) {
      case FRAME.HEADERS:
        // The measured servers never do this, so it is not supported.
        if (!open || flags & PADDED || !(flags & END_HEADERS)) throw new Error("unexpected headers");
        if (flags & END_STREAM) answer(stream, problemOf(open, payload));
        break;
      case FRAME.DATA:
        if (!open || flags & PADDED) throw new Error("unexpected data");
        open.data = open.data ? Buffer.concat([open.data, payload]) : payload;
        giveBack(payload.length);
        if (flags & END_STREAM) answer(stream, "no grpc-status");
        break;
      case FRAME.RST_STREAM:
        if (open) answer(stream, `reset with ${payload.readUInt32BE(0)}`);
        break;
      case FRAME.SETTINGS:
        if (flags & ACK) break;
        maxStreams = Number.POSITIVE_INFINITY;
        for (let at = 0; at < payload.length; at += 6) {
          if (payload.readUInt16BE(at) === MAX_STREAMS) maxStreams = payload.readUInt32BE(at + 2);
        }
        out.push(frame(FRAME.SETTINGS, ACK, 0));
        break;
      case FRAME.PING:
        if (!(flags & ACK)) out.push(frame(FRAME.PING, ACK, 0, payload));
        break;
      case FRAME.WINDOW_UPDATE:
        if (stream === 0) sendWindow += payload.readUInt32BE(0);
        break;
      case FRAME.GOAWAY:
        throw new Error(`GOAWAY with ${payload.readUInt32BE(4)}`);
    }
  }

  function giveBack(bytes: number): void {
    received += bytes;
    if (received < WINDOW / 2) return;
    out.push(windowUpdate(received));
    received = 0;
  }

  function flush(): void {
    if (out.length === 0 || closed) return;
    socket.write(out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out));
    out = [];
  }

  const read = frameReader(onFrame);
  const greeted = new Promise<void>((resolve, reject) => {
    socket.on("close", () => reject(new Error("the server does not speak HTTP/2")));
    socket.on("data", (chunk) => {
      try {
        read(chunk);
        flush();
        if (maxStreams !== undefined) resolve();
      } catch (error) {
        end(error as Error);
      }
    });
  });
  out.push(PREFACE, settings({ [TABLE_SIZE!]: 0, [ENABLE_PUSH!]: 0, [INITIAL_WINDOW!]: WINDOW }), windowUpdate(WINDOW));
  flush();
  await greeted;

  return {
    // Waits when the send window is used up.
    isFree: () => running.size < (maxStreams as number) && sendWindow >= MAX_BODY,
    begin(call) {
      const body = calls.body(call);
      const bytes = Buffer.allocUnsafe(2 * HEAD_BYTES + block.length + body.length);
      writeHead(bytes, 0, block.length, FRAME.HEADERS, END_HEADERS, nextStream);
      block.copy(bytes, HEAD_BYTES);
      const dataAt = HEAD_BYTES + block.length;
      writeHead(bytes, dataAt, body.length, FRAME.DATA, END_STREAM, nextStream);
      body.copy(bytes, dataAt + HEAD_BYTES);
      out.push(bytes);
      running.set(nextStream, { call, data: undefined });
      block = blocks.later;
      nextStream += 2;
      sendWindow -= body.length;
    },
    flush,
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.WINDOW_UPDATE, 0, 0, payload);
}
