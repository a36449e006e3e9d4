// Proves that the messages of a stream are framed, buffered and paced.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, fromJsonString } from "@bufbuild/protobuf";
import {
  EventService,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { createQuota } from "../../../src/app/fairness.ts";
import { createTail } from "../../../src/app/follow/tail.ts";
import { createWatch } from "../../../src/app/follow/watch.ts";
import { eventMethods } from "../../../src/rpc/services/events.ts";
import { createBacklog } from "../../../src/rpc/shares.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { inText } from "../../../src/transport/grpc/grpc-web-text.ts";
import { Http1Exchange } from "../../../src/transport/http/exchange.ts";
import { createOutflow } from "../../../src/transport/streams/backpressure.ts";
import { createChannel, writeStreamed } from "../../../src/transport/streams/channel.ts";
import { type Encode, framesOf } from "../../../src/transport/streams/frames.ts";
import { openRaw } from "../../support/clients/http.ts";
import { until } from "../../support/stores/appends.ts";
import { happen, VIEWER } from "../../support/watch/watching.ts";

const LIMITS = { watcherBytes: 1_000, watcherStallMs: 50 };
const frames = framesOf(WatchEventsResponseSchema);
const channelOf = (limits = LIMITS) => createChannel(limits, createBacklog(Number.MAX_SAFE_INTEGER), () => "");
const message = (cursor: string) => create(WatchEventsResponseSchema, { cursor });

/** A response that records its writes, and completes them when the test allows. */
function response() {
  const chunks: Buffer[] = [];
  const taken: (() => void)[] = [];
  let isTaking = true;
  const out = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      if (isTaking) done();
      else taken.push(done);
    },
  });
  return {
    out,
    chunks,
    stop() {
      isTaking = false;
    },
    take() {
      isTaking = true;
      for (const done of taken.splice(0)) done();
    },
  };
}

const cursors = (chunks: Buffer[]) =>
  chunks.map((chunk) => fromBinary(WatchEventsResponseSchema, chunk.subarray(5)).cursor);

describe("the channel of a stream", () => {
  test("gives the first message to the door, and buffers others until the response opens", async () => {
    const channel = channelOf();
    const { out, chunks } = response();
    const first = channel.first(new Promise(() => {}));
    for (const cursor of ["1", "2", "3"]) expect(channel.send(message(cursor))).toBe(true);
    expect(await first).toMatchObject({ cursor: "1" });
    channel.open(createOutflow(out), frames.proto);
    channel.send(message("4"));
    await sleep(0);
    expect(cursors(chunks)).toEqual(["2", "3", "4"]);
  });

  test("buffers little before the response opens, and loses nothing of it", async () => {
    const channel = channelOf();
    const { out, chunks } = response();
    let sent = 0;
    while (channel.send(message(String(sent)))) sent++;
    expect(sent).toBeLessThan(200);
    const ready = channel.ready();
    channel.open(createOutflow(out), frames.proto);
    expect(await ready).toBe(true);
    await sleep(0);
    expect(cursors(chunks)).toEqual(Array.from({ length: sent - 1 }, (_, each) => String(each + 1)));
  });

  test("reports a stream that ended before its first message", async () => {
    const failed = Promise.reject(new Error("refused"));
    await expect(channelOf().first(failed)).rejects.toThrow("refused");
    expect(await channelOf().first(Promise.resolve())).toBeUndefined();
  });

  test("holds at most its limit of unread bytes", async () => {
    const channel = channelOf();
    const { out, stop, take } = response();
    channel.send(message("0"));
    channel.open(createOutflow(out), frames.proto);
    stop();
    let sent = 0;
    while (channel.send(message("x".repeat(90)))) sent++;
    expect(out.writableLength).toBeLessThanOrEqual(LIMITS.watcherBytes);
    expect(sent).toBe(Math.floor(LIMITS.watcherBytes / (5 + 92)));
    const ready = channel.ready();
    take();
    expect(await ready).toBe(true);
    expect(channel.ready()).toBeUndefined();
    expect(channel.send(message("x".repeat(90)))).toBe(true);
    await sleep(0);
    // A message above the limit waits only until it is the only one.
    expect(channel.send(message("x".repeat(2_000)))).toBe(true);
  });

  test("distinguishes a client that reads nothing from one that reads little", async () => {
    const channel = channelOf();
    const { out, stop, take } = response();
    channel.send(message("0"));
    expect(channel.ready()).toBeDefined();
    channel.open(createOutflow(out), frames.proto);
    stop();
    for (let sent = 0; sent < 9; sent++) channel.send(message("x".repeat(90)));
    expect(await channel.ready()).toBe(false);
    const ready = channel.ready();
    for (let time = 0; time < 4; time++) {
      await sleep(LIMITS.watcherStallMs / 2);
      take();
      stop();
    }
    take();
    expect(await ready).toBe(true);
  });

  test("does not wait for a closed client", async () => {
    const channel = channelOf();
    const { out, stop } = response();
    channel.send(message("0"));
    channel.open(createOutflow(out), frames.proto);
    stop();
    for (let sent = 0; sent < 9; sent++) channel.send(message("x".repeat(90)));
    const ready = channel.ready();
    out.destroy();
    expect(await ready).toBe(true);
    expect(channel.ready()).toBeUndefined();
    expect(channel.send(message("1"))).toBe(true);
  });
});

describe("a streamed response", () => {
  const MORE = 64 * 1024;
  const STALL_MS = 100;

  /** The received bytes of two pipelined HTTP/1.1 requests, of which the second has a streamed response. */
  async function pipelined(firstAfterMs: number): Promise<string> {
    const server = createServer((request, response) => {
      const exchange = new Http1Exchange(request, response, { expectsContinue: false, isLast: () => false });
      if (request.url === "/first") {
        setTimeout(() => exchange.answer({ status: 200, headers: {}, body: "first" }), firstAfterMs);
        return;
      }
      async function* body() {
        yield Buffer.from("second,");
        yield Buffer.alloc(MORE, "x");
        yield Buffer.from("last");
      }
      void writeStreamed({ status: 200, headers: {}, body: body() }, exchange, STALL_MS);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const connection = await openRaw(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    connection.write(
      "GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    const all = (await connection.closed()).toString();
    server.close();
    return all;
  }

  test("is not cut while it waits for an earlier pipelined response", async () => {
    const all = await pipelined(5 * STALL_MS);
    expect(all).toContain("first");
    expect(all.replaceAll(/\r\n[0-9a-f]+\r\n/g, "")).toContain(`second,${"x".repeat(MORE)}last`);
    expect(all.endsWith("last\r\n0\r\n\r\n")).toBe(true);
  });
});

test("gRPC, gRPC-Web and Connect have the same frames", () => {
  const one = message("12");
  const parts = (frame: Buffer) => [frame[0], frame.readUInt32BE(1), frame.subarray(5)] as const;
  const [flag, length, data] = parts(frames.proto(one));
  expect([flag, length]).toEqual([0, data.length]);
  expect(fromBinary(WatchEventsResponseSchema, data)).toEqual(one);
  expect(fromJsonString(WatchEventsResponseSchema, String(parts(frames.json(one))[2]))).toEqual(one);
  expect(Buffer.from(String(inText(frames.proto)(one)), "base64")).toEqual(frames.proto(one));
});

test("an event is encoded once for each encoding, for 1,000 watchers", async () => {
  const WATCHERS = 1_000;
  const EVENTS = 5;
  const store = await openSqliteStore(":memory:", "default");
  const onError = (error: unknown) => {
    throw error;
  };
  const tail = createTail({ store, onError });
  const places = createQuota({ total: 2 * WATCHERS, each: WATCHERS, full: "Too many watch." });
  const watch = createWatch({ store, tail, places, heartbeatMs: 60_000, onError });
  const { watchEvents } = eventMethods({
    listEvents: () => Promise.reject(new Error("not asked")),
    watch,
    readDenied: () => Promise.reject(new Error("not asked")),
  });
  const encodes: Encode[] = [frames.proto, frames.json, inText(frames.proto), inText(frames.json)];
  const gone = new AbortController();
  const written = encodes.map(() => new Set<Buffer>());
  let writes = 0;

  const streams = Array.from({ length: WATCHERS }, async (_, index) => {
    const channel = channelOf({ watcherBytes: 1_000_000, watcherStallMs: 1_000 });
    const caller = {
      principal: VIEWER,
      actor: { subject: VIEWER.subject },
      permission: "event.read" as const,
      readmit: async () => VIEWER,
      signal: gone.signal,
      response: {},
    };
    const ended = watchEvents(create(EventService.method.watchEvents.input), caller, {
      send: (sent: WatchEventsResponse) => channel.send(sent),
      ready: () => channel.ready(),
    }).catch(() => {});
    await channel.first(ended);
    const kind = index % encodes.length;
    const out = new Writable({
      // As Buffer objects, which the Set compares by identity.
      objectMode: true,
      write(chunk, _encoding, done) {
        written[kind]!.add(chunk);
        writes++;
        done();
      },
    });
    channel.open(createOutflow(out), encodes[kind]!);
    return ended;
  });
  await sleep(100);
  for (let event = 0; event < EVENTS; event++) await happen(store);
  await until(() => writes === WATCHERS * EVENTS);
  expect(written.map(({ size }) => size)).toEqual(encodes.map(() => EVENTS));
  gone.abort();
  await Promise.all(streams);
  await store.close();
});
