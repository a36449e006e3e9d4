// Proves that unfinished bodies in tiny pieces need no more memory than their bytes.
import { setTimeout as sleep } from "node:timers/promises";
import { openRaw } from "../../support/clients/http.ts";
import { END_HEADERS, FRAME, frame, frameTypes, headerBlock, PREFACE } from "../../support/clients/http2-frames.ts";
import { bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { residentMib } from "../../support/watch/open-streams.ts";

/** The one-byte pieces of each request, and the number of concurrent requests. */
const PIECES = 50_000;
const REQUESTS = 16;
/** Pieces that are sent without a pause. */
const BURST = 1_000;
/** A heap in MiB that is enough for the server, and too small for the pieces of all requests. */
const SMALL_HEAP_MIB = 80;
/** The growth limit of a server of 512 MiB. Kept piece by piece, all requests would need more than its heap. */
const MAX_GROWTH_MIB = 150;

const authorization = `Bearer ${ADMIN_TOKEN}`;
const json = { authorization, "content-type": "application/json" };
const LOCK = "/userlock.v3alpha.UserService/LockUser";
const DOORS: [name: string, path: string, headers: Record<string, string>][] = [
  ["a call in JSON", LOCK, json],
  ["a call by gRPC", LOCK, { authorization, "content-type": "application/grpc" }],
  ["a call by gRPC-Web in base64", LOCK, { authorization, "content-type": "application/grpc-web-text" }],
  ["a compressed call", LOCK, { ...json, "content-encoding": "gzip" }],
  [
    "a watch",
    "/userlock.v3alpha.EventService/WatchEvents",
    { authorization, "content-type": "application/connect+json" },
  ],
  [
    "a watch in base64",
    "/userlock.v3alpha.EventService/WatchEvents",
    { authorization, "content-type": "application/grpc-web-text" },
  ],
  ["a call by REST", "/resources/v3alpha/users/x/_lock", json],
  ["introspection", "/oauth/v2/introspect", { authorization, "content-type": "application/x-www-form-urlencoded" }],
  ["a health check, without a token", "/grpc.health.v1.Health/Check", { "content-type": "application/json" }],
  [
    "reflection, without a token",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    { "content-type": "application/grpc" },
  ],
];

/** The start of an incomplete message. A framed one has a length of 65,280 bytes. */
const FRAME_START = Buffer.from([0, 0, 0, 0xff]);

/** Sends a request on its own connection in pieces of one byte. */
async function openDripping(url: string, [, path, headers]: (typeof DOORS)[number]) {
  const { socket, write, received } = await openRaw(url);
  const type = headers["content-type"] as string;
  const isText = type.endsWith("text");
  const fields = { ":method": "POST", ":scheme": "http", ":authority": "x", ":path": path, ...headers };
  const start = /grpc|connect/.test(type) && !isText ? [...FRAME_START] : [];
  const piece = (byte: number) => frame(FRAME.DATA, 0, 1, Buffer.of(byte));
  const head = frame(FRAME.HEADERS, END_HEADERS, 1, headerBlock(fields));
  write(Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0), head, ...start.map(piece)]));
  const burst = Buffer.concat([
    ...Array<Buffer>(BURST).fill(piece((isText ? "A" : " ").charCodeAt(0))),
    frame(FRAME.PING, 0, 0, Buffer.alloc(8)),
  ]);
  let pings = 0;
  return {
    socket,
    /** Resolves when the server has read the pieces. */
    async drip(): Promise<void> {
      write(burst);
      pings++;
      const pongs = () => frameTypes(received()).filter((each) => each === FRAME.PING).length;
      while (!socket.destroyed && pongs() < pings) await sleep(1);
    },
  };
}

/** Sends unfinished bodies to each door while another caller is served. Returns the growth of memory. */
async function drip({ url, child }: ServerProcess, doors: typeof DOORS, requests: number): Promise<number> {
  const bystander = await bystanderOf(url);
  const before = residentMib(child.pid);
  const open = await Promise.all(
    doors.flatMap((door) => Array.from({ length: requests }, () => openDripping(url, door))),
  );
  try {
    let most = before;
    await bystander.isServedDuring(async () => {
      for (let sent = 0; sent < PIECES; sent += BURST) {
        await Promise.all(open.map((each) => each.drip()));
        most = Math.max(most, residentMib(child.pid));
      }
    });
    expect(child.exitCode).toBeNull();
    expect(open.filter(({ socket }) => socket.destroyed)).toEqual([]);
    return most - before;
  } finally {
    for (const { socket } of open) socket.destroy();
    bystander.close();
  }
}

const withHeap = (mebibytes: number) => startServer({ NODE_OPTIONS: `--max-old-space-size=${mebibytes}` });

describe("unfinished bodies in pieces of one byte", () => {
  let server: ServerProcess;
  beforeEach(async () => {
    server = await withHeap(SMALL_HEAP_MIB);
  });
  afterEach(async () => {
    expect(await server?.stop()).toBe(0);
  });

  test.each(DOORS)("need only the memory of their bytes in %s, and another caller is served", async (...door) => {
    await drip(server, [door], REQUESTS);
  });
});

test("unfinished bodies in all kinds of calls at once do not exhaust a server of 512 MiB, and another caller is served", async () => {
  const server = await withHeap(512);
  try {
    expect(await drip(server, DOORS, REQUESTS / 2)).toBeLessThan(MAX_GROWTH_MIB);
  } finally {
    expect(await server.stop()).toBe(0);
  }
});
