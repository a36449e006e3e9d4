// Proves that streams without a token are bounded.
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { connectFrom, LIST_SERVICES, OPEN_STREAMS, openStream, residentMib } from "../../support/watch/open-streams.ts";

const LIMITS = { openStreams: 8, openStreamsPerAddress: 4, openBodyBytesPerAddress: 200 * 1024 };
const TIMES = { reflectionIdleMs: 400, streamEndMs: 400 };
const NEVER_MS = 600_000;
const [WATCH, ...REFLECTION] = OPEN_STREAMS;

let server: ServerProcess;
let hasty: ServerProcess;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  [server, hasty] = await Promise.all([
    startServer({}, { ...LIMITS, reflectionIdleMs: NEVER_MS }),
    startServer({}, { ...LIMITS, ...TIMES }),
  ]);
});
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  // The server notices a moment later.
  await sleep(100);
});
afterAll(async () => {
  for (const each of [server, hasty]) expect(await each?.stop()).toBe(0);
});

function from(address: string, { url } = server, settings = {}): ClientHttp2Session {
  const session = connectFrom(url, address, settings);
  sessions.push(session);
  return session;
}

describe.each(OPEN_STREAMS)("streams of $name without a token", (kind) => {
  test("are limited in total and for each address, with smaller shares as they fill up", async () => {
    const served: number[] = [];
    for (let address = 1; address <= 5; address++) {
      const session = from(`127.0.0.${address}`);
      let count = 0;
      let outcome = await openStream(session, kind).outcome;
      for (; outcome === "served"; outcome = await openStream(session, kind).outcome) count++;
      expect(outcome).toBe("TOO_MANY_REQUESTS");
      served.push(count);
    }
    expect(served).toEqual([LIMITS.openStreamsPerAddress, 2, 1, 1, 0]);
  });

  test("free their places when their clients leave", async () => {
    const one = from("127.0.0.1");
    for (let round = 0; round < 3; round++) {
      const streams = Array.from({ length: LIMITS.openStreamsPerAddress }, () => openStream(one, kind));
      for (const { outcome } of streams) expect(await outcome).toBe("served");
      for (const { stream } of streams) stream.close();
      await sleep(100);
    }
  });
});

test("streams of health and of both versions of reflection are counted together", async () => {
  const one = from("127.0.0.1");
  const kinds = [...OPEN_STREAMS, ...OPEN_STREAMS].slice(0, LIMITS.openStreamsPerAddress);
  for (const kind of kinds) expect(await openStream(one, kind).outcome).toBe("served");
  for (const kind of OPEN_STREAMS) expect(await openStream(one, kind).outcome).toBe("TOO_MANY_REQUESTS");
});

test.each([
  ["application/grpc-web+proto", Buffer.alloc(5)],
  ["application/grpc-web-text", Buffer.from(Buffer.alloc(5).toString("base64"))],
  ["application/connect+json", Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")])],
])("a health watch as %s counts like one by gRPC", async (type, body) => {
  const leaving = new AbortController();
  const watch = async () => {
    const headers = { "content-type": type };
    const { signal } = leaving;
    const { body: answer } = await fetch(`${server.url}${WATCH!.path}`, { method: "POST", headers, body, signal });
    const { value } = await answer!.getReader().read();
    const bytes = Buffer.from(value!);
    const text = type.endsWith("text") ? Buffer.from(bytes.toString(), "base64").toString() : bytes.toString();
    return /TOO_MANY_REQUESTS|grpc-status: 8|resource_exhausted/.test(text) ? "refused" : "served";
  };
  try {
    for (let open = 0; open < LIMITS.openStreamsPerAddress; open++) expect(await watch()).toBe("served");
    expect(await watch()).toBe("refused");
  } finally {
    leaving.abort();
  }
});

describe.each(REFLECTION)("a stream of $name", (kind) => {
  test("ends if it gets no complete request, even if its client sends single bytes", async () => {
    const session = from("127.0.0.1", hasty);
    const silent = openStream(session, kind);
    const dripping = openStream(session, kind);
    const drip = setInterval(() => dripping.stream.write(Buffer.alloc(1)), 150);
    try {
      for (const { outcome, ended } of [silent, dripping]) {
        expect(await outcome).toBe("served");
        expect(await ended).toBe("DEADLINE_EXCEEDED");
      }
    } finally {
      clearInterval(drip);
    }
  });

  test("stays open for a client that continues to send requests, even byte by byte", async () => {
    const asking = openStream(from("127.0.0.1", hasty), kind);
    expect(await asking.outcome).toBe("served");
    for (let asked = 0; asked < 6; asked++) {
      const answer = once(asking.stream, "data");
      for (const byte of LIST_SERVICES) asking.stream.write(Buffer.from([byte]));
      await answer;
      await sleep(TIMES.reflectionIdleMs / 4);
    }
    expect(asking.stream.closed).toBe(false);
  });
});

test.each<[string, (stream: ClientHttp2Stream) => void]>([
  ["resets the stream", (stream) => stream.close(constants.NGHTTP2_CANCEL)],
  ["closes the connection", (stream) => stream.session?.destroy()],
])("a client that sends many reflection requests, reads nothing and %s frees its places", async (_how, leave) => {
  const [kind] = REFLECTION;
  for (let round = 0; round < 4; round++) {
    const streams = Array.from({ length: LIMITS.openStreamsPerAddress }, () => {
      const { stream } = openStream(from("127.0.0.1", server, { initialWindowSize: 0 }), kind!);
      stream.write(Buffer.concat(Array(200).fill(LIST_SERVICES)));
      return stream;
    });
    await sleep(100);
    for (const stream of streams) leave(stream);
    await sleep(100);
  }
  const later = from("127.0.0.1");
  for (const each of OPEN_STREAMS) expect(await openStream(later, each).outcome).toBe("served");
});

test.each(OPEN_STREAMS)("a client of $name that reads nothing is cut, and its place is free again", async (kind) => {
  const deaf = from("127.0.0.1", hasty, { initialWindowSize: 0 });
  const streams = Array.from({ length: LIMITS.openStreamsPerAddress }, () => openStream(deaf, kind));
  for (const { ended } of streams) await ended;
  expect(await openStream(from("127.0.0.1", hasty), kind).outcome).toBe("served");
});

test("6,000 streams without a token do not exhaust a server of 512 MiB, and another caller is served", async () => {
  const small = await startServer({ NODE_OPTIONS: "--max-old-space-size=512" }, { reflectionIdleMs: NEVER_MS });
  const bystander: Bystander = await bystanderOf(small.url);
  const open: ClientHttp2Session[] = [];
  try {
    const before = residentMib(small.child.pid);
    const outcomes = await bystander.isServedDuring(async () => {
      const all: string[] = [];
      for (let connection = 0; connection < 25; connection++) {
        const session = connectFrom(small.url, `127.0.0.${1 + connection}`);
        open.push(session);
        await once(session, "remoteSettings");
        const kind = OPEN_STREAMS[connection % OPEN_STREAMS.length]!;
        all.push(...(await Promise.all(Array.from({ length: 240 }, () => openStream(session, kind).outcome))));
      }
      return all;
    });
    const served = outcomes.filter((outcome) => outcome === "served").length;
    expect(served).toBeLessThanOrEqual(1_000);
    expect(served).toBeGreaterThan(900);
    expect(new Set(outcomes)).toEqual(new Set(["served", "TOO_MANY_REQUESTS"]));
    expect(residentMib(small.child.pid) - before).toBeLessThan(250);
  } finally {
    for (const session of open) session.destroy();
    bystander.close();
    expect(await small.stop()).toBe(0);
  }
});
