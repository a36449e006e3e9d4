// Proves that the admin listener serves metrics and probes, within limits, and until everything else is closed.
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "../../support/clients/http.ts";
import { type AdminServer, startAdminServer } from "../../support/servers/admin-server.ts";
import { ADMIN_TOKEN } from "../../support/servers/server-process.ts";

const AUTHORIZED = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
const DURATION = "rpc_server_call_duration_seconds_count";
/** A failed login takes so long that a stop begins meanwhile. */
const SLOT_MS = 1_500;

let server: AdminServer;
beforeAll(async () => {
  // With the console there, its limits are others: test/integration/console/admin-listener.test.ts.
  server = await startAdminServer({ USERLOCK_CONSOLE: "public" }, { loginSlotMs: SLOT_MS });
});
afterAll(() => server?.stop("SIGKILL"));

const logIn = () =>
  fetch(`${server.url}/userlock.v3alpha.SessionService/CreateSession`, {
    method: "POST",
    headers: AUTHORIZED,
    body: JSON.stringify({ userId: "nobody", password: "wrong" }),
  });

test("the public port has no metrics", async () => {
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
});

test.each([
  ["/metrics", 200],
  ["/metrics?name=x", 200],
  ["/healthz", 200],
  ["/readyz", 200],
  ["/", 404],
  ["/metrics/", 404],
  ["/userlock.v3alpha.UserService/GetUser", 404],
])("GET %s answers %i on the admin listener", async (path, status) => {
  expect((await fetch(server.adminUrl + path)).status).toBe(status);
});

test.each(["/metrics", "/healthz", "/readyz"])("%s takes GET and HEAD only", async (path) => {
  const head = await fetch(server.adminUrl + path, { method: "HEAD" });
  expect({ status: head.status, body: await head.text() }).toEqual({ status: 200, body: "" });
  const post = await fetch(server.adminUrl + path, { method: "POST" });
  expect({ status: post.status, allow: post.headers.get("allow") }).toEqual({ status: 405, allow: "GET, HEAD" });
});

test("metrics are OpenMetrics for a client that accepts it, and the plain format otherwise", async () => {
  // The second round proves that the formats do not change each other.
  for (let round = 0; round < 2; round++) {
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3";
    const open = await fetch(`${server.adminUrl}/metrics`, { headers: { accept } });
    expect(open.headers.get("content-type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    const openText = await open.text();
    expect(openText).toMatch(/^# TYPE userlock_token_checks counter\nuserlock_token_checks_total\{/m);
    expect(openText.endsWith("\n# EOF\n")).toBe(true);
    const plain = await fetch(`${server.adminUrl}/metrics`);
    expect(plain.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await plain.text()).toMatch(/^# TYPE userlock_token_checks_total counter\nuserlock_token_checks_total\{/m);
  }
});

test("calls are counted by protocol, method and status, and unknown methods together", async () => {
  const user = "/resources/v3alpha/users/nobody";
  await fetch(server.url + user, { headers: AUTHORIZED });
  await fetch(server.url + user);
  await fetch(`${server.url}/no/such/path`);
  await fetch(`${server.url}/userlock.v3alpha.UserService/GetUser`, {
    method: "POST",
    headers: AUTHORIZED,
    body: "no JSON",
  });
  const grpc = { "content-type": "application/grpc-web+proto", authorization: AUTHORIZED.authorization };
  const body = Buffer.from([0, 0, 0, 0, 0]);
  await exchange(server.url, { path: "/userlock.v3alpha.UserService/NoSuchMethod", headers: grpc, body });
  await exchange(server.url, { path: "/userlock.v3alpha.UserService/LockUser", headers: grpc, body });
  await exchange(server.url, { path: "/grpc.health.v1.Health/Check", headers: grpc, body });
  const counted = await server.series(DURATION);
  const of = (system: string, method: string, code: string) =>
    counted[`rpc_system_name="${system}",rpc_method="${method}",rpc_status_code="${code}"`];
  expect(of("http", "userlock.v3alpha.UserService/GetUser", "NOT_FOUND")).toBe(1);
  expect(of("http", "userlock.v3alpha.UserService/GetUser", "UNAUTHENTICATED")).toBe(1);
  expect(of("connectrpc", "userlock.v3alpha.UserService/GetUser", "INVALID_ARGUMENT")).toBe(1);
  expect(of("grpc", "userlock.v3alpha.UserService/LockUser", "INVALID_ARGUMENT")).toBe(1);
  expect(of("grpc", "grpc.health.v1.Health/Check", "OK")).toBe(1);
  expect(of("grpc", "_OTHER", "UNIMPLEMENTED")).toBe(1);
  expect(of("http", "_OTHER", "NOT_FOUND")).toBeGreaterThan(0);
  expect(Object.keys(counted).join()).not.toContain("nobody");
  expect(await server.series("rpc_server_active_calls")).toEqual({
    'rpc_system_name="grpc"': 0,
    'rpc_system_name="connectrpc"': 0,
    'rpc_system_name="http"': 0,
  });
});

test("a call with an unsupported content type or verb is not counted as a good one", async () => {
  const before = await server.series(DURATION);
  await fetch(`${server.url}/userlock.v3alpha.UserService/LockUser`, { method: "POST", body: "<xml/>" });
  await fetch(`${server.url}/userlock.v3alpha.UserService/LockUser`, { method: "PUT", body: "{}" });
  const after = await server.series(DURATION);
  const changed = Object.keys(after).filter((labels) => after[labels] !== before[labels] && !/healthz/.test(labels));
  expect(changed.length).toBeGreaterThan(0);
  expect(changed.filter((labels) => labels.includes('rpc_status_code="OK"'))).toEqual([]);
});

test("promtool finds no fault in the metrics", async () => {
  const { status, stderr } = spawnSync("promtool", ["check", "metrics"], {
    input: await server.metrics(),
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

test("a request with headers of more than 8 KiB is refused", async () => {
  const headers = { accept: "x".repeat(9_000) };
  expect((await exchange(server.adminUrl, { verb: "GET", path: "/metrics", headers })).status).toBe(431);
});

test("of many connections from one address only 32 are served, and idle ones make room", async () => {
  const { hostname, port } = new URL(server.adminUrl);
  const sockets = Array.from({ length: 80 }, () => connect(Number(port), hostname).on("error", () => {}));
  try {
    const closed = sockets.filter((socket) => new Promise((done) => socket.on("close", done)));
    let ended = 0;
    for (const socket of closed) socket.on("close", () => ended++);
    for (let waited = 0; ended < 48 && waited < 100; waited++) await sleep(50);
    await sleep(100);
    // Connections that fetch keeps open count, too.
    expect(ended).toBeGreaterThanOrEqual(48);
    expect(ended).toBeLessThan(64);
    for (let waited = 0; ended < 80 && waited < 200; waited++) await sleep(50);
    expect(ended).toBe(80);
    expect((await exchange(server.adminUrl, { verb: "GET", path: "/healthz" })).status).toBe(200);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test("a stopping server is alive and not ready until its last call has ended", async () => {
  const last = logIn();
  const active = async () => (await server.series("rpc_server_active_calls"))['rpc_system_name="connectrpc"'];
  while ((await active()) !== 1) await sleep(10);
  const stopped = server.stop();
  const ready = async () => (await fetch(`${server.adminUrl}/readyz`)).status;
  while ((await ready()) !== 503) await sleep(10);
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
  expect((await fetch(`${server.adminUrl}/healthz`)).status).toBe(200);
  expect(await server.metrics()).toContain("userlock_build_info");
  expect((await last).status).toBe(401);
  expect(await stopped).toBe(0);
});
