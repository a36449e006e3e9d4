// Proves that the log shows a client whose calls wait, because all streams of its connection are open.
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { connectFrom, OPEN_STREAMS, openStream } from "../../support/watch/open-streams.ts";

const STREAMS = 4;
/** Longer than the time after which the server reports a connection. */
const LONG_MS = 2_000;
const [WATCH] = OPEN_STREAMS as [(typeof OPEN_STREAMS)[0]];

let server: ServerProcess;
const sessions: ClientHttp2Session[] = [];

beforeEach(async () => {
  server = await startServer({}, { streams: STREAMS });
});
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  expect(await server.stop()).toBe(0);
});

function from(address: string): ClientHttp2Session {
  const session = connectFrom(server.url, address);
  sessions.push(session);
  return session;
}

/** Opens as many streams on a connection, and resolves when all are served. */
async function open(session: ClientHttp2Session, count: number): Promise<void> {
  const streams = Array.from({ length: count }, () => openStream(session, WATCH));
  for (const { outcome } of streams) expect(await outcome).toBe("served");
}

/** The lines of the log about full connections. */
const reports = () =>
  server
    .stderr()
    .split("\n")
    .flatMap((line) => (line.includes("all streams of a connection are open") ? [JSON.parse(line)] : []));

test("a connection whose streams are all open is reported with the address of its client", async () => {
  await open(from("127.0.0.2"), STREAMS);
  await sleep(LONG_MS);
  expect(reports()).toEqual([expect.objectContaining({ level: "warn", address: "127.0.0.2" })]);
});

test("a second connection within a minute is not reported", async () => {
  await open(from("127.0.0.2"), STREAMS);
  await sleep(LONG_MS);
  await open(from("127.0.0.3"), STREAMS);
  await sleep(LONG_MS);
  expect(reports()).toHaveLength(1);
});

test("connections with a stream to spare, or with short calls only, are not reported", async () => {
  await open(from("127.0.0.2"), STREAMS - 1);
  const busy = from("127.0.0.3");
  // Before it knows the limit, a client opens more, and the server refuses them.
  await once(busy, "remoteSettings");
  const end = Date.now() + LONG_MS;
  const call = async () => {
    while (Date.now() < end) {
      const stream = busy.request({ ":path": "/healthz" }).resume();
      await once(stream, "close");
    }
  };
  await Promise.all(Array.from({ length: 3 * STREAMS }, call));
  expect(reports()).toEqual([]);
});
