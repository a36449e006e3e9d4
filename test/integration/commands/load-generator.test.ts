// Proves that the load generator of the benchmarks counts calls correctly and reports failed ones.
import { once } from "node:events";
import { createServer as createHttp1Server, type RequestListener, type Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { http1Wires } from "../../../bench/load/http1-wire.ts";
import { grpcWires } from "../../../bench/load/http2-wire.ts";
import { load } from "../../../bench/load/load.ts";

/** A server answers all calls except one correctly. The generator must report that one. */

const COUNT = 200;
const BAD = 123;

let server: Server | Http2Server;

afterEach(async () => {
  server.close();
});

async function listening(): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const numberOf = (body: Buffer) => Number(body.toString().split("-")[1]);
const calls = (url: string) => ({
  url,
  path: "/service/method",
  headers: { "content-type": "application/grpc", authorization: "Bearer 1" },
  body: (call: number) => Buffer.from(`call-${call}`),
  expected: (call: number) => `call-${call};`,
});

const how = { from: 1, count: COUNT, connections: 3, inFlight: 12 };

async function overGrpc(answer: (stream: ServerHttp2Stream, call: number) => void, more: object = {}) {
  const seen: string[] = [];
  server = createHttp2Server({ settings: { maxConcurrentStreams: 3 } });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    seen.push(`${headers[":method"]} ${headers[":path"]} ${headers["content-type"]} ${headers.authorization}`);
    stream.once("data", (body: Buffer) => answer(stream, numberOf(body)));
  });
  const open = await grpcWires(calls(await listening()), 0);
  const result = await load(open, { ...how, ...more }).catch((error) => error.message);
  return { result, seen };
}

function grpcAnswer(stream: ServerHttp2Stream, trailers: Record<string, string>, ...data: string[]): void {
  stream.respond({ ":status": 200, date: String(Math.random()) }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  for (const text of data) stream.write(text);
  stream.end();
}

const good = (stream: ServerHttp2Stream, call: number) =>
  grpcAnswer(stream, { "grpc-status": "0" }, "call-", `${call};`);

describe("the load generator over gRPC", () => {
  test("counts successful calls with their times, and sends all headers with each", async () => {
    const { result, seen } = await overGrpc(good);
    expect(result).toMatchObject({ calls: COUNT, rate: expect.any(Number) });
    expect(result.times.length).toBe(COUNT);
    expect(result.times.every((time: number) => time > 0 && time < 10_000)).toBe(true);
    expect(seen).toEqual(new Array(1 + COUNT).fill("POST /service/method application/grpc Bearer 1"));
  });

  test.each<[what: string, answer: (stream: ServerHttp2Stream, call: number) => void, problem: string]>([
    [
      "gets another grpc-status than 0",
      (stream, call) => grpcAnswer(stream, { "grpc-status": "5" }, `call-${call};`),
      "grpc-status is not 0",
    ],
    [
      "gets only trailers",
      (stream) => stream.respond({ ":status": 200, "grpc-status": "9" }, { endStream: true }),
      "grpc-status is not 0",
    ],
    [
      "gets no trailers",
      (stream, call) => stream.respond({ ":status": 200 }) ?? stream.end(`call-${call};`),
      "no grpc-status",
    ],
    [
      "gets another call's answer",
      (stream) => grpcAnswer(stream, { "grpc-status": "0" }, "call-7;"),
      "an answer to another call",
    ],
    ["gets an empty answer", (stream) => grpcAnswer(stream, { "grpc-status": "0" }), "an answer to another call"],
    ["is reset", (stream) => stream.close(8), "reset with 8"],
  ])("fails if a call %s", async (_what, bad, problem) => {
    const { result } = await overGrpc((stream, call) => (call === BAD ? bad : good)(stream, call));
    expect(result).toBe(`not every answer was OK: 1 times ${problem} of ${COUNT}`);
  });

  test("fails if the server hangs up", async () => {
    const { result } = await overGrpc((stream, call) =>
      call === BAD ? stream.session?.destroy() : good(stream, call),
    );
    expect(result).toMatch(/closed|GOAWAY|ECONNRESET/);
  });

  test("counts a late call from when it was due at a fixed rate", async () => {
    // Each such call blocks the server for a while, so due calls wait.
    const busy = (stream: ServerHttp2Stream, call: number) => {
      if (call % 50 === 0) for (const until = performance.now() + 40; performance.now() < until; );
      good(stream, call);
    };
    const { result } = await overGrpc(busy, { perSecond: 1_000, connections: 1, inFlight: 1 });
    const late = result.times.filter((time: number) => time > 20);
    expect(late.length).toBeGreaterThan(4 * 10);
  });
});

describe("the load generator over HTTP/1.1", () => {
  async function overHttp1(listener: RequestListener, check?: (body: Buffer) => string | undefined) {
    server = createHttp1Server(listener);
    return load(http1Wires(calls(await listening()), check), how).catch((error) => error.message);
  }

  const answering =
    (answer: (response: Parameters<RequestListener>[1], call: number) => void): RequestListener =>
    (request, response) => {
      request.once("data", (body) => answer(response, numberOf(body)));
    };
  const good = (response: Parameters<RequestListener>[1], call: number) => {
    // Uses both ways to end a body.
    if (call % 2 === 0) response.setHeader("content-length", `call-${call};`.length);
    else response.write("");
    response.end(`call-${call};`);
  };

  test("counts successful calls", async () => {
    expect(await overHttp1(answering(good))).toMatchObject({ calls: COUNT });
  });

  test.each<[what: string, answer: (response: Parameters<RequestListener>[1], call: number) => void, problem: string]>([
    ["has another status", (response, call) => response.writeHead(503).end(`call-${call};`), "status 503"],
    ["is to another call", (response) => response.end("call-7;"), "an answer to another call"],
  ])("fails if an answer %s", async (_what, bad, problem) => {
    const result = await overHttp1(answering((response, call) => (call === BAD ? bad : good)(response, call)));
    expect(result).toBe(`not every answer was OK: 1 times ${problem} of ${COUNT}`);
  });

  test("fails if the body of an answer does not pass its check", async () => {
    const check = (body: Buffer) => (numberOf(body.subarray(0, -1)) === BAD ? "so and so" : undefined);
    expect(await overHttp1(answering(good), check)).toBe(`not every answer was OK: 1 times so and so of ${COUNT}`);
  });
});
