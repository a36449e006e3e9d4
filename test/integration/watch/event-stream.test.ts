// Proves that events can be watched as server-sent events, as a browser's EventSource does.

import { spawn } from "node:child_process";
import { connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange, openRaw, type RawConnection } from "../../support/clients/http.ts";
import { addUser, asOwner, ok } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { lockUser, unlockUser } = UserService.method;
const PATH = "/resources/v3alpha/events/_watch";
const AUTHORIZED = { authorization: `Bearer ${ADMIN_TOKEN}` };

/** Milliseconds. */
const LIMITS = { heartbeatMs: 400, headersMs: 300, requestMs: 300, keepAliveMs: 300, callMs: 300, warmUp: true };

let server: ServerProcess;
let rest: Door;
let open: RawConnection[] = [];

beforeAll(async () => {
  server = await startServer({ USERLOCK_CORS_ORIGINS: "https://console.example.com" }, LIMITS);
  rest = openDoors(server.url)[0]!;
  await addUser(rest, { id: "victim", password: "" });
});

afterEach(() => {
  for (const { socket } of open) socket.destroy();
  open = [];
});

afterAll(async () => {
  expect(await server?.stop()).toBe(0);
});

/** Opens a stream on a raw connection. Joins the chunks of HTTP/1.1 into text. */
async function watch(query = "", headers: Record<string, string> = {}) {
  const connection = await openRaw(server.url);
  open.push(connection);
  const all = { host: "localhost", ...AUTHORIZED, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.write(`GET ${PATH}${query} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const received = () => connection.received().toString();
  const until = async (pattern: RegExp) => {
    for (let waited = 0; !pattern.test(received()) && waited < 3_000; waited += 5) await sleep(5);
    expect(received()).toMatch(pattern);
  };
  await until(/\r\n\r\n/);
  return {
    connection,
    until,
    head: received().split("\r\n\r\n")[0] as string,
    /** The received body so far. */
    text: () =>
      received()
        .split("\r\n\r\n")
        .slice(1)
        .join("\r\n\r\n")
        .replaceAll(/(^|\r\n)[0-9a-f]+\r\n/g, "")
        .replace(/\r\n$/, ""),
  };
}

async function lockTwice(): Promise<void> {
  ok(await rest.call(lockUser, { id: "victim" }, asOwner));
  ok(await rest.call(unlockUser, { id: "victim" }, asOwner));
}

const idsIn = (text: string) => [...text.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id as string);
const dataIn = (text: string) => [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data as string));

test("an event stream has the right content type, and headers against caches and proxy buffers", async () => {
  const { head } = await watch();
  expect(head).toMatch(/^HTTP\/1\.1 200 /);
  expect(head).toMatch(/^content-type: text\/event-stream\r$/im);
  expect(head).toMatch(/^cache-control: no-store\r$/im);
  expect(head).toMatch(/^x-accel-buffering: no\r$/im);
  expect(head).toMatch(/^x-request-id: .+$/im);
});

test("a block of an event stream has an id and the event in one line, or only the id", async () => {
  const stream = await watch("?user_ids=victim");
  await stream.until(/id: /);
  expect(stream.text()).toMatch(/^retry: 1000\nid: \w+\n\n$/);
  await lockTwice();
  await stream.until(/user\.unlocked/);
  const [first, ...blocks] = stream.text().split("\n\n");
  expect(first).toMatch(/^retry: 1000\nid: /);
  expect(blocks.pop()).toBe("");
  for (const block of blocks) expect(block).toMatch(/^id: \w+\ndata: \{.*\}$/);
  expect(dataIn(stream.text())).toMatchObject([
    { type: "user.locked", userId: "victim", lock: { cause: "LOCK_CAUSE_MANUAL" } },
    { type: "user.unlocked", userId: "victim", unlock: { cause: "UNLOCK_CAUSE_MANUAL" } },
  ]);
  expect(dataIn(stream.text()).map(({ cursor }) => cursor)).toEqual(idsIn(stream.text()).slice(1));
  const before = stream.text();
  while (stream.text() === before) await sleep(5);
  expect(stream.text().slice(before.length)).toMatch(/^id: \w+\n\n/);
});

describe("Last-Event-ID", () => {
  /** Cursors of the last three events of the log. */
  async function lastThree(): Promise<string[]> {
    await lockTwice();
    const { response } = await rest.call(EventService.method.listEvents, { limit: 3 }, asOwner);
    return response!.events.map(({ cursor }) => cursor).reverse();
  }

  test("is the place from which the stream continues", async () => {
    const [first, second, third] = await lastThree();
    const stream = await watch("", { "last-event-id": first! });
    await stream.until(new RegExp(`id: ${third}\n`));
    expect(idsIn(stream.text())).toEqual([first, second, third]);
  });

  test("overrides `after`, which a browser repeats with the URL", async () => {
    const [first, second, third] = await lastThree();
    const stream = await watch(`?after=${first}`, { "last-event-id": second! });
    await stream.until(new RegExp(`id: ${third}\n`));
    expect(idsIn(stream.text())).toEqual([second, third]);
  });

  test("is ignored if it is empty", async () => {
    const [first, second, third] = await lastThree();
    const stream = await watch(`?after=${first}`, { "last-event-id": "" });
    await stream.until(new RegExp(`id: ${third}\n`));
    expect(idsIn(stream.text())).toEqual([first, second, third]);
  });

  test("is refused if it is invalid, like `after`", async () => {
    const { status, body } = await exchange(server.url, {
      verb: "GET",
      path: PATH,
      headers: { ...AUTHORIZED, "last-event-id": "yesterday" },
    });
    expect(status).toBe(400);
    expect(JSON.parse(body.toString())).toMatchObject({ code: 3, details: [{ reason: "INVALID_REQUEST" }, {}] });
  });

  test("can be sent by pages of a listed origin", async () => {
    const headers = {
      origin: "https://console.example.com",
      "access-control-request-method": "GET",
      "access-control-request-headers": "authorization,last-event-id",
    };
    const answer = await exchange(server.url, { verb: "OPTIONS", path: PATH, headers });
    expect(answer.headers.get("access-control-allow-headers")).toMatch(/\bLast-Event-ID\b/);
  });
});

test.each<[what: string, verb: string, path: string, headers: Record<string, string>, status: number]>([
  ["without a token", "GET", PATH, {}, 401],
  ["with a bad filter", "GET", `${PATH}?types=locked`, AUTHORIZED, 400],
  ["with an unknown field", "GET", `${PATH}?before=1`, AUTHORIZED, 400],
  ["with another verb", "POST", PATH, AUTHORIZED, 405],
])("an event stream requested %s is refused like any other call", async (_what, verb, path, headers, status) => {
  const answer = await exchange(server.url, { verb, path, headers });
  expect(answer.status).toBe(status);
  expect(answer.headers.get("content-type")).toBe("application/json");
  if (status === 405) expect(answer.headers.get("allow")).toBe("GET, HEAD");
});

test("an error during an event stream is the last event, with a Status", async () => {
  const { id, secret } = await tokenMaker(server.url, ADMIN_TOKEN).create("gateway", ["GATEWAY"]);
  const stream = await watch("", { authorization: `Bearer ${secret}`, connection: "close" });
  await stream.until(/id: /);
  await tokenMaker(server.url, ADMIN_TOKEN).revoke(id);
  await stream.connection.closed();
  const last = /\n\nevent: error\ndata: (.*)\n\n(?:0\r\n\r\n)?$/.exec(stream.text());
  expect(JSON.parse(last![1] as string)).toMatchObject({ code: 16, details: [{ reason: "TOKEN_INVALID" }] });
});

test("an idle event stream outlasts the time limits of connections, requests and calls", async () => {
  const stream = await watch("?types=user.patched");
  await sleep(2_000);
  expect(stream.connection.socket.readableEnded).toBe(false);
  expect(idsIn(stream.text()).length).toBeGreaterThanOrEqual(4);
});

test("an event stream works over HTTP/2", async () => {
  const session = connect(server.url);
  try {
    const request = session.request({ ":path": PATH, ...AUTHORIZED });
    let text = "";
    request.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    while (!text.includes("id: ")) await sleep(5);
    await lockTwice();
    while (dataIn(text).length < 2) await sleep(5);
    expect(dataIn(text).map(({ type }) => type)).toEqual(["user.locked", "user.unlocked"]);
  } finally {
    session.destroy();
  }
});

test("curl receives an event stream", async () => {
  const args = ["-sN", "-H", `Authorization: Bearer ${ADMIN_TOKEN}`, server.url + PATH];
  const curl = spawn("curl", args, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    let text = "";
    curl.stdout.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    while (!text.includes("id: ")) await sleep(5);
    await lockTwice();
    while (dataIn(text).length < 2) await sleep(5);
    expect(dataIn(text).map(({ type }) => type)).toEqual(["user.locked", "user.unlocked"]);
  } finally {
    curl.kill();
  }
});
