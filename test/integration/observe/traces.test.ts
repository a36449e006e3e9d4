// Proves what spans a server sends to a collector, and which calls have one.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { openDoors } from "../../support/clients/doors.ts";
import { type CollectedSpan, type Collector, startCollector } from "../../support/programs/trace-collector.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const SERVER = 2;
const CLIENT = 3;
const METHODS = "userlock.v3alpha.UserService";

let collector: Collector;
let server: ServerProcess;
beforeAll(async () => {
  collector = await startCollector();
  server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_SERVICE_NAME: "locks" });
});
afterAll(async () => {
  await server?.stop();
  await collector?.close();
});

const sampled = (flag: "00" | "01", trace = TRACE) => ({ traceparent: `00-${trace}-${PARENT}-${flag}` });

function call(url: string, path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

/** The span of the call with this request id, once it has come. */
async function spanOf(requestId: string): Promise<CollectedSpan> {
  const isIt = ({ attributes }: CollectedSpan) => attributes["userlock.request_id"] === requestId;
  const found = (await collector.until(isIt)).filter(isIt);
  expect(found).toHaveLength(1);
  return found[0] as CollectedSpan;
}

test("a REST call has a span in its caller's trace, with its route and status, and a repeated lock is no fault", async () => {
  const users = "/resources/v3alpha/users";
  await call(server.url, users, { userId: "ann" }, { "x-request-id": "made" });
  await call(server.url, `${users}/ann/_lock`, { reason: "fraud" });
  await call(server.url, `${users}/ann/_lock`, { reason: "fraud" }, { "x-request-id": "again", ...sampled("01") });
  const span = await spanOf("again");
  expect(span).toMatchObject({ name: `${METHODS}/LockUser`, kind: SERVER, traceId: TRACE, parentSpanId: PARENT });
  expect(span.attributes).toEqual({
    "rpc.system.name": "http",
    "rpc.method": `${METHODS}/LockUser`,
    "rpc.status_code": "FAILED_PRECONDITION",
    "userlock.request_id": "again",
    "userlock.reason": "USER_ALREADY_LOCKED",
    "enduser.pseudo.id": expect.stringMatching(/^[0-9a-f]{16}$/),
    "http.request.method": "POST",
    "http.route": "/resources/v3alpha/users/{id}/_lock",
    "http.response.status_code": 400,
    "url.scheme": "http",
  });
  expect(span.status.code ?? 0).toBe(0);
  expect(span.resource).toMatchObject({ "service.name": "locks" });
  expect(span.milliseconds).toBeGreaterThan(0);
  expect(span.milliseconds).toBeLessThan(60_000);
  const made = await spanOf("made");
  expect(made.parentSpanId ?? "").toBe("");
  expect(made.traceId).not.toBe(TRACE);
});

test.each([
  ["gRPC", "grpc", 0],
  ["gRPC-Web", "grpc", 0],
  ["Connect", "connectrpc", 2],
])("a call by %s has a span, which failed only if the protocol says so", async (name, system, status) => {
  const door = openDoors(server.url).find((one) => one.name.startsWith(name));
  const headers = { "x-request-id": `${system}-${name}`, ...sampled("01") };
  await door?.call(UserService.method.getUser, { id: "nobody" }, { token: ADMIN_TOKEN, headers });
  door?.close();
  const span = await spanOf(`${system}-${name}`);
  expect(span).toMatchObject({ name: `${METHODS}/GetUser`, traceId: TRACE, parentSpanId: PARENT });
  expect(span.attributes).toMatchObject({ "rpc.system.name": system, "rpc.status_code": "NOT_FOUND" });
  expect(span.attributes).not.toHaveProperty("http.route");
  expect(span.status.code ?? 0).toBe(status);
  expect(span.attributes["error.type"]).toBe(status === 2 ? "NOT_FOUND" : undefined);
});

test("a commit has a span of its own, linked to the calls that it serves", async () => {
  const ids = ["c1", "c2", "c3"];
  const path = `/${METHODS}/CreateUser`;
  const calls = ids.map((userId) => call(server.url, path, { user: { userId } }, { "x-request-id": userId }));
  await Promise.all(calls);
  for (const id of ids) {
    const { traceId, spanId } = await spanOf(id);
    const links = ({ links }: CollectedSpan) => links.some((link) => link.spanId === spanId);
    const commit = (await collector.until(links)).find(links);
    expect(commit).toMatchObject({ name: "commit", kind: CLIENT });
    expect(commit?.traceId).not.toBe(traceId);
    expect(commit?.attributes).toMatchObject({ "db.system.name": "sqlite", "db.operation.name": "commit" });
    expect(Number(commit?.attributes["db.operation.batch.size"])).toBe(commit?.links.length);
  }
});

test("an unknown method is _OTHER, probes have no span, and no span has a text of the request", async () => {
  await fetch(`${server.url}/readyz`);
  const secret = "hush-4711";
  const odd = { "x-request-id": "odd", "user-agent": secret, tracestate: `a=${secret}`, ...sampled("01") };
  await call(server.url, `/${METHODS}/${secret}?${secret}`, { password: secret }, odd);
  const bad = { "x-request-id": "bad", authorization: `Bearer ${secret}` };
  await call(server.url, `/resources/v3alpha/users/${secret}/_lock`, { note: secret }, bad);
  expect((await spanOf("odd")).name).toBe("_OTHER");
  expect((await spanOf("bad")).attributes).toMatchObject({ "userlock.reason": "TOKEN_INVALID" });
  expect(collector.spans.filter(({ name }) => !/^(_OTHER|commit|userlock\..*)$/.test(name))).toEqual([]);
  // The tracestate is the caller's own, and goes with the trace.
  expect(collector.bodies.join("").replaceAll(`"traceState":"a=${secret}"`, "")).not.toContain(secret);
});

test("a caller that does not sample has no span, and the log names its trace all the same", async () => {
  const trace = "11111111111111111111111111111111";
  const path = "/resources/v3alpha/users";
  await call(server.url, path, { userId: "not-sampled" }, { "x-request-id": "none", ...sampled("00", trace) });
  await call(server.url, path, { userId: "own-trace" }, { "x-request-id": "own" });
  const { traceId } = await spanOf("own");
  expect(collector.spans.filter((span) => span.traceId === trace)).toEqual([]);
  expect(server.stderr()).toMatch(new RegExp(`"user":"not-sampled".*"traceId":"${trace}"`));
  expect(server.stderr()).toMatch(new RegExp(`"user":"own-trace".*"traceId":"${traceId}"`));
});

test("with a ratio of 0 only calls of sampled callers have a span, and a stop sends the last ones", async () => {
  const { endpoint } = collector;
  const other = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: "0" });
  const trace = "22222222222222222222222222222222";
  const before = collector.spans.length;
  for (let index = 0; index < 20; index++) await call(other.url, "/resources/v3alpha/users", { userId: `z${index}` });
  await call(other.url, "/resources/v3alpha/users/z1/_lock", { reason: "fraud" }, sampled("01", trace));
  await other.stop();
  const spans = collector.spans.slice(before);
  expect(spans.map(({ name }) => name).toSorted()).toEqual(["commit", `${METHODS}/LockUser`]);
  expect(spans.find(({ name }) => name !== "commit")?.traceId).toBe(trace);
});

test("a fetch of the issuer's keys has a span, and carries its context to the issuer", async () => {
  const seen: (string | undefined)[] = [];
  const issuer = createServer(({ headers }, response) => {
    seen.push(headers.traceparent as string | undefined);
    response.end('{"keys":[]}');
  });
  await once(issuer.listen(0, "127.0.0.1"), "listening");
  const checking = await startServer({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    USERLOCK_JWT_ISSUER: "https://issuer.example.com",
    USERLOCK_JWT_AUDIENCE: "userlock",
    USERLOCK_JWKS: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks`,
  });
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = `${part({ alg: "EdDSA", typ: "JWT", kid: "a" })}.${part({ sub: "ann" })}.${part({})}`;
  const answer = await call(checking.url, "/resources/v3alpha/users", {}, { authorization: `Bearer ${token}` });
  expect(answer.status).toBe(401);
  const isFetch = ({ name, kind }: CollectedSpan) => name === "GET" && kind === CLIENT;
  const [span] = (await collector.until(isFetch)).filter(isFetch);
  expect(seen[0]).toBe(`00-${span?.traceId}-${span?.spanId}-01`);
  await checking.stop();
  issuer.close();
});
