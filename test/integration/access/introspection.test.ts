// Proves that gateways can check tokens by introspection (RFC 7662).
import { gzipSync } from "node:zlib";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, ok, openSession } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { lockUser } = UserService.method;

let server: ServerProcess;
let doors: Door[] = [];
let door: Door;
const tokens: Record<string, string | undefined> = { owner: ADMIN_TOKEN };
const ids: Record<string, string | undefined> = {};
/** The tokens to introspect, by description. */
const asked: Record<string, string> = {
  nonsense: "no-such-token",
  "very long nonsense": "x".repeat(5_000),
  "the caller's own token": ADMIN_TOKEN,
};

beforeAll(async () => {
  server = await startServer({ USERLOCK_INSTANCE_ID: "main" });
  doors = openDoors(server.url);
  door = doors[0] as Door;
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  const keep = async (name: string, made: Promise<{ id: string; secret: string }>) => {
    ({ id: ids[name], secret: tokens[name] } = await made);
  };
  await keep("gateway", make.create("gateway", ["GATEWAY"]));
  await keep("gatewayOfA", make.create("gateway-a", ["GATEWAY", "a"]));
  await keep("gate:way@a", make.create("gate:way@a", ["GATEWAY"]));
  await keep("revoked", make.create("revoked", ["GATEWAY"]));
  await make.revoke(ids.revoked as string);
  tokens.viewer = (await make.create("viewer", ["INSTANCE_VIEWER"])).secret;
  await addUser(door, { id: "ada", organization: "a", names: [["ada@example.com"], ["ada", true]] });
  await addUser(door, { id: "cyd" });
  await addUser(door, { id: "locked" });
  asked["a session in a"] = (await openSession(door, "ada")).sessionToken;
  asked["a session of the instance"] = (await openSession(door, "cyd")).sessionToken;
  asked["a session of a locked user"] = (await openSession(door, "locked")).sessionToken;
  ok(await door.call(lockUser, { id: "locked" }, asOwner));
});

afterAll(async () => {
  for (const each of doors) each.close();
  await server?.stop();
});

async function introspect(
  token: string | undefined,
  { caller = "gateway", ...more }: { caller?: string | undefined } & RequestInit = {},
) {
  const bearer = tokens[caller];
  const response = await fetch(`${server.url}/oauth/v2/introspect`, {
    method: "POST",
    body: new URLSearchParams({ token_type_hint: "access_token", ...(token !== undefined && { token }) }),
    ...more,
    headers: { ...(bearer && { authorization: `Bearer ${bearer}` }), ...(more.headers as Record<string, string>) },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

test("introspection omits the user name of a user without one", async () => {
  const { text } = await introspect(asked["a session of the instance"]);
  expect(Object.keys(JSON.parse(text)).sort()).toEqual(["active", "exp", "iat", "iss", "sub"]);
});

test("introspection returns a session's user, start and end, with times as numbers", async () => {
  const { status, headers, text } = await introspect(asked["a session in a"]);
  expect(status).toBe(200);
  expect(headers.get("content-type")).toBe("application/json");
  expect(headers.get("cache-control")).toBe("no-store");
  const told = JSON.parse(text);
  const { iat, exp } = told;
  expect(told).toEqual({ active: true, sub: "ada", username: "ada@example.com", iat, exp, iss: "main" });
  expect(Math.abs(iat - Date.now() / 1_000)).toBeLessThan(60);
  expect(exp - iat).toBe(12 * 3_600);
  expect(Number.isInteger(iat)).toBe(true);
});

test.each<[what: string, caller: string, isActive: boolean]>([
  ["a session in a", "gateway", true],
  ["a session in a", "gatewayOfA", true],
  ["a session of the instance", "gateway", true],
  ["a session of the instance", "gatewayOfA", false],
  ["a session of a locked user", "gateway", false],
  ["nonsense", "gateway", false],
  ["very long nonsense", "gateway", false],
  ["the caller's own token", "owner", false],
])("introspection of %s by the %s answers active %s", async (what, caller, isActive) => {
  const { status, text } = await introspect(asked[what], { caller });
  expect(status).toBe(200);
  if (isActive) expect(JSON.parse(text)).toMatchObject({ active: true });
  else expect(JSON.parse(text)).toEqual({ active: false });
});

const FORM = "application/x-www-form-urlencoded";

test.each<
  [what: string, options: Parameters<typeof introspect>[1], token: string | undefined, status: number, reason: string]
>([
  ["a caller without a token", { caller: "nobody" }, "x", 401, "TOKEN_MISSING"],
  ["a caller without session.read", { caller: "viewer" }, "x", 403, "PERMISSION_MISSING"],
  ["a missing token parameter", {}, undefined, 400, "INVALID_REQUEST"],
  ["an empty token", {}, "", 400, "INVALID_REQUEST"],
  ["a token above the message limit", {}, "x".repeat(64 * 1024 + 1), 413, "TOO_LARGE"],
  ["the method GET", { method: "GET", body: null }, undefined, 405, "NOT_SERVED"],
  ["a JSON body", { headers: { "content-type": "application/json" }, body: "{}" }, undefined, 415, "INVALID_REQUEST"],
  [
    "a content type that only starts like a form's",
    { headers: { "content-type": `${FORM}-not` }, body: "token=x" },
    undefined,
    415,
    "INVALID_REQUEST",
  ],
  [
    "a missing permission before a wrong content type",
    { caller: "viewer", headers: { "content-type": "a/b" } },
    "x",
    403,
    "PERMISSION_MISSING",
  ],
  [
    "a body of 5 MiB",
    { body: `token=${"x".repeat(5 * 1024 * 1024)}`, headers: { "content-type": FORM } },
    undefined,
    413,
    "TOO_LARGE",
  ],
])("introspection refuses %s", async (_what, options, token, status, reason) => {
  const answer = await introspect(token, options);
  expect(answer.status).toBe(status);
  const { details, error, error_description: description } = JSON.parse(answer.text);
  if (status !== 405)
    expect({ error, description }).toEqual({ error: expect.any(String), description: expect.any(String) });
  expect(details[0].reason).toBe(reason);
  if (status === 401) expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer /);
  if (status === 405) expect(answer.headers.get("allow")).toBe("POST");
});

test("introspection accepts a form with a charset in its content type, in any case", async () => {
  const { status } = await introspect(undefined, {
    headers: { "content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8" },
    body: `token=${asked["a session in a"]}`,
  });
  expect(status).toBe(200);
});

test.each(["gzip", "GZIP", "x-gzip"])("introspection accepts a form in the encoding %s", async (coding) => {
  const { status, text } = await introspect(undefined, {
    headers: { "content-type": FORM, "content-encoding": coding },
    body: gzipSync(`token=${asked["a session in a"]}`),
  });
  expect({ status, json: JSON.parse(text) }).toMatchObject({ status: 200, json: { active: true } });
});

test.each<[what: string, coding: string, body: Uint8Array<ArrayBuffer>, status: number, reason: string]>([
  ["in an unknown encoding", "br", gzipSync("token=x"), 415, "INVALID_REQUEST"],
  ["with invalid gzip data", "gzip", Buffer.from("token=x"), 400, "INVALID_REQUEST"],
  ["with a gzip bomb", "gzip", gzipSync(`token=${"x".repeat(5_000_000)}`), 413, "TOO_LARGE"],
])("introspection refuses a form %s", async (_what, coding, body, status, reason) => {
  const answer = await introspect(undefined, { headers: { "content-type": FORM, "content-encoding": coding }, body });
  const { error, details } = JSON.parse(answer.text);
  expect({ status: answer.status, error, reason: details[0].reason }).toEqual({
    status,
    error: "invalid_request",
    reason,
  });
  if (status === 415) expect(answer.headers.get("accept-encoding")).toBe("gzip");
});

describe("an OAuth client that introspects", () => {
  const basic = (id: string, secret: string) => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`,
  });
  /** Every character percent-encoded, as the strictest clients do. */
  const encoded = (text: string) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16)}`).join("");
  const form = (...fields: [name: string, value: string][]) => new URLSearchParams(fields).toString();
  const token = (): [string, string] => ["token", asked["a session in a"] as string];
  const secretOf = (who: string) => tokens[who] as string;
  const idOf = (who: string) => ids[who] as string;
  const posted = (id: string, secret: string): [string, string][] => [
    ["client_id", id],
    ["client_secret", secret],
  ];

  const send = async (body: string, headers: Record<string, string> = {}) => {
    const answer = await introspect(undefined, {
      caller: "nobody",
      body,
      headers: { "content-type": FORM, ...headers },
    });
    return { ...answer, json: JSON.parse(answer.text) };
  };

  test.each<[what: string, request: () => [body: string, headers?: Record<string, string>]]>([
    ["client_secret_basic by the token's subject", () => [form(token()), basic("gateway", secretOf("gateway"))]],
    ["client_secret_basic by the token's id", () => [form(token()), basic(idOf("gateway"), secretOf("gateway"))]],
    [
      "client_secret_basic with percent-encoding",
      () => [form(token()), basic(encoded("gate:way@a"), encoded(secretOf("gate:way@a")))],
    ],
    [
      "client_secret_basic without percent-encoding",
      () => [form(token()), basic("gate:way@a", secretOf("gate:way@a"))],
    ],
    [
      "client_secret_basic with a lower-case scheme",
      () => [form(token()), { authorization: basic("gateway", secretOf("gateway")).authorization.replace("B", "b") }],
    ],
    [
      "client_secret_basic with its id also in the form",
      () => [form(token(), ["client_id", "gateway"]), basic("gateway", secretOf("gateway"))],
    ],
    ["client_secret_post by the token's subject", () => [form(token(), ...posted("gateway", secretOf("gateway")))]],
    ["client_secret_post by the token's id", () => [form(...posted(idOf("gateway"), secretOf("gateway")), token())]],
    [
      "client_secret_post with the encoding of forms",
      () => [form(token(), ...posted("gate:way@a", secretOf("gate:way@a")))],
    ],
    ["Bearer with an empty client_secret", () => [form(token(), ["client_secret", ""]), bearer("gateway")]],
    ["an unknown token_type_hint", () => [form(token(), ["token_type_hint", "no_such_type"]), bearer("gateway")]],
    ["unknown parameters", () => [form(token(), ["foo", "bar"]), bearer("gateway")]],
  ])("is accepted with %s", async (_what, request) => {
    const { status, json } = await send(...request());
    expect({ status, json }).toMatchObject({ status: 200, json: { active: true, sub: "ada" } });
  });

  const bearer = (who: string) => ({ authorization: `Bearer ${secretOf(who)}` });
  const wrongClients: [what: string, id: () => string, secret: () => string][] = [
    ["an unknown secret", () => "gateway", () => "userlock_no-such-token"],
    ["an unknown client id", () => "nobody", () => secretOf("gateway")],
    ["the id of another token", () => idOf("gatewayOfA"), () => secretOf("gateway")],
    ["the subject of another token", () => "gateway-a", () => secretOf("gateway")],
    ["its id in another case", () => "GATEWAY", () => secretOf("gateway")],
    ["an empty id", () => "", () => secretOf("gateway")],
    ["a blank secret", () => "gateway", () => " "],
    ["a property name of Object.prototype as id", () => "constructor", () => secretOf("gateway")],
    ["a revoked token", () => "revoked", () => secretOf("revoked")],
    ["broken percent-encoding", () => "%zz", () => secretOf("gateway")],
  ];

  test.each(wrongClients)(
    "with %s gets the same invalid_client error by Basic and in the form",
    async (_what, id, secret) => {
      const answers = [
        await send(form(token()), basic(id(), secret())),
        await send(form(token(), ...posted(id(), secret()))),
      ];
      for (const { status, headers, json } of answers) {
        expect({ status, challenge: headers.get("www-authenticate") }).toEqual({
          status: 401,
          challenge: 'Basic realm="userlock"',
        });
        expect(json).toMatchObject({ error: "invalid_client", details: [{ reason: "TOKEN_INVALID" }] });
        expect(json.error_description).toBe((await send(form(token()), basic("nobody", "x"))).json.error_description);
      }
    },
  );

  test.each(["Basic", "Basic !", `Basic ${Buffer.from("no colon").toString("base64")}`])(
    "with the header '%s' gets invalid_client",
    async (authorization) => {
      const { status, json } = await send(form(token()), { authorization });
      expect({ status, error: json.error }).toEqual({ status: 401, error: "invalid_client" });
    },
  );

  test.each(["gateway", "nobody"])(
    "with two Basic credentials gets invalid_client, if the second is %s",
    async (id) => {
      const right = basic("gateway", secretOf("gateway")).authorization;
      const both = `${right}, ${basic(id, secretOf("gateway")).authorization}`;
      const { status, json } = await send(form(token()), { authorization: both });
      expect({ status, error: json.error }).toEqual({ status: 401, error: "invalid_client" });
    },
  );

  test("without credentials gets a challenge with both schemes", async () => {
    for (const request of [form(token()), form(token(), ["client_id", "gateway"])]) {
      const { status, headers, json } = await send(request);
      expect(json).toMatchObject({ error: "invalid_client", details: [{ reason: "TOKEN_MISSING" }] });
      expect({ status, challenge: headers.get("www-authenticate") }).toEqual({
        status: 401,
        challenge: 'Bearer realm="userlock", Basic realm="userlock"',
      });
    }
  });

  test("with an unknown bearer token gets invalid_token", async () => {
    const { status, headers, json } = await send(form(token()), { authorization: "Bearer no-such-token" });
    expect({ status, error: json.error }).toEqual({ status: 401, error: "invalid_token" });
    expect(headers.get("www-authenticate")).toMatch(/^Bearer .*error="invalid_token"/);
  });

  test.each<[what: string, request: () => [body: string, headers?: Record<string, string>]]>([
    ["without the permission, by Basic", () => [form(token()), basic("viewer", secretOf("viewer"))]],
    ["without the permission, in the form", () => [form(token(), ...posted("viewer", secretOf("viewer")))]],
  ])("%s gets insufficient_scope", async (_what, request) => {
    const { status, json } = await send(...request());
    expect(status).toBe(403);
    expect(json).toMatchObject({ error: "insufficient_scope", details: [{ reason: "PERMISSION_MISSING" }] });
  });

  test.each<[what: string, request: () => [body: string, headers?: Record<string, string>]]>([
    ["the token parameter twice", () => [form(token(), token()), bearer("gateway")]],
    ["the token parameter twice, once empty", () => [form(token(), ["token", ""]), bearer("gateway")]],
    [
      "the token_type_hint twice",
      () => [form(token(), ["token_type_hint", "a"], ["token_type_hint", "a"]), bearer("gateway")],
    ],
    ["an unknown parameter twice", () => [form(token(), ["foo", "1"], ["foo", "2"]), bearer("gateway")]],
    [
      "its secret twice",
      () => [form(token(), ...posted("gateway", secretOf("gateway")), ["client_secret", secretOf("gateway")])],
    ],
    [
      "Basic and client_secret",
      () => [form(token(), ...posted("gateway", secretOf("gateway"))), basic("gateway", secretOf("gateway"))],
    ],
    ["Bearer and client_secret", () => [form(token(), ...posted("gateway", secretOf("gateway"))), bearer("gateway")]],
    [
      "Basic and another token's client_id",
      () => [form(token(), ["client_id", "gateway-a"]), basic("gateway", secretOf("gateway"))],
    ],
    ["no token parameter", () => [form(...posted("gateway", secretOf("gateway")))]],
  ])("that sends %s gets invalid_request", async (_what, request) => {
    const { status, json } = await send(...request());
    expect(status).toBe(400);
    expect({ error: json.error, reason: json.details[0].reason }).toEqual({
      error: "invalid_request",
      reason: "INVALID_REQUEST",
    });
    expect(json.error_description).toMatch(/^[ !#-[\]-~]+$/);
  });

  test("is not authenticated by Basic on other routes", async () => {
    const response = await fetch(`${server.url}/resources/v3alpha/users/ada`, {
      headers: basic("gateway", secretOf("gateway")),
    });
    expect(response.status).toBe(401);
  });
});
