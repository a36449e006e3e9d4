// Proves that with an admin listener the console is there only, with the calls of its page and nothing else.
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { CALL, cookieIn, logIn, outcomeOf, WHO_AM_I } from "../../support/console/session.ts";
import { type AdminServer, startAdminServer } from "../../support/servers/admin-server.ts";
import { ADMIN_TOKEN } from "../../support/servers/server-process.ts";

let apart: AdminServer;
let shared: AdminServer;
let off: AdminServer;
beforeAll(async () => {
  [apart, shared, off] = await Promise.all([
    startAdminServer(),
    startAdminServer({ USERLOCK_CONSOLE: "public" }),
    startAdminServer({ USERLOCK_CONSOLE: "off" }),
  ]);
});
afterAll(async () => {
  await Promise.all([apart?.stop(), shared?.stop(), off?.stop()]);
});

const statusOf = async (url: string, path: string, request: Partial<HttpRequest> = {}) =>
  (await exchange(url, { verb: "GET", path, ...request })).status;
const CALLED = { verb: "POST", headers: { ...CALL, authorization: `Bearer ${ADMIN_TOKEN}` }, body: "{}" };

test.each([
  ["on", () => apart, { admin: 200, main: 404 }],
  ["public", () => shared, { admin: 404, main: 200 }],
  ["off", () => off, { admin: 404, main: 404 }],
] as const)("USERLOCK_CONSOLE=%s decides where the console is", async (_, of, expected) => {
  const { url, adminUrl } = of();
  expect({ admin: await statusOf(adminUrl, "/console/"), main: await statusOf(url, "/console/") }).toEqual(expected);
  // The API is where it was, and also with the console.
  expect(await statusOf(url, WHO_AM_I, CALLED)).toBe(200);
  expect(await statusOf(adminUrl, WHO_AM_I, CALLED)).toBe(expected.admin);
});

test("a session of the console calls on the admin listener, and not on the main port", async () => {
  const cookie = cookieIn(await logIn(apart.adminUrl));
  for (const version of [1, 2] as const) {
    const call = { version, path: WHO_AM_I, headers: { ...CALL, cookie }, body: "{}" };
    expect(outcomeOf(await exchange(apart.adminUrl, call))).toBe("admin");
    expect(outcomeOf(await exchange(apart.url, call))).toBe("TOKEN_MISSING");
  }
});

test.each([
  "/resources/v3alpha/users",
  "/resources/v3alpha/whoami",
  "/authz",
  "/openapi.json",
  "/oauth/v2/introspect",
  "/consoles",
  "/console/../resources/v3alpha/users",
  "/console/%2e%2e/resources/v3alpha/users",
])("GET %s is not on the admin listener", async (path) => {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, ":path": path };
  const answer = await exchange(apart.adminUrl, { version: 2, verb: "GET", path: "/", headers });
  expect({ status: answer.status, reason: outcomeOf(answer) }).toEqual({ status: 404, reason: "METHOD_NOT_FOUND" });
});

test("metrics and probes stay beside the console, and its calls are counted", async () => {
  expect(await statusOf(apart.adminUrl, "/metrics")).toBe(200);
  expect(await statusOf(apart.adminUrl, "/readyz")).toBe(200);
  await exchange(apart.adminUrl, { path: WHO_AM_I, ...CALLED });
  const counted = await apart.series("rpc_server_call_duration_seconds_count");
  expect(Object.keys(counted).join()).toContain("WhoAmI");
});

test("a stream of the console on the admin listener outlives its short limits, and ends when the server stops", async () => {
  const server = await startAdminServer();
  const body = Buffer.from("\0\0\0\0\x02{}", "latin1");
  const headers = { ...CALL, "content-type": "application/connect+json", authorization: CALLED.headers.authorization };
  const path = "/userlock.v3alpha.EventService/WatchEvents";
  const stream = await fetch(server.adminUrl + path, { method: "POST", headers, body });
  expect(stream.status).toBe(200);
  const whole = stream.text();
  expect(await server.stop()).toBe(0);
  expect(await whole).toContain("SHUTTING_DOWN");
});

test("a call of the console that runs when the server stops is answered", async () => {
  const server = await startAdminServer({}, { loginSlotMs: 1_500 });
  const cookie = cookieIn(await logIn(server.adminUrl));
  const path = "/userlock.v3alpha.SessionService/CreateSession";
  const body = JSON.stringify({ userId: "nobody", password: "wrong" });
  const running = exchange(server.adminUrl, { path, headers: { ...CALL, cookie }, body });
  await sleep(300);
  expect(await server.stop()).toBe(0);
  expect(outcomeOf(await running)).toBe("LOGIN_FAILED");
});

test("the log warns of a console that other machines can reach without TLS", async () => {
  const server = await startAdminServer({ USERLOCK_ADMIN_LISTEN: "0.0.0.0:0" });
  expect(server.stderr()).toContain("other machines can reach the console");
  expect(apart.stderr()).not.toContain("other machines can reach the console");
  await server.stop();
});
