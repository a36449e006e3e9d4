// Proves how a browser logs in to the console and out: only by its own page, with a cookie that no script can read.
import { setTimeout as sleep } from "node:timers/promises";
import { tokenMaker } from "../../support/access.ts";
import { startIssuer } from "../../support/client/issuer.ts";
import { exchange, openRaw } from "../../support/clients/http.ts";
import { askSession, attributesOf, CALL, cookieIn, logIn, outcomeOf, WHO_AM_I } from "../../support/console/session.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const EIGHT_HOURS_S = 8 * 60 * 60;
const BODY_MS = 1_000;
const LOUD = { USERLOCK_LOG_LEVEL: "trace", USERLOCK_ACCESS_LOG: "all" };

const folder = temporaryFolder();
let server: ServerProcess;
let secure: ServerProcess;
let ca: Buffer;

beforeAll(async () => {
  const { settings, cert } = await makeCertificate(folder);
  ca = cert;
  [server, secure] = await Promise.all([startServer(LOUD, { bodyMs: BODY_MS }), startServer(settings)]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), secure?.stop()]);
  folder.remove();
});

const maxAgeOf = (setCookie: string | null) => Number(/Max-Age=(\d+)/.exec(setCookie ?? "")?.[1]);

test("the cookie of plain http has no prefix, and lasts 8 hours for a token without an end", async () => {
  const answer = await logIn(server.url);
  expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status: 204, body: "" });
  expect(attributesOf(answer)).toEqual(["userlock", "Path=/", `Max-Age`, "HttpOnly", "SameSite=Strict"].map(withAge));
  expect(answer.headers.get("set-cookie")).not.toContain(ADMIN_TOKEN);
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

const withAge = (attribute: string) => (attribute === "Max-Age" ? `Max-Age=${EIGHT_HOURS_S}` : attribute);

test.each([1, 2] as const)("the cookie of TLS has the prefix and is Secure, over HTTP/%i", async (version) => {
  const answer = await logIn(secure.url, ADMIN_TOKEN, { ca, version });
  const attributes = ["__Host-userlock", "Path=/", "Max-Age", "HttpOnly", "SameSite=Strict", "Secure"];
  expect(attributesOf(answer)).toEqual(attributes.map(withAge));
});

test("the cookie behind a proxy with TLS has the prefix and is Secure", async () => {
  const answer = await logIn(server.url, ADMIN_TOKEN, { headers: { origin: "https://console.example.com" } });
  expect(attributesOf(answer)[0]).toBe("__Host-userlock");
  expect(attributesOf(answer)).toContain("Secure");
});

test("a session ends with its token", async () => {
  const secret = await tokenMaker(server.url, ADMIN_TOKEN).createExpiring("short", 90_000);
  const age = maxAgeOf((await logIn(server.url, secret)).headers.get("set-cookie"));
  expect(age).toBeGreaterThan(60);
  expect(age).toBeLessThanOrEqual(90);
});

test.each([
  [1_000, 204],
  [3_500, 413],
])(
  "a JWT with %i characters of roles gets %i, because browsers drop long cookies in silence",
  async (length, status) => {
    const issuer = await startIssuer();
    const trusting = await startServer(issuer.settings);
    try {
      const roles = ["INSTANCE_OWNER", "x".repeat(length)];
      const answer = await logIn(trusting.url, await issuer.sign("ada", { claims: { roles } }));
      expect(answer.status).toBe(status);
      expect(cookieIn(answer) === "").toBe(status !== 204);
    } finally {
      await trusting.stop();
      await issuer.stop();
    }
  },
);

test("the page learns whether it is logged in, and logging out ends the session of the browser", async () => {
  const isLoggedIn = async (cookie?: string) => {
    const answer = await askSession(server.url, { verb: "GET", headers: cookie === undefined ? {} : { cookie } });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    return JSON.parse(answer.body.toString()).isLoggedIn as boolean;
  };
  const cookie = cookieIn(await logIn(server.url));
  expect([await isLoggedIn(), await isLoggedIn(cookie), await isLoggedIn("userlock=x")]).toEqual([false, true, false]);
  const answer = await askSession(server.url, { verb: "DELETE", headers: { cookie } });
  expect(answer.status).toBe(204);
  expect(answer.headers.get("set-cookie")).toBe("userlock=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
});

describe.each(["GET", "POST", "DELETE"])("%s of the session is refused", (verb) => {
  test.each([
    ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
    ["another port of the host", { "sec-fetch-site": "same-site", origin: "http://127.0.0.1:1" }],
    ["a bookmark", { "sec-fetch-site": "none" }],
    ["another site in an old browser", { "sec-fetch-site": "", origin: "https://evil.example" }],
  ])("to %s", async (_, headers) => {
    const body = JSON.stringify({ token: ADMIN_TOKEN });
    const answer = await askSession(server.url, { verb, headers, ...(verb === "POST" && { body }) });
    expect({ status: answer.status, reason: outcomeOf(answer) }).toEqual({ status: 403, reason: "PERMISSION_MISSING" });
    expect(answer.headers.get("set-cookie")).toBeNull();
  });
});

test("a program without the headers of a browser cannot log in", async () => {
  const body = JSON.stringify({ token: ADMIN_TOKEN });
  const answer = await exchange(server.url, { path: "/console/_session", body });
  expect(answer.status).toBe(403);
});

test.each([
  ["an unknown token", { token: "wrong-token-0123456789" }, 401, "TOKEN_INVALID"],
  ["a token with a line break", { token: "a\r\nx: y" }, 401, "TOKEN_INVALID"],
  ["an empty token", { token: "" }, 400, "INVALID_REQUEST"],
  ["a token that is a number", { token: 1 }, 400, "INVALID_REQUEST"],
  ["no token", {}, 400, "INVALID_REQUEST"],
  ["null", null, 400, "INVALID_REQUEST"],
  ["a body that is too long", { token: "x".repeat(21 * 1_024) }, 413, "TOO_LARGE"],
])("a log-in with %s is refused", async (_, body, status, reason) => {
  const answer = await askSession(server.url, { body: JSON.stringify(body) });
  expect({ status: answer.status, reason: outcomeOf(answer) }).toEqual({ status, reason });
  expect(answer.headers.get("set-cookie")).toBeNull();
});

test.each([["no JSON"], [""], ["token=form"], ["\xff"]])("a log-in with the body %j is refused", async (body) => {
  const answer = await askSession(server.url, { body });
  expect({ status: answer.status, reason: outcomeOf(answer) }).toEqual({ status: 400, reason: "INVALID_REQUEST" });
});

test("a log-in that arrives too slowly is refused", async () => {
  const raw = await openRaw(server.url);
  const head =
    "POST /console/_session HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncontent-length: 100\r\n\r\n{";
  raw.write(head);
  await sleep(BODY_MS / 2);
  raw.write('"');
  expect((await raw.closed()).toString()).toMatch(/^HTTP\/1\.1 504 [\s\S]*"reason":"DEADLINE_EXCEEDED"/);
});

test("the session refuses other verbs", async () => {
  const answer = await askSession(server.url, { verb: "PUT" });
  expect({ status: answer.status, allow: answer.headers.get("allow") }).toEqual({
    status: 405,
    allow: "GET, HEAD, POST, DELETE",
  });
});

test("an Idempotency-Key of a log-in does no harm", async () => {
  const headers = { "idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324" };
  expect((await logIn(server.url, ADMIN_TOKEN, { headers })).status).toBe(204);
  expect((await logIn(server.url, ADMIN_TOKEN, { headers })).status).toBe(204);
});

test("the sealed session opens nowhere but in the cookie", async () => {
  const [, value] = cookieIn(await logIn(server.url)).split("=");
  const headers = { ...CALL, authorization: `Bearer ${value}` };
  expect(outcomeOf(await exchange(server.url, { path: WHO_AM_I, headers, body: "{}" }))).toBe("TOKEN_INVALID");
});

test("the log has no token and no cookie of a session, at any level", async () => {
  const cookie = cookieIn(await logIn(server.url));
  await askSession(server.url, { body: `{"token":"${ADMIN_TOKEN}` });
  await exchange(server.url, { path: WHO_AM_I, headers: { ...CALL, cookie }, body: "{}" });
  await askSession(server.url, { verb: "DELETE", headers: { cookie } });
  for (const secret of [ADMIN_TOKEN, cookie.split("=")[1] as string]) expect(server.stderr()).not.toContain(secret);
});
