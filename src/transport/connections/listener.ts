import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from "node:http";
import { constants, createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, isIPv6, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { holderOf, type Quota } from "../../rpc/shares.ts";
import { type Exchange, Http1Exchange, Http2Exchange } from "../http/exchange.ts";
import type { Limits } from "../limits.ts";
import { limitAge, retirementOf } from "./connection-age.ts";
import { watchForFull } from "./full-connections.ts";
import { createTurns } from "./http1-turns.ts";
import { joinAuthorization } from "./repeated-fields.ts";

/** The connection preface of HTTP/2 (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** How much later Node closes an idle connection than it announces, milliseconds. */
const KEEP_ALIVE_GRACE_MS = 1_000;

/** How long a client that got GOAWAY may still open streams, milliseconds. */
const GOAWAY_MS = 250;

/** How long an HTTP/2 connection without work may take to end, milliseconds. */
const LAST_WORDS_MS = 1_000;

/**
 * Serves HTTP/1.1 and HTTP/2 on one port. With TLS, ALPN decides (RFC 7301); in cleartext, the first bytes. Rejects if
 * the port is not available.
 */
export async function listen(options: {
  host: string;
  port: number;
  tls?: { cert: string; key: string } | undefined;
  limits: Limits;
  /** The quota of connections by address. */
  connections: Quota;
  onExchange(exchange: Exchange): void;
  /** Called with the address of a client whose other calls wait, because all streams of its connection are open. */
  onFull(address: string): void;
  /** Called with the error of a request that could not be accepted. */
  onFailure(error: unknown): void;
}) {
  const { host, port, tls, limits } = options;
  const sockets = new Set<Socket>();
  /** Connections without a request, and since when: undecided ones, and HTTP/1.1 ones between two requests. */
  const waiting = new Map<Socket, number>();
  const sessions = new Set<ServerHttp2Session>();
  let closing = false;
  const turns = createTurns((socket) => closing || retirementOf(socket)?.aborted === true);

  /** An error in an event listener would end the process, so it ends the request instead. */
  function take(request: { destroy(): unknown }, toExchange: () => Exchange): void {
    try {
      options.onExchange(toExchange());
    } catch (error) {
      options.onFailure(error);
      request.destroy();
    }
  }

  function takeHttp1(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const { socket } = request;
    const turn = turns.begin(request, response);
    if (!turn) return void request.resume();
    waiting.delete(socket);
    response.on("close", () => {
      if (!turn.leave()) return;
      if (closing) {
        turns.stop(socket);
        socket.end();
      } else if (!socket.destroyed) waiting.set(socket, performance.now());
    });
    take(
      request,
      () =>
        new Http1Exchange(request, response, {
          expectsContinue,
          isLast: turn.isLast,
          retirement: retirementOf(socket),
        }),
    );
  }

  const http1 = createHttp1Server(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
      // By default Node drops the second of two Host or Authorization lines. A proxy may have read the other one.
      joinDuplicateHeaders: true,
    },
    (request, response) => takeHttp1(request, response, false),
  );
  // Without this listener Node asks for the content of every request.
  http1.on("checkContinue", (request, response) => takeHttp1(request, response, true));
  // It never listens itself, but this event starts its timeout checks.
  http1.emit("listening");

  const http2 = createHttp2Server({
    settings: { maxConcurrentStreams: limits.streams, maxHeaderListSize: limits.headerBytes },
    // Megabytes: enough for some of the largest requests. Beyond it Node silently resets streams.
    maxSessionMemory: 64,
  });
  // The stream may be reset by now, because Node emits it a moment later.
  http2.on("stream", (stream, headers, _flags, raw) =>
    take(stream, () => new Http2Exchange(stream, joinAuthorization(headers, raw), retirementOf(stream.session))),
  );
  const watch = watchForFull(limits.streams, options.onFull);
  http2.on("session", (session) => {
    watch(session);
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    if (closing) session.close();
  });
  http2.on("sessionError", () => {});

  function serveHttp1(socket: Socket): void {
    limitAge(socket, socket, limits, () => turns.isRunning(socket));
    http1.emit("connection", socket);
  }

  function serveHttp2(socket: Socket): void {
    // A half-closed connection would leak its session.
    socket.allowHalfOpen = false;
    waiting.delete(socket);
    http2.once("session", (session) => {
      closeWhenIdle(session, socket, limits.sessionIdleMs);
      limitAge(session, socket, limits).addEventListener("abort", () => retire(session));
    });
    http2.emit("connection", socket);
  }

  /** Closes idle connections. Node's own timer restarts with every line end before a request. */
  const idleClock = setInterval(
    () => {
      const idleSince = performance.now() - limits.keepAliveMs - KEEP_ALIVE_GRACE_MS;
      for (const [socket, since] of waiting) {
        if (since > idleSince) break;
        socket.destroy();
      }
    },
    Math.min(1_000, limits.keepAliveMs),
  ).unref();

  /** Counts a connection. Returns false and closes it if its address has too many. */
  function admit(socket: Socket): boolean {
    try {
      const leave = options.connections(holderOf(socket.remoteAddress));
      socket.on("close", leave);
      return true;
    } catch {
      socket.destroy();
      return false;
    }
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
  }

  function awaitRequest(socket: Socket): void {
    // The stop began during its handshake.
    if (closing) socket.destroy();
    waiting.set(socket, performance.now());
    socket.on("close", () => waiting.delete(socket));
  }

  const server = tls
    ? createTlsServer({ ...tls, ALPNProtocols: ["h2", "http/1.1"], handshakeTimeout: limits.handshakeMs }, (socket) => {
        track(socket);
        awaitRequest(socket);
        if (socket.alpnProtocol === "h2") serveHttp2(socket);
        else {
          serveHttp1(socket);
          // Without a listener Node's parser takes the records itself, even while a large answer pauses it, and fails.
          socket.on("data", () => {});
        }
      })
    : createTcpServer({ allowHalfOpen: true }, (socket) => {
        if (!admit(socket)) return;
        track(socket);
        awaitRequest(socket);
        tellApart(socket, limits.handshakeMs, serveHttp1, serveHttp2);
      });
  server.maxConnections = limits.connections;
  // Counted here, because a socket that never finishes its handshake would not be tracked.
  if (tls) server.on("connection", (socket: Socket) => admit(socket) && track(socket));
  server.on("tlsClientError", (_error: Error, socket: TLSSocket) => socket.destroy());

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });

  const address = server.address() as AddressInfo;
  const name = isIPv6(address.address) ? `[${address.address}]` : address.address;
  return {
    /** The URL, such as `http://127.0.0.1:8080`. */
    url: `${tls ? "https" : "http"}://${name}:${address.port}`,
    /**
     * Stops accepting, lets running requests finish for at most `graceMs`, then closes the rest. Resolves when every
     * socket is closed.
     */
    async close(graceMs: number): Promise<void> {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of sessions) session.close();
      clearInterval(idleClock);
      for (const socket of waiting.keys()) socket.destroy();
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(cut);
      http1.close();
    },
  };
}

/**
 * Asks a client to open no more streams, and lets open ones finish. The first GOAWAY refuses nothing, so that streams
 * which the client opens before it reads it are served (RFC 9113, section 6.8).
 */
function retire(session: ServerHttp2Session): void {
  if (session.destroyed) return;
  session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  setTimeout(() => session.close(), GOAWAY_MS).unref();
}

/** Buffers the first bytes of a connection until they are the HTTP/2 preface or cannot become it. */
function tellApart(
  socket: Socket,
  timeoutMs: number,
  serveHttp1: (socket: Socket) => void,
  serveHttp2: (socket: Socket) => void,
): void {
  let held = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const onEnd = () => socket.destroy();
  // A "data" listener would start the flow, and the HTTP/2 session, which reads buffered bytes one tick later, would
  // miss them.
  const onReadable = () => {
    const chunk = socket.read() as Buffer | null;
    if (!chunk) return;
    held = Buffer.concat([held, chunk]);
    const length = Math.min(held.length, PREFACE.length);
    const isPreface = held.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (isPreface && length < PREFACE.length) return;
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    socket.unshift(held);
    if (isPreface) serveHttp2(socket);
    else serveHttp1(socket);
  };
  socket.on("readable", onReadable);
  socket.on("end", onEnd);
  socket.on("close", () => clearTimeout(timer));
}

/**
 * Sends GOAWAY to a connection without an open stream for a while. Closes it after a GOAWAY of either side, once no
 * stream is open: a session would wait forever for a client that does not read or hang up.
 */
function closeWhenIdle(session: ServerHttp2Session, socket: Socket, idleMs: number): void {
  let open = 0;
  let timer: NodeJS.Timeout;
  const awaitEnd = () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
  };
  const close = () => {
    session.close();
    awaitEnd();
  };
  const onIdle = () => {
    if (session.closed) awaitEnd();
    else timer = setTimeout(close, idleMs);
  };
  session.on("stream", (stream) => {
    open++;
    clearTimeout(timer);
    stream.on("close", () => {
      open--;
      if (open === 0) onIdle();
    });
  });
  session.on("goaway", () => {
    if (open === 0) awaitEnd();
  });
  session.on("close", () => clearTimeout(timer));
  onIdle();
}
