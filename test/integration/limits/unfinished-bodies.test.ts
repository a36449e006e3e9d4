// Proves that unfinished bodies of some callers leave memory for other callers.
import { setTimeout as sleep } from "node:timers/promises";
import { tokenMaker } from "../../support/access.ts";
import { exchange, openRaw, type RawConnection } from "../../support/clients/http.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const KIB = 1024;
const LIMITS = {
  bodyBytes: 1_200 * KIB,
  bodyBytesPerCaller: 600 * KIB,
  openBodyBytes: 1_200 * KIB,
  openBodyBytesPerAddress: 600 * KIB,
};
/** The size of one unfinished body in bytes. */
const BYTES = 60_000;
/** Numbers of bodies that fit for one caller, with the overhead of requests, and that do not. */
const FIT = 6;
const TOO_MANY = 12;

const JSON_TYPE = { "content-type": "application/json" };
const LOCK = "/userlock.v3alpha.UserService/LockUser";
const CALLERS_DOORS: [name: string, path: string, headers: Record<string, string>][] = [
  ["a call in JSON", LOCK, { "content-type": "application/json" }],
  ["a call by gRPC", LOCK, { "content-type": "application/grpc" }],
  ["a compressed call", LOCK, { "content-type": "application/json", "content-encoding": "gzip" }],
  ["a watch", "/userlock.v3alpha.EventService/WatchEvents", { "content-type": "application/connect+json" }],
  ["a call by REST", "/resources/v3alpha/users/x/_lock", { "content-type": "application/json" }],
  ["introspection", "/oauth/v2/introspect", { "content-type": "application/x-www-form-urlencoded" }],
];
const OPEN_DOORS: typeof CALLERS_DOORS = [
  ["a health check", "/grpc.health.v1.Health/Check", { "content-type": "application/json" }],
  ["a health watch", "/grpc.health.v1.Health/Watch", { "content-type": "application/connect+json" }],
];

let server: ServerProcess;
let other: string;
let third: string;
const open: RawConnection[] = [];

beforeAll(async () => {
  server = await startServer({}, LIMITS);
  const tokens = tokenMaker(server.url, ADMIN_TOKEN);
  other = (await tokens.create("other", ["INSTANCE_OWNER"])).secret;
  third = (await tokens.create("third", ["INSTANCE_OWNER"])).secret;
});
afterEach(async () => {
  for (const { socket } of open.splice(0)) socket.destroy();
  await sleep(100);
});
afterAll(async () => {
  expect(await server?.stop()).toBe(0);
});

/** Sends most of a body with a frame of 65,280 bytes, and holds back the rest. */
async function begin(path: string, headers: Record<string, string>, from?: string): Promise<RawConnection> {
  const connection = await openRaw(server.url, from);
  open.push(connection);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 65285\r\n${lines.join("")}\r\n`);
  connection.write(Buffer.concat([Buffer.from([0, 0, 0, 0xff, 0]), Buffer.alloc(BYTES, " ")]));
  return connection;
}

const isRefused = ({ received }: RawConnection) =>
  /TOO_MANY_REQUESTS|grpc-status: 8|resource_exhausted/.test(received().toString());

async function refusedOf(count: number, start: () => Promise<RawConnection>): Promise<number> {
  const begun: RawConnection[] = [];
  for (let n = 0; n < count; n++) begun.push(await start());
  await sleep(300);
  return begun.filter(isRefused).length;
}

describe.each(CALLERS_DOORS)("unfinished bodies of %s", (_name, path, headers) => {
  const mine = { ...headers, authorization: `Bearer ${ADMIN_TOKEN}` };

  test("are limited for one caller, leave memory for another caller, and release it", async () => {
    expect(await refusedOf(FIT, () => begin(path, mine))).toBe(0);
    expect(await refusedOf(TOO_MANY - FIT, () => begin(path, mine))).toBeGreaterThan(0);
    expect(await refusedOf(2, () => begin(path, { ...headers, authorization: `Bearer ${other}` }))).toBe(0);
    for (const { socket } of open) socket.destroy();
    await sleep(100);
    expect(await refusedOf(FIT, () => begin(path, mine))).toBe(0);
  });

  test("are limited for all callers together, and two callers at their limits leave memory for a third", async () => {
    await refusedOf(TOO_MANY, () => begin(path, mine));
    const others = { ...headers, authorization: `Bearer ${other}` };
    expect(await refusedOf(FIT, () => begin(path, others))).toBeGreaterThan(0);
    const call = { path: LOCK, headers: { ...JSON_TYPE, authorization: `Bearer ${third}` }, body: '{"id":"nobody"}' };
    expect((await exchange(server.url, call)).status).toBe(404);
  });

  test("are not limited by those of callers without a token", async () => {
    for (const [, openPath, openHeaders] of OPEN_DOORS) await refusedOf(5, () => begin(openPath, openHeaders));
    expect(await refusedOf(FIT, () => begin(path, mine))).toBe(0);
  });
});

describe.each(OPEN_DOORS)("unfinished bodies of %s, without a token,", (_name, path, headers) => {
  test("are limited for one address, leave memory for another one, and release it", async () => {
    expect(await refusedOf(FIT, () => begin(path, headers))).toBe(0);
    expect(await refusedOf(TOO_MANY - FIT, () => begin(path, headers))).toBeGreaterThan(0);
    expect(await refusedOf(2, () => begin(path, headers, "127.0.0.2"))).toBe(0);
    for (const { socket } of open) socket.destroy();
    await sleep(100);
    expect(await refusedOf(FIT, () => begin(path, headers))).toBe(0);
  });
});

test("many complete concurrent requests are all served", async () => {
  const headers = { "content-type": "application/json", authorization: `Bearer ${ADMIN_TOKEN}` };
  const answers = await Promise.all(
    Array.from({ length: 60 }, () => exchange(server.url, { path: LOCK, headers, body: '{"id":"nobody"}' })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
});
