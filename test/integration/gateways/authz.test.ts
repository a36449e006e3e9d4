// Proves that gateways can ask /authz about each request, and that every doubt is a no.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { IDENTITY_HEADERS } from "../../support/gateways/identity-headers.ts";
import { addUser, asOwner, ok, openSession, outcomeOf } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { newDatabase } from "../../support/stores/postgres.ts";
import { startRelay } from "../../support/stores/relay.ts";

const ISSUER = "https://issuer.example.com";
const GATEWAY_TOKEN = "gateway-secret-0123456789";
const LOGIN = "https://login.example.com";
/** Each form of an origin that a setting can have. */
const ORIGINS = [
  LOGIN,
  "https://login.example.com:8443",
  "http://localhost:3000",
  "http://127.0.0.1",
  "https://[::1]:8443",
];

const folder = temporaryFolder();
const tokens: Record<string, string> = { none: "" };
let server: ServerProcess;
let closed: ServerProcess;
let doors: Door[] = [];
let door: Door;

beforeAll(async () => {
  const keys = await generateKeyPair("ES256");
  const jwks = folder.file("jwks.json");
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k", alg: "ES256" }] }));
  const jwt = (sub: string, roles: string[] = []) =>
    new SignJWT({ iss: ISSUER, aud: "userlock", sub, exp: Math.floor(Date.now() / 1000) + 300, roles })
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .sign(keys.privateKey);
  const trust = { USERLOCK_JWT_ISSUER: ISSUER, USERLOCK_JWT_AUDIENCE: "userlock", USERLOCK_JWKS: jwks };
  [server, closed] = await Promise.all([
    startServer({ ...trust, USERLOCK_LOGIN_ORIGINS: ORIGINS.join() }),
    startServer({ USERLOCK_AUTHZ_TOKEN: GATEWAY_TOKEN }),
  ]);
  doors = openDoors(server.url);
  door = doors.find(({ name }) => name === "REST") as Door;
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  await addUser(door, { id: "ada", organization: "acme", names: [["Ada Žižka, MA"]] });
  const contact = { email: { address: "ada@example.com" } };
  ok(await door.call(UserService.method.patchUser, { id: "ada", user: { contact } }, asOwner));
  for (const id of ["locked", "inactive", "deleted", "ended"]) {
    await addUser(door, { id });
    const session = await openSession(door, id);
    tokens[`the session of the user ${id}`] = session.sessionToken;
    tokens[`a JWT of the user ${id}`] = await jwt(id);
    tokens[`a userlock token of the user ${id}`] = (await make.create(id, ["ORG_VIEWER", "acme"])).secret;
  }
  const { lockUser, deactivateUser, deleteUser } = UserService.method;
  ok(await door.call(lockUser, { id: "locked" }, asOwner));
  ok(await door.call(deactivateUser, { id: "inactive" }, asOwner));
  ok(await door.call(deleteUser, { id: "deleted" }, asOwner));
  await fetch(`${server.url}/resources/v3alpha/users/ended/sessions`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  tokens.session = (await openSession(door, "ada")).sessionToken;
  tokens.jwt = await jwt("ada");
  tokens["a stranger's JWT"] = await jwt("stranger, 100%", ["ORG_OWNER@acme"]);
  tokens["an own token"] = (await make.create("job", ["INSTANCE_VIEWER"])).secret;
  const revoked = await make.create("job", ["INSTANCE_VIEWER"]);
  await make.revoke(revoked.id);
  tokens["a revoked token"] = revoked.secret;
  tokens.nonsense = "no-such-token";
  tokens["no token's characters"] = "a b";
});

afterAll(async () => {
  for (const each of doors) each.close();
  await Promise.all([server?.stop(), closed?.stop()]);
  folder.remove();
});

interface Ask {
  query?: string;
  headers?: Record<string, string>;
  method?: string;
  at?: string;
}

async function ask(token: string, { query = "", headers = {}, method = "GET", at = server.url }: Ask = {}) {
  const bearer = tokens[token] as string;
  const response = await fetch(`${at}/authz${query}`, {
    method,
    redirect: "manual",
    headers: { ...(bearer && { authorization: `Bearer ${bearer}` }), ...headers },
  });
  const shown = Object.fromEntries(IDENTITY_HEADERS.map((name) => [name, response.headers.get(name)]));
  return { status: response.status, headers: response.headers, shown, body: await response.text() };
}

test.each([
  ["session", { user: "ada", name: "Ada%20%C5%BDi%C5%BEka%2C%20MA", email: "ada@example.com", isSession: true }],
  ["jwt", { user: "ada", name: "Ada%20%C5%BDi%C5%BEka%2C%20MA", email: "ada@example.com", isSession: false }],
  ["a stranger's JWT", { user: "stranger%2C%20100%25", name: "", email: "", isSession: false }],
  ["an own token", { user: "job", name: "", email: "", isSession: false }],
])("%s passes, and the app gets all headers, also those without a value", async (token, expected) => {
  const { status, shown, headers, body } = await ask(token);
  expect([status, body, headers.get("cache-control")]).toEqual([200, "", "no-store"]);
  expect(shown).toEqual({
    "x-auth-request-user": expected.user,
    "x-auth-request-preferred-username": expected.name,
    "x-auth-request-email": expected.email,
    "x-userlock-session": expect.stringMatching(expected.isSession ? /^\d+$/ : /^$/),
    "x-userlock-expires": expect.stringMatching(token === "an own token" ? /^$/ : /^20\d\d-.*Z$/),
    "remote-user": expected.user,
  });
});

const DENIED = ["locked", "inactive", "deleted", "ended"];
test.each([
  "nonsense",
  "a revoked token",
  ...DENIED.map((user) => `the session of the user ${user}`),
  ...DENIED.slice(0, 3).flatMap((user) => [`a JWT of the user ${user}`, `a userlock token of the user ${user}`]),
])("%s is refused like any bad token", async (token) => {
  const [refused, bad] = [await ask(token), await ask("nonsense")];
  expect([refused.status, refused.headers.get("www-authenticate"), refused.body]).toEqual([
    401,
    'Bearer realm="userlock", error="invalid_token"',
    bad.body,
  ]);
  expect(refused.headers.get("x-userlock-reason")).toBeNull();
  expect(refused.shown["x-auth-request-user"]).toBeNull();
});

test("a request without a token is refused with a challenge that names no error", async () => {
  const { status, headers } = await ask("none");
  expect([status, headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="userlock"']);
});

test.each<[what: string, cookie: string, query: string, bearer: string, status: number]>([
  ["in the named cookie", "a=1; sid=TOKEN; b=2", "?cookie=sid", "none", 200],
  ["in a quoted cookie", 'sid="TOKEN"', "?cookie=sid", "none", 200],
  ["in the first of two cookies of the name", "sid=TOKEN; sid=other", "?cookie=sid", "none", 200],
  ["in the second of two cookies of the name", "sid=other; sid=TOKEN", "?cookie=sid", "none", 401],
  ["in a cookie that the query does not name", "sid=TOKEN", "", "none", 401],
  ["in a cookie of another case", "SID=TOKEN", "?cookie=sid", "none", 401],
  ["in the cookie, with a bad one in the header", "sid=TOKEN", "?cookie=sid", "nonsense", 401],
  ["in the header, with a bad one in the cookie", "sid=other", "?cookie=sid", "session", 200],
])("a token %s", async (_what, cookie, query, bearer, status) => {
  const headers = { cookie: cookie.replace("TOKEN", tokens.session as string) };
  expect((await ask(bearer, { query, headers })).status).toBe(status);
});

test("a token in the cookie counts if the header has the app's own Basic login", async () => {
  const headers = { cookie: `sid=${tokens.session}`, authorization: "Basic YTpi" };
  expect((await ask("none", { query: "?cookie=sid", headers })).status).toBe(200);
});

test.each([
  ["session", "?organization=acme", 200],
  ["session", "?organization=other", 403],
  ["a stranger's JWT", "?organization=acme", 200],
  ["a stranger's JWT", "?organization=other", 403],
  ["an own token", "?organization=acme", 403],
  ["an own token", "?role=INSTANCE_VIEWER", 200],
  ["an own token", "?role=INSTANCE_OWNER", 403],
  ["a stranger's JWT", "?role=ORG_OWNER&organization=acme", 200],
  ["a stranger's JWT", "?role=ORG_OWNER", 403],
  ["session", "?role=ORG_OWNER&organization=acme", 403],
  ["nonsense", "?organization=other", 401],
  ["session", "?organisation=other", 400],
  ["session", "?organization=", 400],
  ["session", "?organization=acme&organization=other", 400],
  ["session", "?organization=a%2Fb&role=%00", 400],
])("%s at /authz%s", async (token, query, status) => {
  expect((await ask(token, { query })).status).toBe(status);
});

test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("%s is answered alike", async (method) => {
  expect((await ask("session", { method })).status).toBe(200);
  expect((await ask("nonsense", { method })).status).toBe(401);
});

test("HEAD is answered as GET", async () => {
  expect((await ask("session", { method: "HEAD" })).shown["x-auth-request-user"]).toBe("ada");
});

/** What a gateway may pass on from a client, and what other paths of the server answer with 2xx. */
test.each<[what: string, method: string, headers: Record<string, string>]>([
  ["a CORS preflight", "OPTIONS", { origin: "https://evil.example.com", "access-control-request-method": "GET" }],
  ["a gRPC call", "POST", { "content-type": "application/grpc", te: "trailers" }],
  ["a gRPC-Web call", "POST", { "content-type": "application/grpc-web+proto" }],
  ["a gRPC-Web text call", "POST", { "content-type": "application/grpc-web-text" }],
  ["a Connect call", "POST", { "content-type": "application/connect+json", "connect-protocol-version": "1" }],
])("%s without a token is refused", async (_what, method, headers) => {
  expect((await ask("none", { method, headers })).status).toBe(401);
});

test("the body of a request is ignored, and does not hold up the answer", async () => {
  const { port, hostname } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const lines = [
    "POST /authz HTTP/1.1",
    "Host: x",
    `Authorization: Bearer ${tokens.session}`,
    "Content-Length: 1000000",
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\nthe beginning`);
  const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
  // A body that keeps coming does not hold the connection.
  const dripping = setInterval(() => socket.write("more"), 50);
  await new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
  clearInterval(dripping);
});

/** The status for a request with these fields, some of them repeated, over HTTP/1.1 and HTTP/2. */
async function statusesOf(
  path: string,
  fields: readonly [name: string, value: string][],
  method = "GET",
): Promise<number[]> {
  const { port, hostname, host, origin } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const lines = fields.map(([name, value]) => `${name}: ${value}`);
  socket.write(
    `${[`${method} ${path} HTTP/1.1`, `host: ${host}`, "connection: close", ...lines].join("\r\n")}\r\n\r\n`,
  );
  const [, status] = /^HTTP\/1.1 (\d+)/.exec(await text(socket)) ?? [];
  // Node's types do not know the option yet.
  const lax = { settings: {}, strictSingleValueFields: false };
  const session = connectHttp2(origin, lax);
  const pseudo = { ":method": method, ":scheme": "http", ":authority": host, ":path": path };
  const stream = session.request([...Object.entries(pseudo), ...fields].flat());
  const [headers] = await once(stream, "response");
  session.destroy();
  return [Number(status), headers[":status"]];
}

test.each<[what: string, path: string, fields: (token: string) => [name: string, value: string][], status: number]>([
  [
    "a cookie in several fields passes",
    "/authz?cookie=sid",
    (token) => [
      ["cookie", "a=1"],
      ["cookie", `sid=${token}`],
    ],
    200,
  ],
  [
    "two Authorization fields are refused, because a proxy may have read the other one",
    "/authz",
    (token) => [
      ["authorization", `Bearer ${token}`],
      ["authorization", "Bearer other"],
    ],
    401,
  ],
  [
    "two equal Authorization fields are refused",
    "/authz",
    (token) => [
      ["authorization", `Bearer ${token}`],
      ["authorization", `Bearer ${token}`],
    ],
    401,
  ],
])("%s", async (_what, path, fields, status) => {
  expect(await statusesOf(path, fields(tokens.session as string))).toEqual([status, status]);
});

test("a verb that the API does not use is answered like GET, because some gateways keep the client's", async () => {
  const bearer = (token: string): [string, string][] => [["authorization", `Bearer ${tokens[token]}`]];
  expect(await statusesOf("/authz", bearer("session"), "PROPFIND")).toEqual([200, 200]);
  expect(await statusesOf("/authz", bearer("nonsense"), "PROPFIND")).toEqual([401, 401]);
});

test("TRACE is not answered", async () => {
  const { port, hostname } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.write(`TRACE /authz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.session}\r\n\r\n`);
  const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.destroy();
  expect(answer).toMatch(/^HTTP\/1.1 405 /);
});

describe("a browser without a good token", () => {
  const query = `?redirect=${encodeURIComponent(`${LOGIN}/?app=1`)}`;
  const accept = "text/html,*/*";
  const forwarded = { accept, "x-forwarded-proto": "https", "x-forwarded-host": "app", "x-forwarded-uri": "/a?b=1" };

  test.each<[what: string, headers: Record<string, string>, wanted: string | null]>([
    ["nginx's address", { accept, "x-original-url": "https://app/a?b=1" }, "https://app/a?b=1"],
    ["nginx's path", { accept, "x-original-uri": "/a", "x-forwarded-host": "app" }, "https://app/a"],
    ["the address of Caddy and Traefik", forwarded, "https://app/a?b=1"],
    ["an address of a script", { accept, "x-original-url": "javascript:alert(1)" }, null],
    ["no address", { accept }, null],
    // "https:///evil.example.com" would be the host "evil.example.com".
    ["a path without a host", { accept, "x-original-uri": "/evil.example.com/" }, null],
  ])("is sent to the login page with %s", async (_what, headers, wanted) => {
    const { status, headers: got } = await ask("nonsense", { query, headers });
    const page = new URL(got.get("location") as string);
    expect([status, page.origin, page.searchParams.get("app"), page.searchParams.get("rd")]).toEqual([
      302,
      LOGIN,
      "1",
      wanted,
    ]);
  });

  test.each([
    ["as far as the page's whole address has 4,000 characters", 3_940, true],
    ["and not in a longer one, which a gateway may refuse", 4_000, false],
    ["and not in one that its escapes make longer", 1_400, false],
  ])("is sent there with the wanted address %s", async (what, length, isSent) => {
    const path = (what.includes("escapes") ? "%" : "a").repeat(length);
    const { status, headers } = await ask("nonsense", {
      query,
      headers: { accept, "x-original-url": `https://a/${path}` },
    });
    const location = headers.get("location") as string;
    expect([status, new URL(location).searchParams.get("rd")]).toEqual([302, isSent ? `https://a/${path}` : null]);
    expect(location.length).toBeLessThanOrEqual(4_000);
    expect(location.startsWith(`${LOGIN}/?app=1`)).toBe(true);
  });

  test.each<[what: string, token: string, query: string, headers: Record<string, string>, status: number]>([
    ["passes with a good token", "session", query, { accept }, 200],
    ["is refused if it asks for data", "nonsense", query, { accept: "application/json" }, 401],
    ["is refused if it sends a form", "nonsense", query, { accept, "x-forwarded-method": "POST" }, 401],
    ["is never sent to another origin", "nonsense", "?redirect=https://evil.example.com/", { accept }, 400],
    ["is never sent to a user at another host", "nonsense", `?redirect=${LOGIN}@evil.example.com/`, { accept }, 400],
    ["is never sent to a blob", "nonsense", `?redirect=blob:${LOGIN}/a`, { accept }, 400],
    ["is never sent to a path", "nonsense", "?redirect=//evil.example.com/", { accept }, 400],
  ])("%s", async (_what, token, more, headers, status) => {
    expect((await ask(token, { query: more, headers })).status).toBe(status);
  });

  describe.each(ORIGINS)("at %s", (origin) => {
    const [scheme, host] = origin.split("//") as [string, string];
    const answerFor = (page: string) =>
      ask("nonsense", { query: `?redirect=${encodeURIComponent(page)}`, headers: { accept } });

    test("is sent to any path of the login page", async () => {
      for (const page of [origin, `${origin}/a?b=c`]) {
        const { status, headers } = await answerFor(page);
        expect([status, new URL(headers.get("location") as string).origin]).toEqual([302, origin]);
      }
    });

    test.each([
      `${origin}@evil.example.com/`,
      `${origin}:pass@evil.example.com/`,
      `${origin}%2F@evil.example.com/`,
      `${scheme}//user@${host}/`,
      `${scheme}//user:pass@${host}/`,
      `${scheme}//:pass@${host}/`,
      `${scheme}//evil.example.com@${host}/`,
    ])("is refused the page %s, which names a user or another host", async (page) => {
      const { status, headers } = await answerFor(page);
      expect([status, headers.get("location")]).toEqual([400, null]);
    });
  });
});

describe("with USERLOCK_AUTHZ_TOKEN", () => {
  test.each<[what: string, headers: Record<string, string>, status: number, reason: string | null]>([
    ["no gateway token", {}, 403, null],
    ["a wrong gateway token", { "x-userlock-gateway": "wrong" }, 403, null],
    ["the gateway token", { "x-userlock-gateway": GATEWAY_TOKEN }, 401, "TOKEN_INVALID"],
  ])("a request with %s", async (_what, headers, status, reason) => {
    const answer = await ask("nonsense", { headers, at: closed.url });
    expect([answer.status, answer.headers.get("x-userlock-reason")]).toEqual([status, reason]);
  });
});

describe("while the store", () => {
  let relay: Awaited<ReturnType<typeof startRelay>>;
  let distant: ServerProcess;

  beforeAll(async () => {
    const database = new URL((await newDatabase()).url);
    relay = await startRelay({ host: database.hostname, port: Number(database.port) });
    database.host = relay.address;
    distant = await startServer({ USERLOCK_STORE: database.href });
    tokens["a token of the distant store"] = (
      await tokenMaker(distant.url, ADMIN_TOKEN).create("job", ["GATEWAY"])
    ).secret;
    expect((await ask("a token of the distant store", { at: distant.url })).status).toBe(200);
  });

  afterAll(async () => {
    await distant?.stop("SIGKILL");
  });

  test.each([
    ["does not answer", () => relay.hold()],
    ["is away", () => relay.stop()],
  ])("%s, the answer is no within a second", async (_what, hinder) => {
    await hinder();
    const began = performance.now();
    const { status, headers } = await ask("a token of the distant store", { at: distant.url });
    expect([status, headers.get("retry-after")]).toEqual([503, "1"]);
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});

test("the API has the same answer for the bearer as a message", async () => {
  for (const each of doors) {
    const { response } = await each.call(AuthzService.method.authorize, {}, { token: tokens.session as string });
    expect(response).toMatchObject({ userId: "ada", username: "Ada Žižka, MA", organizationId: "acme" });
    const role = await each.call(AuthzService.method.authorize, { role: "X" }, { token: tokens.session as string });
    expect(outcomeOf(role)).toBe("PERMISSION_DENIED PERMISSION_MISSING");
  }
});
