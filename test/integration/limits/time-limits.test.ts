// Proves that connections, requests and answers end at their time limits.
import { once } from "node:events";
import { connect, constants } from "node:http2";
import { connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, openRaw } from "../../support/clients/http.ts";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  frameTypes,
  headerBlock,
  PREFACE,
} from "../../support/clients/http2-frames.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

/** Short for the tests, in milliseconds. */
const LIMITS = {
  // Longer than a busy machine delays the reading of another caller's request.
  handshakeMs: 1_200,
  headersMs: 600,
  keepAliveMs: 600,
  // Longer than a busy machine delays another caller's next call.
  sessionIdleMs: 2_500,
  bodyMs: 600,
  // Longer than the server reads the rest of an answered request.
  streamEndMs: 1_500,
};
/** The latest time at which a limit may take effect on a busy machine, in milliseconds. */
const LATEST_MS = 20_000;

let server: ServerProcess;
let bystander: Bystander;

beforeAll(async () => {
  server = await startServer({}, LIMITS);
  bystander = await bystanderOf(server.url);
});

afterAll(async () => {
  bystander?.close();
  // The server survived all tests.
  expect(await server?.stop()).toBe(0);
});

/** The received bytes of a connection until it is closed, and the time. `keepOn` is sent repeatedly until then. */
async function untilClosed(first: Uint8Array | string, keepOn?: () => Uint8Array | string, everyMs = 100) {
  return bystander.isServedDuring(async () => {
    // Before the server can start its timer.
    const start = performance.now();
    const connection = await openRaw(server.url);
    if (first.length > 0) connection.write(first);
    const sending = keepOn && setInterval(() => connection.socket.writable && connection.write(keepOn()), everyMs);
    try {
      const received = await connection.closed(LATEST_MS);
      return { received, milliseconds: performance.now() - start };
    } finally {
      clearInterval(sending);
    }
  });
}

/** Sends this and keeps its own half of the connection open. Resolves when the server has dropped the connection. */
async function untilLetGo(
  first: Uint8Array,
  { reads = true, keepOn = PING }: { reads?: boolean; keepOn?: Uint8Array | string } = {},
): Promise<void> {
  const { hostname, port } = new URL(server.url);
  const socket = tcpConnect({ host: hostname, port: Number(port), allowHalfOpen: true });
  // A write to a dropped connection fails.
  const writing = setInterval(() => socket.write(keepOn), 100);
  try {
    socket.write(first);
    if (reads) socket.resume();
    const [error] = await once(socket, "error", { signal: AbortSignal.timeout(LATEST_MS) });
    expect(error).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
  } finally {
    clearInterval(writing);
    socket.destroy();
  }
}

const PING = frame(FRAME.PING, 0, 0, Buffer.alloc(8));
const HTTP2_START = Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0)]);
const GET = { ":method": "GET", ":scheme": "http", ":path": "/healthz", ":authority": "localhost" };

describe("a connection whose protocol stays unknown is closed", () => {
  test.each<[string, Uint8Array | string]>([
    ["without a byte", ""],
    ["after 1 byte of the preface", PREFACE.subarray(0, 1)],
    ["after 14 bytes of the preface", PREFACE.subarray(0, 14)],
    ["after 23 bytes of the preface", PREFACE.subarray(0, 23)],
  ])("%s", async (_what, bytes) => {
    const { received, milliseconds } = await untilClosed(bytes);
    expect(received.toString()).toBe("");
    expect(milliseconds).toBeGreaterThan(LIMITS.handshakeMs - 50);
  });
});

describe("slow request headers", () => {
  test.each<[string, (() => string) | undefined]>([
    ["stop", undefined],
    ["continue line by line", () => "X-More: yes\r\n"],
  ])("that %s are answered with 408 over HTTP/1.1", async (_what, keepOn) => {
    const { received, milliseconds } = await untilClosed("GET /healthz HTTP/1.1\r\nHost: localhost\r\n", keepOn);
    expect(received.toString()).toMatch(/^HTTP\/1\.1 408 /);
    expect(milliseconds).toBeGreaterThan(LIMITS.headersMs - 50);
  });

  test.each<[string, (() => Buffer) | undefined]>([
    ["stop", undefined],
    ["continue", () => frame(FRAME.CONTINUATION, 0, 1, headerBlock({ "x-more": "yes" }))],
  ])("that %s end the connection with GOAWAY over HTTP/2", async (_what, keepOn) => {
    const unfinished = frame(FRAME.HEADERS, END_STREAM, 1, headerBlock(GET));
    // Node accepts at most eight such frames.
    const { received, milliseconds } = await untilClosed(Buffer.concat([HTTP2_START, unfinished]), keepOn, 400);
    expect(frameTypes(received)).toContain(FRAME.GOAWAY);
    expect(milliseconds).toBeGreaterThan(LIMITS.sessionIdleMs - 50);
  });
});

describe.each(WIRES)("a slow body over $name", (wire) => {
  test.each<[string, number]>([
    ["that stops is answered with DEADLINE_EXCEEDED", 60_000],
    ["that trickles is answered with DEADLINE_EXCEEDED", 100],
  ])("%s", async (_what, pauseMs) => {
    const stop = new AbortController();
    const request = wire.request(wire.encode({ userId: "slow", data: { note: "x".repeat(1_000) } }));
    async function* slowly() {
      for (const byte of request.body) {
        yield Buffer.of(byte);
        await sleep(pauseMs, undefined, { signal: stop.signal }).catch(() => {});
      }
    }
    const start = performance.now();
    const answer = await bystander.isServedDuring(() => exchange(server.url, { ...request, body: slowly() }));
    const milliseconds = performance.now() - start;
    stop.abort();
    expect(wire.read(answer)).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
    expect(milliseconds).toBeGreaterThan(LIMITS.bodyMs - 50);
    expect(milliseconds).toBeLessThan(LATEST_MS);
  });
});

describe("a request body after its answer", () => {
  const path = "/resources/v3alpha/users";

  test.each<[string, (() => string) | undefined]>([
    ["that never comes", undefined],
    ["that never ends", () => "1\r\nx\r\n"],
  ])("%s ends the connection over HTTP/1.1, after the answer", async (_what, keepOn) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const { received } = await untilClosed(head, keepOn);
    expect(received.toString()).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("that is complete leaves the connection to the next request", async () => {
    const { socket, write, received } = await openRaw(server.url);
    try {
      write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n`);
      await once(socket, "data");
      write("{}");
      // Without the body the connection would be closed by now.
      await sleep(1_200);
      write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await once(socket, "data");
      expect(received().toString()).toMatch(/^HTTP\/1\.1 401 .*HTTP\/1\.1 200 /s);
    } finally {
      socket.destroy();
    }
  });

  test.each<[string, Record<string, string>, number]>([
    ["that was not read", {}, 401],
    ["that timed out", { authorization: `Bearer ${ADMIN_TOKEN}` }, 504],
  ])("%s ends its stream and not the connection over HTTP/2", async (_what, headers, status) => {
    const session = connect(server.url);
    try {
      const stream = session.request({ ":method": "POST", ":path": path, ...headers });
      const [head] = await once(stream, "response");
      expect(head[":status"]).toBe(status);
      stream.resume();
      await once(stream, "close");
      expect(stream.rstCode).toBe(0);
      const next = session.request({ ":path": "/healthz" });
      expect((await once(next, "response"))[0][":status"]).toBe(200);
    } finally {
      session.destroy();
    }
  });
});

describe("an answer that its client does not read", () => {
  test("ends its stream and not the connection over HTTP/2", async () => {
    const { socket, write, received } = await openRaw(server.url);
    const types = () => frameTypes(received());
    try {
      const noWindow = frame(
        FRAME.SETTINGS,
        0,
        0,
        Buffer.from([0, constants.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 0, 0]),
      );
      const get = frame(FRAME.HEADERS, END_STREAM | END_HEADERS, 1, headerBlock(GET));
      const start = performance.now();
      write(Buffer.concat([PREFACE, noWindow, get]));
      while (!types().includes(FRAME.RST_STREAM) && performance.now() - start < LATEST_MS) await sleep(5);
      expect(types()).toEqual(expect.arrayContaining([FRAME.HEADERS, FRAME.RST_STREAM]));
      expect(performance.now() - start).toBeGreaterThan(LIMITS.streamEndMs - 50);
      expect(types()).not.toContain(FRAME.GOAWAY);
    } finally {
      socket.destroy();
    }
  });

  test("ends the connection over HTTP/1.1", async () => {
    const rest = WIRES.find(({ name }) => name === "REST")!;
    const user = rest.encode({ userId: "large", data: { note: "x".repeat(60_000) } });
    expect(rest.read(await exchange(server.url, rest.request(user)))).toMatchObject({ code: "OK" });
    const get = `GET /resources/v3alpha/users/large HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n\r\n`;
    // More than the buffers on the way can hold.
    await bystander.isServedDuring(() => untilLetGo(Buffer.from(get.repeat(500)), { reads: false, keepOn: get }));
  });
});

describe("a connection whose client sent GOAWAY is closed", () => {
  const goaway = frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8));
  const get = frame(FRAME.HEADERS, END_STREAM | END_HEADERS, 1, headerBlock(GET));
  const post = frame(FRAME.HEADERS, END_HEADERS, 1, headerBlock({ ...GET, ":method": "POST" }));

  test.each<[string, Buffer[]]>([
    ["without other frames", [goaway]],
    ["after a request", [get, goaway]],
    ["before a request", [goaway, get]],
    ["after an incomplete request", [post, goaway]],
    ["twice", [goaway, get, goaway]],
  ])("%s, even if the client does not hang up", async (_what, frames) => {
    await untilLetGo(Buffer.concat([HTTP2_START, ...frames]));
  });

  test("after its last stream has ended, and not earlier", async () => {
    const { socket, write, received } = await openRaw(server.url);
    try {
      const watch = {
        ...GET,
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Watch",
        "content-type": "application/grpc",
      };
      write(
        Buffer.concat([
          HTTP2_START,
          frame(FRAME.HEADERS, END_HEADERS, 1, headerBlock(watch)),
          frame(FRAME.DATA, END_STREAM, 1, Buffer.alloc(5)),
          goaway,
        ]),
      );
      await sleep(2 * LIMITS.sessionIdleMs + 1_000);
      expect(socket.closed).toBe(false);
      expect(frameTypes(received())).toContain(FRAME.DATA);
      write(frame(FRAME.RST_STREAM, 0, 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])));
      if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(LATEST_MS) });
    } finally {
      socket.destroy();
    }
  });
});

describe("an idle connection is closed", () => {
  test("over HTTP/1.1 after its last answer", async () => {
    const get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const { received, milliseconds } = await untilClosed(get);
    expect(received.toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(milliseconds).toBeGreaterThan(LIMITS.keepAliveMs - 50);
  });

  test("over HTTP/1.1 even if its client sends empty lines", async () => {
    const { received } = await untilClosed("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", () => "\r\n");
    expect(received.toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(received.toString().match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test("over HTTP/2 by GOAWAY, with and without pings", async () => {
    const session = connect(server.url);
    try {
      const goaway = once(session, "goaway");
      const closed = once(session, "close");
      const start = performance.now();
      const stream = session.request({ ":path": "/healthz" });
      await once(stream, "response");
      stream.resume();
      const pings = setInterval(() => !session.destroyed && session.ping(() => {}), 100);
      const [code] = await bystander.isServedDuring(() => goaway);
      await closed;
      clearInterval(pings);
      expect(code).toBe(0);
      expect(performance.now() - start).toBeGreaterThan(LIMITS.sessionIdleMs - 50);
      expect(performance.now() - start).toBeLessThan(LATEST_MS);
    } finally {
      session.destroy();
    }
  });

  test("over HTTP/2 even if the client does not answer the GOAWAY", async () => {
    const { received, milliseconds } = await untilClosed(HTTP2_START);
    expect(frameTypes(received)).toContain(FRAME.GOAWAY);
    expect(milliseconds).toBeGreaterThan(LIMITS.sessionIdleMs - 50);
  });

  test("over HTTP/2 even if the client neither answers the GOAWAY nor hangs up", async () => {
    await untilLetGo(HTTP2_START);
  });

  test("over HTTP/2 even if its only request was reset in the same packet", async () => {
    const post = frame(FRAME.HEADERS, END_HEADERS, 1, headerBlock({ ...GET, ":method": "POST" }));
    const cancel = frame(FRAME.RST_STREAM, 0, 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]));
    const { received } = await untilClosed(Buffer.concat([HTTP2_START, post, cancel]));
    expect(frameTypes(received)).toContain(FRAME.GOAWAY);
  });

  test("only without an open stream", async () => {
    const session = connect(server.url);
    try {
      const head = { ":method": "POST", ":path": "/grpc.health.v1.Health/Watch", "content-type": "application/grpc" };
      const stream = session.request(head);
      stream.end(Buffer.alloc(5));
      await once(stream, "response");
      await sleep(2 * LIMITS.sessionIdleMs + 1_000);
      expect({ destroyed: session.destroyed, closed: stream.closed }).toEqual({ destroyed: false, closed: false });
    } finally {
      session.destroy();
    }
  });
});
