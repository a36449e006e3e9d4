// Proves that broken and hostile input neither stops a server nor fills its memory.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { exchange, openRaw, type RawConnection } from "../../support/clients/http.ts";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  frameTypes,
  headerBlock,
  PREFACE,
} from "../../support/clients/http2-frames.ts";
import { WIRES, type Wire, type WireRequest } from "../../support/clients/wires.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

/** A limit in MiB. A server starts with about 150, and stays below 450 during any flood. */
const MAX_RESIDENT_MIB = 600;
const SEED = 20_240_607;

let server: ServerProcess;
let bystander: Bystander;

beforeAll(async () => {
  server = await startServer();
  bystander = await bystanderOf(server.url);
});

afterAll(async () => {
  bystander?.close();
  await server?.stop();
});

/** Expects that the server lives, logged no unexpected error, has bounded memory, and serves calls. */
afterEach(async () => {
  expect({ exit: server.child.exitCode, signal: server.child.signalCode }).toEqual({ exit: null, signal: null });
  const lines = server.stderr().split("\n");
  expect(lines.filter((line) => /uncaught|unhandled|warning|"level":"(error|fatal)"/i.test(line)).slice(0, 3)).toEqual(
    [],
  );
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.child.pid}/status`, "utf8")) ?? [];
  expect(Number(kilobytes) / 1024).toBeLessThan(MAX_RESIDENT_MIB);
  const [rest] = WIRES as [Wire];
  expect(rest.read(await exchange(server.url, rest.request(rest.encode({}))))).toMatchObject({ code: "OK" });
});

/** Sends bytes piece by piece with short pauses, and waits for the expected answer. */
async function answerTo(pieces: readonly (Uint8Array | string)[], expected: RegExp): Promise<Buffer> {
  const { socket, write, received } = await openRaw(server.url);
  try {
    for (const piece of pieces) {
      write(piece);
      await sleep(1);
    }
    const end = performance.now() + 5_000;
    const isThere = () => expected.test(received().toString("latin1"));
    while (!isThere() && !socket.closed && performance.now() < end) await sleep(5);
    expect(received().toString("latin1")).toMatch(expected);
    return received();
  } finally {
    socket.destroy();
  }
}

const BAD_REQUEST = /^HTTP\/1\.1 400 /;

describe("a request without a usable authority or path is answered with 400:", () => {
  test.each([
    ["Host: a b", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"],
    ["Host: [", "GET /healthz HTTP/1.1\r\nHost: [\r\n\r\n"],
    ["HTTP/1.1 without a Host", "GET /healthz HTTP/1.1\r\n\r\n"],
    ["HEAD with a broken Host", "HEAD /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"],
    ["two Hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["the same Host twice", "GET /healthz HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n"],
    ["an empty Host and another", "GET /healthz HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n"],
    ["two empty Hosts", "GET /healthz HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n"],
    ["HTTP/1.0 with two Hosts", "GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["a URL of another scheme", "GET ftp://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["Host: a/b", "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n"],
    ["a backslash in the path", "GET /\\x/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["an invalid URL", "GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ])("%s", async (_what, request) => {
    await answerTo([request], BAD_REQUEST);
  });

  test.each(["a:b:c", "["])("HTTP/2 with :authority: %s", async (authority) => {
    const session = connect(server.url);
    try {
      const stream = session.request({ ":path": "/healthz", ":authority": authority });
      const [head] = await once(stream, "response");
      expect(head[":status"]).toBe(400);
      const error = JSON.parse(Buffer.concat(await stream.toArray()).toString());
      expect(error).toMatchObject({ code: 3, details: [{ reason: "INVALID_REQUEST" }] });
    } finally {
      session.destroy();
    }
  });
});

test.each([
  ["HTTP/1.0 without a Host", "GET /healthz HTTP/1.0\r\n\r\n"],
  ["HTTP/1.0 with an empty Host", "GET /healthz HTTP/1.0\r\nHost:\r\n\r\n"],
  ["HTTP/1.0 with a Host", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"],
  ["HTTP/1.1 with an empty Host", "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n"],
  ["HTTP/1.1 with a whole URL", "GET http://localhost/healthz HTTP/1.1\r\nHost:\r\n\r\n"],
])("a request of %s is answered with 200", async (_what, request) => {
  await answerTo([request], /^HTTP\/1\.1 200 [\s\S]*ok\n$/);
});

test("a request with two Authorization headers is refused, even if the first is valid", async () => {
  const lines = ["POST /resources/v3alpha/users/_search HTTP/1.1", "Host: localhost", "Content-Length: 0"];
  const twice = [`Authorization: Bearer ${ADMIN_TOKEN}`, "Authorization: Bearer x", "", ""];
  await answerTo([[...lines, ...twice].join("\r\n")], /^HTTP\/1\.1 401 [\s\S]*TOKEN_INVALID/);
});

describe("an HTTP/2 request with an invalid :path is answered with 400 and not logged as an error:", () => {
  test.each(["foo:toString", "foo:constructor", "foo:__proto__", "foo:valueOf", "foo:/healthz", "healthz"])(
    "%s",
    async (path) => {
      const session = connect(server.url);
      try {
        for (const verb of ["GET", "HEAD"]) {
          const named = { ":method": verb, ":scheme": "foo", ":path": path, ":authority": "a" };
          const [head] = await once(session.request(named), "response");
          expect(head[":status"]).toBe(400);
        }
        expect(server.stderr()).not.toContain('"level":"error"');
      } finally {
        session.destroy();
      }
    },
  );
});

test.each(["//x/healthz", "//a:b:c/", "//x/userlock.v3alpha.UserService/LockUser"])(
  "the path %s is not treated as the path that it ends with",
  async (path) => {
    await answerTo([`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`], /^HTTP\/1\.1 404 /);
  },
);

describe("the HTTP/2 preface", () => {
  const block = headerBlock({ ":method": "GET", ":scheme": "http", ":path": "/healthz", ":authority": "localhost" });
  const get = Buffer.concat([frame(FRAME.SETTINGS, 0, 0), frame(FRAME.HEADERS, END_STREAM | END_HEADERS, 1, block)]);
  const lengths = Array.from({ length: PREFACE.length - 1 }, (_, index) => index + 1);
  const isServed = async (pieces: Uint8Array[]) => {
    const answer = await answerTo(pieces, /ok\n/);
    expect(frameTypes(answer)).toEqual(expect.arrayContaining([FRAME.SETTINGS, FRAME.HEADERS, FRAME.DATA]));
  };

  test("is recognised in any two pieces", async () => {
    await Promise.all(lengths.map((length) => isServed([PREFACE.subarray(0, length), PREFACE.subarray(length), get])));
  });

  test("is recognised with its first frames in any two pieces", async () => {
    const all = Buffer.concat([PREFACE, get]);
    await Promise.all(lengths.map((length) => isServed([all.subarray(0, length + 10), all.subarray(length + 10)])));
  });

  test("is recognised byte by byte", async () => {
    await isServed([...PREFACE, ...get].map((byte) => Buffer.of(byte)));
  });

  test("is refused with garbage after any part of it", async () => {
    await Promise.all(
      lengths.map((length) => answerTo([PREFACE.subarray(0, length), "\0garbage\r\n\r\n"], BAD_REQUEST)),
    );
  });

  test("is followed by GOAWAY if garbage comes after it", async () => {
    const connection = await openRaw(server.url);
    connection.write(Buffer.concat([PREFACE, Buffer.from("garbage, and then some more of it")]));
    expect(frameTypes(await connection.closed())).toContain(FRAME.GOAWAY);
  });
});

test("an HTTP/2 client that hangs up early leaves no connection behind", async () => {
  const connection = await openRaw(server.url);
  connection.write(Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0)]));
  await once(connection.socket, "data");
  connection.socket.end();
  await connection.closed(1_000);
});

test("hundreds of clients that never finish a request do not delay others", async () => {
  const connections: RawConnection[] = [];
  const sessions: ClientHttp2Session[] = [];
  try {
    await bystander.isServedDuring(async () => {
      const beginnings = [
        "",
        "P",
        PREFACE.subarray(0, 20),
        "GET / HTTP/1.1\r\nX: ",
        `POST /x HTTP/1.1\r\nHost: localhost\r\n`,
      ];
      for (let round = 0; round < 60; round++) {
        for (const beginning of beginnings) {
          const connection = await openRaw(server.url);
          connections.push(connection);
          if (beginning.length > 0) connection.write(beginning);
        }
      }
      for (const wire of WIRES) {
        const { path, headers, body } = wire.request(wire.encode({ userId: "slow" }));
        const session = connect(server.url);
        session.on("error", () => {});
        sessions.push(session);
        for (let count = 0; count < 50; count++) {
          const stream = session.request({ ":method": "POST", ":path": path, ...headers });
          stream.on("error", () => {});
          stream.write(body.subarray(0, 3));
        }
      }
      await sleep(500);
    });
  } finally {
    for (const { socket } of connections) socket.destroy();
    for (const session of sessions) session.destroy();
  }
});

describe.each(WIRES.filter(({ isFramed }) => isFramed))("a frame over $name", (wire) => {
  const message = wire.encode({ schemaId: "framed" });
  const gzip = gzipSync(message);
  const whole = () => wire.request(message);
  const withEncoding = (request: WireRequest, encoding: string) => {
    request.headers["grpc-encoding"] = encoding;
    return request;
  };
  const unreadable = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" };
  const notServed = { code: "UNIMPLEMENTED", reason: "NOT_SERVED" };
  const unannounced = { code: "INTERNAL", reason: "ENCODING_MISSING" };
  const tooLarge = { code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE" };

  test.each<[string, object, () => WireRequest]>([
    ["with less than its length", unreadable, () => wire.request(message, { length: message.length + 1 })],
    ["with a length of 4 GiB", tooLarge, () => wire.request(message, { length: 2 ** 32 - 1 })],
    ["that ends within its header", unreadable, () => ({ ...whole(), body: whole().body.subarray(0, 4) })],
    ["that is missing", notServed, () => ({ ...whole(), body: Buffer.alloc(0) })],
    [
      "that is followed by another",
      notServed,
      () => ({ ...whole(), body: Buffer.concat([whole().body, whole().body]) }),
    ],
    ["with the compression flag but no encoding header", unannounced, () => wire.request(message, { flag: 1 })],
    ["with invalid gzip data", unreadable, () => withEncoding(wire.request(message, { flag: 1 }), "gzip")],
    [
      "with truncated gzip data",
      unreadable,
      () => withEncoding(wire.request(gzip.subarray(0, -9), { flag: 1 }), "gzip"),
    ],
    ["in an unknown compression", notServed, () => withEncoding(wire.request(message, { flag: 1 }), "x-none")],
  ])("%s is refused", async (_what, expected, request) => {
    expect(wire.read(await exchange(server.url, request()))).toMatchObject(expected);
  });
});

test.each([
  ["is not base64", "AAAA!AAA"],
  ["ends within a group of four characters", "AAAAAAA"],
  ["has padding in the middle of a group of four characters", "A=AAAAAA"],
])("a body of gRPC-Web text that %s is refused", async (_what, body) => {
  const wire = WIRES.find(({ name }) => name === "gRPC-Web text")!;
  const answer = await exchange(server.url, { ...wire.request(Buffer.alloc(0)), body });
  expect(wire.read(answer)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
});

test("a connection that opens and resets thousands of streams is closed", async () => {
  const grpc = WIRES.find(({ name }) => name === "gRPC")!;
  const { path, headers, body } = grpc.request(grpc.encode({}));
  const block = headerBlock({
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    ...headers,
  });
  const cancel = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]);
  const flood = Buffer.concat([
    PREFACE,
    frame(FRAME.SETTINGS, 0, 0),
    ...Array.from({ length: 5_000 }, (_, index) => {
      const stream = 2 * index + 1;
      return Buffer.concat([
        frame(FRAME.HEADERS, END_HEADERS, stream, block),
        frame(FRAME.DATA, 0, stream, body),
        frame(FRAME.RST_STREAM, 0, stream, cancel),
      ]);
    }),
  ]);
  await bystander.isServedDuring(async () => {
    for (let round = 0; round < 5; round++) {
      const connection = await openRaw(server.url);
      connection.write(flood);
      expect(frameTypes(await connection.closed())).toContain(FRAME.GOAWAY);
    }
  });
});

const USERS = "/resources/v3alpha/users";
test.each([
  ["expects 100-continue", 0, { ":method": "POST", ":path": USERS, expect: "100-continue" }],
  ["starts an event stream", END_STREAM, { ":method": "GET", ":path": "/resources/v3alpha/events/_watch" }],
])("a request that %s and is reset in the same packet does no harm", async (_what, flags, headers) => {
  const block = headerBlock({ ":scheme": "http", ":authority": "localhost", ...headers });
  const cancel = Buffer.from([0, 0, 0, constants.NGHTTP2_PROTOCOL_ERROR]);
  const { socket, write, received } = await openRaw(server.url);
  try {
    write(
      Buffer.concat([
        PREFACE,
        frame(FRAME.SETTINGS, 0, 0),
        frame(FRAME.HEADERS, END_HEADERS | flags, 1, block),
        frame(FRAME.RST_STREAM, 0, 1, cancel),
        frame(FRAME.PING, 0, 0, Buffer.alloc(8)),
      ]),
    );
    const end = performance.now() + 2_000;
    while (!frameTypes(received()).includes(FRAME.PING) && performance.now() < end) await sleep(5);
    await sleep(100);
    expect(frameTypes(received())).toContain(FRAME.PING);
    expect(frameTypes(received())).not.toContain(FRAME.HEADERS);
  } finally {
    socket.destroy();
  }
});

describe("random bytes", () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
  const following = (beginning: Uint8Array | string, rest: fc.Arbitrary<Buffer>) =>
    rest.map((random) => Buffer.concat([Buffer.from(beginning), random]));
  const frames = fc
    .array(
      fc.tuple(fc.nat(12), fc.nat(255), fc.nat(7), bytes(60)).map((parts) => frame(...parts)),
      { maxLength: 10 },
    )
    .map((all) => Buffer.concat(all));
  const toPort = fc.oneof(
    bytes(300),
    following("POST /resources/v3alpha/users HTTP/1.1\r\n", bytes(300)),
    following("POST /resources/v3alpha/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", bytes(100)),
    following(PREFACE, bytes(300)),
    following(Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0)]), frames),
  );

  test("on the port do no harm, in 1,000 strings", async () => {
    const samples = fc.sample(toPort, { seed: SEED, numRuns: 1_000 });
    await bystander.isServedDuring(async () => {
      for (let at = 0; at < samples.length; at += 50) {
        const connections = await Promise.all(samples.slice(at, at + 50).map(() => openRaw(server.url)));
        for (const [index, { write }] of connections.entries()) write(samples[at + index] as Buffer);
        await sleep(50);
        for (const { socket } of connections) socket.destroy();
      }
    });
  });

  test.each(WIRES)("as a message over $name cause no server error, in 100 strings", async (wire) => {
    const samples = fc.sample(bytes(100), { seed: SEED, numRuns: 100 });
    const outcomes = await Promise.all(
      samples.map(async (sample) => wire.read(await exchange(server.url, wire.request(sample))).code),
    );
    // Some random bytes are a valid request by chance.
    expect(["INVALID_ARGUMENT", "OK", "UNIMPLEMENTED"]).toEqual(expect.arrayContaining([...new Set(outcomes)]));
    expect(outcomes).toContain("INVALID_ARGUMENT");
  });
});
