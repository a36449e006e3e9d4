// Proves that each metric counts what a real server does, and that no label names a person.
import { setTimeout as sleep } from "node:timers/promises";
import { type AdminServer, startAdminServer } from "../../support/servers/admin-server.ts";
import { ADMIN_TOKEN, QUICK } from "../../support/servers/server-process.ts";

const PASSWORD = "the-password-of-ann";

let server: AdminServer;
beforeAll(async () => {
  server = await startAdminServer({}, QUICK);
});
afterAll(() => server?.stop());

/** Calls a method with Connect and returns the answer. */
async function call(method: string, request: object, headers: Record<string, string> = {}) {
  const service = method.includes("Session") ? "SessionService" : "UserService";
  const response = await fetch(`${server.url}/userlock.v3alpha.${service}/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(request),
  });
  return (await response.json()) as { sessionId?: string; code?: string };
}

const add = (userId: string) =>
  call("CreateUser", { user: { userId, authenticators: { password: { password: PASSWORD } } } });
const logIn = (userId: string, password = PASSWORD) => call("CreateSession", { userId, password });

/** The steps of series of a metric while the work runs. */
async function steps(name: string, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await server.series(name);
  await work();
  const after = await server.series(name);
  const changed = Object.entries(after).map(([labels, value]) => [labels, value - (before[labels] ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, step]) => step !== 0));
}

test("locks and unlocks are counted by their cause", async () => {
  for (const id of ["ann", "bea", "cem"]) await add(id);
  const locks = await steps("userlock_locks_total", async () => {
    await call("LockUser", { id: "ann", reason: "fraud" });
    await call("LockUser", { id: "ann", reason: "fraud" });
    for (let index = 0; index < 12; index++) await logIn("bea", `wrong ${index}`);
    await call("LockUser", { id: "cem", reason: "fraud", duration: "0.05s" });
  });
  expect(locks).toEqual({ 'cause="manual"': 2, 'cause="password_failures"': 1 });
  const unlocks = await steps("userlock_unlocks_total", async () => {
    await call("UnlockUser", { id: "ann" });
    for (let waited = 0; waited < 500; waited++) {
      if ((await server.series("userlock_unlocks_total"))['cause="expired"']) break;
      await sleep(20);
    }
  });
  expect(unlocks['cause="manual"']).toBe(1);
  expect((await server.series("userlock_unlocks_total"))['cause="expired"']).toBe(1);
});

test("logins are counted by outcome, and sessions by their begin and end", async () => {
  await add("dan");
  await add("eva");
  let session: string | undefined;
  const opened = await steps("userlock_sessions_opened_total", async () => {
    const outcomes = await steps("userlock_logins_total", async () => {
      session = (await logIn("dan")).sessionId;
      await logIn("dan", "wrong");
      await logIn("nobody");
      await call("DeactivateUser", { id: "eva" });
      await logIn("eva");
      await call("LockUser", { id: "dan", reason: "fraud" });
      await logIn("dan");
    });
    expect(outcomes).toEqual({
      'outcome="ok"': 1,
      'outcome="wrong_password"': 1,
      'outcome="unknown_user"': 1,
      'outcome="inactive"': 1,
      'outcome="locked"': 1,
    });
  });
  expect(opened).toEqual({ "": 1 });
  expect(session).toBeDefined();
  await call("UnlockUser", { id: "dan" });
  const ended = await steps("userlock_sessions_ended_total", async () => {
    const { sessionId } = await logIn("dan");
    await call("DeleteSession", { sessionId });
    await call("DeleteSessions", { id: "dan" });
  });
  expect(ended).toEqual({ 'extent="one"': 1, 'extent="all"': 1 });
});

test("calls with an Idempotency-Key are first, repeated or reused", async () => {
  await add("fay");
  const key = { "idempotency-key": "k1" };
  const counted = await steps("userlock_receipts_total", async () => {
    await call("LockUser", { id: "fay", reason: "fraud" }, key);
    await call("LockUser", { id: "fay", reason: "fraud" }, key);
    await call("LockUser", { id: "fay", reason: "other" }, key);
  });
  expect(counted).toEqual({ 'outcome="first"': 1, 'outcome="repeated"': 1, 'outcome="reused"': 1 });
});

test("tokens are counted by kind and outcome", async () => {
  const user = `${server.url}/resources/v3alpha/users/ann`;
  const checks = await steps("userlock_token_checks_total", async () => {
    await fetch(user, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    await fetch(user, { headers: { authorization: "Bearer wrong" } });
    await fetch(user);
  });
  expect(checks).toEqual({
    'kind="token",outcome="ok"': 1,
    'kind="unknown",outcome="invalid"': 1,
    'kind="unknown",outcome="missing"': 1,
  });
});

describe("checks for gateways are counted by their door and outcome:", () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const subrequest = (query: string, headers = {}) => fetch(`${server.url}/authz${query}`, { headers });
  const authorize = (query: string, headers = {}) =>
    fetch(`${server.url}/resources/v3alpha/authorize${query}`, { headers });
  const check = (headers: object, contextExtensions = {}, gateway = ADMIN_TOKEN) =>
    fetch(`${server.url}/envoy.service.auth.v3.Authorization/Check`, {
      method: "POST",
      headers: { ...bearer(gateway), "content-type": "application/json" },
      body: JSON.stringify({ attributes: { request: { http: { headers } }, contextExtensions } }),
    });
  const good = bearer(ADMIN_TOKEN);

  test.each<[series: string, ask: () => Promise<Response>]>([
    ['door="http",outcome="allowed"', () => subrequest("", good)],
    ['door="http",outcome="refused"', () => subrequest("")],
    ['door="http",outcome="refused"', () => subrequest("", bearer("wrong"))],
    ['door="http",outcome="denied"', () => subrequest("?role=ORG_VIEWER&organization=acme", good)],
    ['door="http",outcome="invalid"', () => subrequest("?rolle=ORG_VIEWER", good)],
    ['door="envoy",outcome="allowed"', () => check(good)],
    ['door="envoy",outcome="refused"', () => check({})],
    ['door="envoy",outcome="refused"', () => check(bearer("wrong"))],
    ['door="envoy",outcome="denied"', () => check(good, { role: "ORG_VIEWER", organization: "acme" })],
    ['door="envoy",outcome="invalid"', () => check(good, { rolle: "ORG_VIEWER" })],
    ['door="envoy",outcome="invalid"', () => check(good, {}, "wrong")],
    ['door="method",outcome="allowed"', () => authorize("", good)],
    ['door="method",outcome="refused"', () => authorize("")],
    ['door="method",outcome="denied"', () => authorize("?role=ORG_VIEWER&organization.orgId=acme", good)],
    ['door="method",outcome="invalid"', () => authorize("?rolle=ORG_VIEWER", good)],
  ])("%s (case %#)", async (series, ask) => {
    expect(await steps("userlock_authz_total", ask)).toEqual({ [series]: 1 });
  });

  test("other paths and methods do not count", async () => {
    const asked = ["/healthz", "/authz/x", "/resources/v3alpha/users/ann"].map(
      (path) => () => fetch(server.url + path),
    );
    for (const ask of asked) expect(await steps("userlock_authz_total", ask)).toEqual({});
  });
});

test("commits, their rows and the hashes of passwords are measured", async () => {
  await add("gus");
  const hashed = await steps("userlock_password_hash_duration_seconds_count", () => logIn("gus"));
  expect(hashed).toEqual({ 'op="verify"': 1 });
  const [before] = Object.values(await server.series("userlock_store_commit_rows_sum"));
  const commits = await steps("userlock_store_commit_duration_seconds_count", () =>
    call("LockUser", { id: "gus", reason: "fraud" }),
  );
  expect(commits).toEqual({ 'store="memory"': 1 });
  expect(await server.series("userlock_store_commit_rows_sum")).toEqual({ 'store="memory"': (before as number) + 1 });
  expect(await server.series("userlock_store_waiting")).toEqual({ "": 0 });
  expect(await server.series("userlock_password_queue")).toEqual({ "": 0 });
});

test("a stream of locks is counted until it ends", async () => {
  const gone = new AbortController();
  const response = await fetch(`${server.url}/resources/v3alpha/locks/_watch`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    signal: gone.signal,
  });
  await response.body!.getReader().read();
  expect(await server.series("userlock_watchers")).toEqual({ "": 1 });
  gone.abort();
  await noWatchers();
});

test("an event stream is counted with its messages, its lag and its end", async () => {
  const gone = new AbortController();
  const response = await fetch(`${server.url}/resources/v3alpha/events/_watch?types=user.created`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    signal: gone.signal,
  });
  const reader = response.body!.getReader();
  await reader.read();
  expect(await server.series("userlock_watchers")).toEqual({ "": 1 });
  await add("hal");
  const { value } = await reader.read();
  expect(Buffer.from(value as Uint8Array).toString()).toContain("user.created");
  expect(await server.series("userlock_watch_messages_total")).toEqual({ "": 1 });
  expect(await server.series("userlock_watch_lag_seconds_count")).toEqual({ "": 1 });
  expect((await server.series("userlock_log_read_age_seconds"))[""]).toBeLessThan(5);
  gone.abort();
  await noWatchers();
  const streams = Object.keys(await server.series("rpc_server_call_duration_seconds_count")).filter((labels) =>
    labels.includes("WatchEvents"),
  );
  expect(streams).toEqual([
    'rpc_system_name="http",rpc_method="userlock.v3alpha.EventService/WatchEvents",rpc_status_code="CANCELLED"',
  ]);
  // The client left, so the server has cut nothing.
  expect(Object.values(await server.series("userlock_watch_cut_total"))).toEqual([0, 0, 0]);
});

async function noWatchers(): Promise<void> {
  for (let waited = 0; waited < 500; waited++) {
    if ((await server.series("userlock_watchers"))[""] === 0) break;
    await sleep(20);
  }
  expect(await server.series("userlock_watchers")).toEqual({ "": 0 });
}

test("no label has a user, a token or an address", async () => {
  const text = await server.metrics();
  for (const secret of ["ann", "bea", "nobody", ADMIN_TOKEN, "127.0.0.1", "fraud"]) {
    expect(text.split("\n").filter((line) => !line.startsWith("#") && line.includes(secret))).toEqual([]);
  }
});
