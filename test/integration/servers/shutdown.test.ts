// Proves that a stopping server answers started calls, and waits for nothing else.
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { exchange, openRaw, type RawConnection } from "../../support/clients/http.ts";
import { PREFACE } from "../../support/clients/http2-frames.ts";
import { fromBase64Pieces, WIRES, type Wire } from "../../support/clients/wires.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import {
  ADMIN_TOKEN,
  type ServerProcess,
  startUserlock,
  temporaryFolder,
} from "../../support/servers/server-process.ts";
import { holdWrites } from "../../support/stores/held-file.ts";

/** How long calls may continue after the signal, in milliseconds. */
const DRAIN_MS = 10_000;
/** The limit for a stop without calls, on a busy machine too. It is below the time for calls. */
const AT_ONCE_MS = 8_000;
/** Time for a server to start the sent calls, on a busy machine too. */
const UNDER_WAY_MS = 1_500;

const folder = temporaryFolder();
let server: ServerProcess;
let held: { release(): void } | undefined;
/** Resources of a test, which are closed after it. */
let opened: { destroy(): void }[] = [];

let files = 0;
let file: string;
async function start(settings: Record<string, string> = {}): Promise<void> {
  file = folder.file(`${++files}.db`);
  server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}`, ...settings });
}

afterEach(async () => {
  held?.release();
  for (const each of opened) each.destroy();
  opened = [];
  await server?.stop("SIGKILL");
});

afterAll(() => folder.remove());

async function raw(): Promise<RawConnection> {
  const connection = await openRaw(server.url);
  opened.push(connection.socket);
  return connection;
}

async function session(url = server.url, options = {}): Promise<ClientHttp2Session> {
  const one = connectHttp2(url, options);
  opened.push(one);
  one.on("error", () => {});
  await once(one, "remoteSettings");
  return one;
}

/** Sends a signal. Resolves when the process has ended. */
async function stop(signal: NodeJS.Signals = "SIGTERM"): Promise<{ code: number | null; milliseconds: number }> {
  const start = performance.now();
  const exited = once(server.child, "exit");
  server.child.kill(signal);
  const [code] = await exited;
  return { code, milliseconds: performance.now() - start };
}

/** Resolves when the server has started to stop. */
async function isStopping(): Promise<void> {
  while (!server.stderr().includes('"stopping"')) await sleep(10);
}

/** CreateUser calls over each protocol, which wait for the store until it is released. */
async function callsInFlight(): Promise<{ wire: Wire; answer: ReturnType<typeof exchange> }[]> {
  held = holdWrites(file);
  const calls = WIRES.map((wire) => {
    const answer = exchange(server.url, wire.request(wire.encode({})));
    answer.catch(() => {});
    return { wire, answer };
  });
  await sleep(UNDER_WAY_MS);
  return calls;
}

describe("a server without calls stops at once", () => {
  const get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

  test.each<[string, () => Promise<unknown>]>([
    ["without connections", async () => {}],
    ["with a silent connection", raw],
    ["with a connection that has sent half a preface", async () => (await raw()).write(PREFACE.subarray(0, 12))],
    ["with a connection that has sent half a request", async () => (await raw()).write("GET /healthz HTTP/1.1\r\n")],
    [
      "with an idle HTTP/1.1 connection",
      async () => {
        const { socket, write } = await raw();
        write(get);
        await once(socket, "data");
      },
    ],
    [
      "with an idle HTTP/2 connection",
      async () => {
        const stream = (await session()).request({ ":path": "/healthz" });
        stream.resume();
        await once(stream, "close");
      },
    ],
  ])("%s", async (_what, open) => {
    await start();
    await open();
    await sleep(50);
    const { code, milliseconds } = await stop();
    expect(code).toBe(0);
    expect(milliseconds).toBeLessThan(AT_ONCE_MS);
    // The store was closed properly.
    expect(existsSync(file)).toBe(true);
    expect(existsSync(`${file}-wal`)).toBe(false);
  });

  test("with idle TLS connections", async () => {
    const { cert, settings } = await makeCertificate(folder);
    await start(settings);
    await session(server.url, { ca: cert });
    const http1 = connectTls({ port: Number(new URL(server.url).port), ca: cert, ALPNProtocols: ["http/1.1"] });
    opened.push(http1);
    await once(http1, "secureConnect");
    const { code, milliseconds } = await stop();
    expect(code).toBe(0);
    expect(milliseconds).toBeLessThan(AT_ONCE_MS);
  });
});

describe("calls in flight during a stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("are answered after %s over every protocol", async (signal) => {
    await start();
    const calls = await callsInFlight();
    const exit = stop(signal);
    await isStopping();
    await sleep(300);
    expect(server.child.exitCode).toBeNull();
    held?.release();
    for (const { wire, answer } of calls) expect(wire.read(await answer)).toMatchObject({ code: "OK" });
    const { code, milliseconds } = await exit;
    expect(code).toBe(0);
    expect(milliseconds).toBeLessThan(DRAIN_MS);
  });

  test("do not keep the port open for new connections", async () => {
    await start();
    await callsInFlight();
    const exit = stop();
    await isStopping();
    const refused = exchange(server.url, { verb: "GET", path: "/healthz" });
    // A connection that arrived at the same moment is reset.
    await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(/^ECONN(REFUSED|RESET)$/) });
    held?.release();
    expect(await exit).toMatchObject({ code: 0 });
  });

  test("over HTTP/1.1 are answered in order, and the server is not ready", async () => {
    await start();
    const [rest] = WIRES as [Wire];
    const { path } = rest.request(rest.encode({}));
    const post = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
    held = holdWrites(file);
    const connection = await raw();
    connection.write(post + post);
    await sleep(UNDER_WAY_MS);
    const exit = stop();
    await isStopping();
    connection.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await sleep(300);
    held.release();
    const answers = (await connection.closed()).toString();
    const statuses = [...answers.matchAll(/^HTTP\/1\.1 (\d+) /gm)].map(([, status]) => Number(status));
    expect(statuses).toEqual([201, 201, 503]);
    expect(await exit).toMatchObject({ code: 0 });
  });

  test("over HTTP/2 keep their connection, which accepts no new calls", async () => {
    await start();
    const grpc = WIRES.find(({ name }) => name === "gRPC")!;
    const { path, headers, body } = grpc.request(grpc.encode({}));
    held = holdWrites(file);
    const one = await session();
    const call = () => one.request({ ":method": "POST", ":path": path, ...headers }).end(body);
    const first = call();
    const answered = once(first, "trailers");
    first.resume();
    const goaway = once(one, "goaway");
    await sleep(UNDER_WAY_MS);
    const exit = stop();
    expect((await goaway)[0]).toBe(0);
    const [error] = await once(call(), "error");
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_HTTP2_/) });
    held.release();
    expect((await answered)[0]).toMatchObject({ "grpc-status": "0" });
    expect(await exit).toMatchObject({ code: 0 });
  });

  test("that never end delay the stop for ten seconds at most", async () => {
    await start();
    const grpc = WIRES.find(({ name }) => name === "gRPC")!;
    const { path, headers, body } = grpc.request(grpc.encode({}));
    // The request never ends.
    const stream = (await session()).request({ ":method": "POST", ":path": path, ...headers });
    stream.on("error", () => {});
    stream.write(body.subarray(0, 3));
    await sleep(UNDER_WAY_MS);
    const { code, milliseconds } = await stop();
    expect(code).toBe(0);
    expect(milliseconds).toBeGreaterThan(DRAIN_MS - 500);
    expect(milliseconds).toBeLessThan(DRAIN_MS + AT_ONCE_MS);
  });

  test.each(["SIGTERM", "SIGINT"] as const)("are abandoned at a second signal, %s", async (signal) => {
    await start();
    await callsInFlight();
    void stop();
    await isStopping();
    await sleep(100);
    const { milliseconds } = await stop(signal);
    expect(server.child.signalCode).toBe(signal);
    expect(milliseconds).toBeLessThan(AT_ONCE_MS);
  });
});

describe("a stopping server ends with UNAVAILABLE a stream of", () => {
  const framed = WIRES.filter(({ isFramed }) => isFramed);

  test.each(framed)("health over $name, after NOT_SERVING", async (wire) => {
    await start();
    const { path: _, ...request } = wire.request(Buffer.alloc(0));
    const answer = exchange(server.url, { ...request, path: "/grpc.health.v1.Health/Watch" });
    await sleep(UNDER_WAY_MS);
    const exit = stop();
    const ended = await answer;
    expect(wire.read(ended)).toMatchObject({ code: "UNAVAILABLE", reason: "SHUTTING_DOWN" });
    const [SERVING, NOT_SERVING] = ["0000000002" + "0801", "0000000002" + "0802"];
    const bytes = wire.name === "gRPC-Web text" ? fromBase64Pieces(ended.body.toString()) : ended.body;
    expect(bytes.toString("hex")).toMatch(new RegExp(`^${SERVING}${NOT_SERVING}`));
    expect((await exit).milliseconds).toBeLessThan(AT_ONCE_MS);
  });

  test.each(["v1", "v1alpha"])("reflection %s that waits for its client", async (version) => {
    await start();
    const one = await session();
    const stream = one.request({
      ":method": "POST",
      ":path": `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      "content-type": "application/grpc",
    });
    stream.resume();
    const [LIST_SERVICES] = [Buffer.from("00000000023a00", "hex")];
    stream.write(LIST_SERVICES);
    await once(stream, "data");
    const trailers = once(stream, "trailers");
    const exit = stop();
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "14" });
    expect(await exit).toMatchObject({ code: 0 });
    expect((await exit).milliseconds).toBeLessThan(AT_ONCE_MS);
  });
});
