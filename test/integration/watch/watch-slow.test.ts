// Proves that watchers who do not read are cut, delay nobody, and can resume without a gap.
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  EventService,
  WatchEventsRequestSchema,
  WatchEventsResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { envelope } from "../../../src/transport/streams/frames.ts";
import { reasonOfGrpcStatus } from "../../support/clients/error-info.ts";
import { openRaw } from "../../support/clients/http.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { change, NOW } from "../../support/stores/appends.ts";
import { type EventStream, openWatchDoors, type WatchDoor } from "../../support/watch/watch-doors.ts";

/** The size of a large event, which soon fills the buffers of the system. */
const EVENT_BYTES = 100_000;
const EVENTS = 80;
/** How long a client may read nothing, and how long the end of its stream then waits, in milliseconds. */
const LIMITS = { watcherStallMs: 3_000, streamEndMs: 2_000 };

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let server: ServerProcess;
let store: EventStore;
let doors: WatchDoor[];

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}`, USERLOCK_LOG_LEVEL: "debug" }, LIMITS);
  store = await openSqliteStore(file, "default");
  doors = openWatchDoors(server.url);
});

afterAll(async () => {
  for (const door of doors ?? []) door.close();
  await store?.close();
  expect(await server?.stop()).toBe(0);
  folder.remove();
});

let objects = 0;
/** Appends large events in groups, and returns their ids. */
async function happen(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => `large-${++objects}`);
  const data = { cause: "manual", reason: "", note: "x".repeat(EVENT_BYTES), since: NOW };
  for (let at = 0; at < count; at += 10) {
    const some = ids.slice(at, at + 10);
    await Promise.all(
      some.map((id) => store.append(change(id, { events: [{ type: "user.locked", data }], userId: id }))),
    );
  }
  return ids;
}

const idsOf = (stream: EventStream) => stream.events().map(({ objectId }) => objectId);
const watch = (name: string, after?: string) =>
  doors.find((door) => door.name === name)!.watch(after === undefined ? {} : { after });

/** The number of watchers that the server has cut. */
const cuts = () => server.stderr().split("WATCHER_TOO_SLOW").length - 1;
async function isCut(before: number): Promise<void> {
  while (cuts() === before) await sleep(20);
}

/** A watcher that receives the first message, then reads nothing until `wake`. */
interface Sleeper {
  name: string;
  /** Reads the rest. Returns the reason of the end, or "cut" for a broken connection. */
  wake(): Promise<{ ids: string[]; cursor: string; reason: string }>;
}

async function sleeperOverHttp1(url = server.url): Promise<Sleeper> {
  const connection = await openRaw(url);
  connection.write(
    "GET /resources/v3alpha/events/_watch HTTP/1.1\r\nHost: localhost\r\n" +
      `Authorization: Bearer ${ADMIN_TOKEN}\r\nConnection: close\r\n\r\n`,
  );
  while (!connection.received().includes("id: ")) await sleep(5);
  connection.socket.pause();
  return {
    name: "server-sent events",
    async wake() {
      connection.socket.resume();
      // The chunk separators of HTTP/1.1 can be anywhere.
      const text = (await connection.closed()).toString().replaceAll(/\r\n[0-9a-f]+\r\n/g, "");
      const whole = text.slice(0, text.lastIndexOf("\n\n"));
      return {
        ids: [...whole.matchAll(/"objectId":"([^"]+)".*$/gm)].map(([, id]) => id as string),
        cursor: [...whole.matchAll(/^id: (\S+)/gm)].at(-1)![1] as string,
        reason: /^event: error\ndata: .*"reason":"(\w+)"/m.exec(text)?.[1] ?? "cut",
      };
    },
  };
}

/** Opens a gRPC watch. */
function requestWatch(session: ClientHttp2Session, after = ""): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${EventService.typeName}/${EventService.method.watchEvents.name}`,
    "content-type": "application/grpc",
    authorization: `Bearer ${ADMIN_TOKEN}`,
  });
  stream.on("error", () => {});
  const message = toBinary(WatchEventsRequestSchema, create(WatchEventsRequestSchema, { after }));
  stream.end(envelope(message));
  return stream;
}

async function sleeperOverHttp2(url = server.url): Promise<Sleeper> {
  const session = connect(url);
  session.on("error", () => {});
  const stream = requestWatch(session);
  let trailers: Record<string, unknown> = {};
  stream.on("trailers", (all) => {
    trailers = all;
  });
  const chunks: Buffer[] = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  await once(stream, "data");
  stream.pause();
  return {
    name: "gRPC",
    async wake() {
      stream.resume();
      if (!stream.closed) await once(stream, "close");
      session.destroy();
      const messages = [];
      for (let rest = Buffer.concat(chunks); rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1); ) {
        const end = 5 + rest.readUInt32BE(1);
        messages.push(fromBinary(WatchEventsResponseSchema, rest.subarray(5, end)));
        rest = rest.subarray(end);
      }
      const details = trailers["grpc-status-details-bin"] as string | undefined;
      return {
        ids: messages.flatMap(({ event }) => event?.objectId ?? []),
        cursor: messages.at(-1)!.cursor,
        reason: (details && reasonOfGrpcStatus(Buffer.from(details, "base64"))) || "cut",
      };
    },
  };
}

describe.each<[string, (url?: string) => Promise<Sleeper>]>([
  ["over HTTP/1.1", sleeperOverHttp1],
  ["over HTTP/2", sleeperOverHttp2],
])("a watcher who does not read %s", (_version, fallAsleep) => {
  test("is cut with WATCHER_TOO_SLOW, resumes without a gap, and others get everything", async () => {
    const others = doors.map(({ name }) => watch(name));
    await Promise.all(others.map((other) => other.received(1)));
    const cutBefore = cuts();
    const sleeper = await fallAsleep();
    const happened = await happen(EVENTS);
    await Promise.all(others.map((other) => other.happened(EVENTS)));
    for (const other of others) {
      expect(idsOf(other)).toEqual(happened);
      other.cancel();
    }

    await isCut(cutBefore);
    const { ids, cursor, reason } = await sleeper.wake();
    expect(reason).toBe("WATCHER_TOO_SLOW");
    expect(ids.length).toBeLessThan(EVENTS);
    const resumed = watch(sleeper.name, cursor);
    await resumed.happened(EVENTS - ids.length);
    expect([...ids, ...idsOf(resumed)]).toEqual(happened);
    resumed.cancel();
  });

  test("does not delay others, who get everything while it is still connected", async () => {
    const patient = await startServer({ USERLOCK_STORE: `sqlite:${file}` }, { ...LIMITS, watcherStallMs: 60_000 });
    const itsDoors = openWatchDoors(patient.url);
    const sleeper = await fallAsleep(patient.url);
    const others = itsDoors.map((door) => door.watch());
    await Promise.all(others.map((other) => other.received(1)));
    const happened = await happen(EVENTS);
    await Promise.all(others.map((other) => other.happened(EVENTS)));
    for (const other of others) expect(idsOf(other)).toEqual(happened);
    for (const door of itsDoors) door.close();
    const [stopped, { ids, reason }] = await Promise.all([patient.stop(), sleeper.wake()]);
    expect([stopped, reason]).toEqual([0, "SHUTTING_DOWN"]);
    expect(ids).toEqual(happened.slice(0, ids.length));
  });

  test("is disconnected if it does not read the end of the stream either, and resumes", async () => {
    const cutBefore = cuts();
    const sleeper = await fallAsleep();
    const happened = await happen(EVENTS);
    await isCut(cutBefore);
    await sleep(LIMITS.streamEndMs + 500);
    const { ids, cursor, reason } = await sleeper.wake();
    expect(reason).toBe("cut");
    const resumed = watch(sleeper.name, cursor);
    await resumed.happened(EVENTS - ids.length);
    expect([...ids, ...idsOf(resumed)]).toEqual(happened);
    resumed.cancel();
  });
});

/** A reader that pauses after each `every` bytes until the end, and returns the number of pauses. */
type SlowReader = (every: number, place: { after: string; end: string }) => Promise<number>;
const PAUSE_MS = 400;
/** The maximum number of pauses. */
const PAUSES = 10;

const readOverHttp1: SlowReader = async (every, { after, end }) => {
  const response = await fetch(`${server.url}/resources/v3alpha/events/_watch?after=${after}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  let [tail, bytes, pauses] = ["", 0, 0];
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    bytes += chunk.length;
    tail = (tail + chunk).slice(-EVENT_BYTES - 5_000);
    if (tail.includes(`id: ${end}\n`)) return pauses;
    if (bytes < (pauses + 1) * every || pauses === PAUSES) continue;
    pauses++;
    await sleep(PAUSE_MS);
  }
  throw new Error("the stream ended before the last event");
};

const readOverHttp2: SlowReader = async (every, { after, end }) => {
  const session = connect(server.url, { settings: { initialWindowSize: every } });
  let [bytes, pauses, rest] = [0, 0, Buffer.alloc(0)];
  for await (const chunk of requestWatch(session, after) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1); ) {
      const message = rest.subarray(5, 5 + rest.readUInt32BE(1));
      if (fromBinary(WatchEventsResponseSchema, message).cursor === end) {
        session.destroy();
        return pauses;
      }
      rest = rest.subarray(5 + message.length);
    }
    if (bytes < (pauses + 1) * every || pauses === PAUSES) continue;
    pauses++;
    await sleep(PAUSE_MS);
  }
  throw new Error("the stream ended before the last event");
};

// Over HTTP/1.1 only the system's buffers slow the server, in steps of megabytes.
test.each<[string, SlowReader, number, number]>([
  ["two megabytes at a time, over HTTP/1.1", readOverHttp1, 2_000_000, 300],
  ["16 KiB at a time, over HTTP/2", readOverHttp2, 16 * 1024, 30],
])("a watcher who reads slowly during catch-up is waited for: %s", async (_how, read, every, events) => {
  const after = await store.head();
  await happen(events);
  expect(await read(every, { after, end: await store.head() })).toBe(PAUSES);
});
