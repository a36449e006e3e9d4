// Proves how the console logs admins in at an issuer of OpenID Connect, and that nothing forged comes through.
import { createHash } from "node:crypto";
import { exchange, type HttpAnswer } from "../../support/clients/http.ts";
import { CLIENT, type Script, startScriptedIssuer } from "../../support/console/issuer.ts";
import { askSession, attributesOf, CALL, cookieIn, logIn, outcomeOf, WHO_AM_I } from "../../support/console/session.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const BEGIN = "/console/_oidc";
const CALLBACK = "/console/_oidc/callback";
const PROXY = "https://console.example.com";

let issuer: Awaited<ReturnType<typeof startScriptedIssuer>>;
let server: ServerProcess;
beforeAll(async () => {
  issuer = await startScriptedIssuer();
  server = await startServer({
    ...issuer.settings,
    USERLOCK_OIDC_SCOPES: "openid profile",
    USERLOCK_LOG_LEVEL: "trace",
  });
});
afterAll(async () => {
  await server?.stop();
  await issuer?.stop();
});

/** Begins a log-in as the page does. */
async function begin(headers: Record<string, string> = {}) {
  const answer = await askSession(server.url, { path: BEGIN, headers });
  const { location } = JSON.parse(answer.body.toString()) as { location: string };
  const asked = new URL(location, server.url).searchParams;
  return { answer, location, asked, cookie: cookieIn(answer) };
}

/** Comes back from the issuer, as its redirect makes a browser do: from another site, with the Lax cookie only. */
function comeBack(query: Record<string, string>, cookie: string | undefined, verb = "GET"): Promise<HttpAnswer> {
  const headers = { "sec-fetch-site": "cross-site", ...(cookie !== undefined && { cookie }) };
  return exchange(server.url, { verb, path: `${CALLBACK}?${new URLSearchParams(query)}`, headers });
}

/** A whole log-in with an issuer that follows the script. */
async function logInWith(script: Script, headers: Record<string, string> = {}) {
  const begun = await begin(headers);
  issuer.play(script, begun.asked.get("nonce") as string);
  return { ...begun, back: await comeBack({ code: "good", state: begun.asked.get("state") as string }, begun.cookie) };
}

const placeOf = ({ status, headers }: HttpAnswer) => ({ status, location: headers.get("location") });
const refusedAs = (why: string) => ({ status: 303, location: `/console/?login=${why}` });

const whoHas = async (cookie: string, origin = server.url) =>
  outcomeOf(await exchange(server.url, { path: WHO_AM_I, headers: { ...CALL, cookie, origin }, body: "{}" }));

test("the page learns of the issuer", async () => {
  const answer = await askSession(server.url, { verb: "GET" });
  expect(JSON.parse(answer.body.toString())).toEqual({ isLoggedIn: false, issuer: new URL(issuer.url).host });
});

test("a log-in asks for a code by PKCE, and keeps its secrets in a sealed cookie of 10 minutes", async () => {
  const { answer, location, asked, cookie } = await begin();
  expect(location.split("?")[0]).toBe(`${issuer.url}/authorize`);
  expect(Object.fromEntries(asked)).toEqual({
    client_id: CLIENT,
    response_type: "code",
    redirect_uri: server.url + CALLBACK,
    scope: "openid profile",
    code_challenge_method: "S256",
    code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    state: expect.stringMatching(/^[\w-]{43}$/),
    nonce: expect.stringMatching(/^[\w-]{43}$/),
  });
  expect(attributesOf(answer)).toEqual(["userlock-oidc", "Path=/", "Max-Age=600", "HttpOnly", "SameSite=Lax"]);
  expect(answer.headers.get("cache-control")).toBe("no-store");
  for (const secret of ["state", "nonce"]) expect(cookie).not.toContain(asked.get(secret));
  expect((await begin()).asked.get("state")).not.toBe(asked.get("state"));
});

test("a browser that comes back has a session, whose cookie is strict, and the verifier of its challenge", async () => {
  const { back, asked } = await logInWith({});
  expect(placeOf(back)).toEqual({ status: 303, location: "/console/" });
  const attributes = attributesOf(back);
  expect(attributes).toEqual(expect.arrayContaining(["userlock", "HttpOnly", "SameSite=Strict", "Path=/"]));
  // The session ends with its token.
  expect(Number(attributes.join().match(/Max-Age=(\d+)/)?.[1])).toBeLessThanOrEqual(600);
  expect(await whoHas(cookieIn(back))).toBe("ada");
  const sent = issuer.asked.at(-1);
  const verifier = sent?.get("code_verifier") as string;
  expect(createHash("sha256").update(verifier).digest("base64url")).toBe(asked.get("code_challenge"));
  expect({ code: sent?.get("code"), uri: sent?.get("redirect_uri") }).toEqual({
    code: "good",
    uri: asked.get("redirect_uri"),
  });
});

test("behind a proxy with TLS, the issuer comes back to the proxy, and the cookies have the prefix", async () => {
  const { asked, cookie, back } = await logInWith({}, { origin: PROXY });
  expect(asked.get("redirect_uri")).toBe(PROXY + CALLBACK);
  expect(cookie).toMatch(/^__Host-userlock-oidc=/);
  expect(attributesOf(back)).toEqual(expect.arrayContaining(["__Host-userlock", "Secure"]));
  expect(await whoHas(cookieIn(back), PROXY)).toBe("ada");
});

test.each([
  ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
  ["another port of the host", { "sec-fetch-site": "same-site", origin: "http://127.0.0.1:1" }],
  ["a bookmark", { "sec-fetch-site": "none" }],
])("%s cannot begin a log-in", async (_, headers) => {
  const answer = await askSession(server.url, { path: BEGIN, headers });
  expect({ status: answer.status, cookie: answer.headers.get("set-cookie") }).toEqual({ status: 403, cookie: null });
});

test("a link cannot begin a log-in", async () => {
  expect((await exchange(server.url, { verb: "GET", path: BEGIN })).status).toBe(405);
});

describe("a browser that comes back is refused", () => {
  test("without the cookie of its log-in", async () => {
    const { asked } = await begin();
    const back = await comeBack({ code: "good", state: asked.get("state") as string }, undefined);
    expect(placeOf(back)).toEqual(refusedAs("late"));
  });

  test("by a link that an attacker began, with the attacker's code and state", async () => {
    const [victim, attacker] = [await begin(), await begin()];
    const count = issuer.asked.length;
    const query = { code: "good", state: attacker.asked.get("state") as string };
    expect(placeOf(await comeBack(query, victim.cookie))).toEqual(refusedAs("late"));
    expect(placeOf(await comeBack({ code: "good" }, victim.cookie))).toEqual(refusedAs("late"));
    // Two cookies: one was planted.
    expect(placeOf(await comeBack(query, `${attacker.cookie}; ${victim.cookie}`))).toEqual(refusedAs("late"));
    expect(issuer.asked.length).toBe(count);
  });

  test("with the cookie of a page with TLS under the name that a sister domain can set", async () => {
    const { asked, cookie } = await begin({ origin: PROXY });
    const query = { code: "good", state: asked.get("state") as string };
    const planted = cookie.replace("__Host-", "");
    expect(placeOf(await comeBack(query, planted))).toEqual(refusedAs("late"));
  });

  test("with the cookie of a session in place of that of the log-in", async () => {
    const { back, asked } = await logInWith({});
    const session = cookieIn(back).replace("userlock=", "userlock-oidc=");
    expect(placeOf(await comeBack({ code: "good", state: asked.get("state") as string }, session))).toEqual(
      refusedAs("late"),
    );
  });

  test.each<[what: string, script: Script, why: string]>([
    ["the issuer refuses the code", { status: 400 }, "failed"],
    ["the ID token has another nonce", { id: { nonce: "other" } }, "failed"],
    ["the ID token has no nonce", { id: { nonce: undefined } as never }, "failed"],
    ["the ID token is another client's", { id: { aud: "other" } }, "failed"],
    ["the ID token is another issuer's", { id: { iss: "https://evil.example" } }, "failed"],
    ["the ID token has ended", { id: { exp: 1 } }, "failed"],
    ["the access token is no JWT", { access: "opaque-token-0123456789" }, "refused"],
    ["the access token has another audience", { access: { aud: "other" } }, "refused"],
    ["the access token has ended", { access: { exp: 1 } }, "refused"],
    ["the access token does not fit into a cookie", { access: { more: "x".repeat(3_500) } }, "refused"],
  ])("if %s", async (_, script, why) => {
    const { back } = await logInWith(script);
    expect(placeOf(back)).toEqual(refusedAs(why));
    expect(back.headers.get("set-cookie")).toBeNull();
  });

  test.each([
    ["access_denied", "denied"],
    ["server_error", "failed"],
    ["<script>", "failed"],
  ])("if the issuer says %s, and the page gets no text of the issuer", async (error, why) => {
    const { asked, cookie } = await begin();
    const query = { error, error_description: "evil text", state: asked.get("state") as string };
    expect(placeOf(await comeBack(query, cookie))).toEqual(refusedAs(why));
  });
});

test("a preview of the callback by HEAD uses no code up", async () => {
  const { asked, cookie } = await begin();
  const count = issuer.asked.length;
  const back = await comeBack({ code: "good", state: asked.get("state") as string }, cookie, "HEAD");
  expect(placeOf(back)).toEqual({ status: 303, location: "/console/" });
  expect(issuer.asked.length).toBe(count);
});

test("no answer of the callback redirects elsewhere or may be cached", async () => {
  const back = await comeBack({ code: "x", state: "y", next: "https://evil.example", iss: "https://evil.example" }, "");
  expect(placeOf(back)).toEqual(refusedAs("late"));
  expect(back.headers.get("cache-control")).toBe("no-store");
  expect(back.headers.get("referrer-policy")).toBe("no-referrer");
});

test("logging out names the issuer's page, which comes back to the console", async () => {
  const { back } = await logInWith({});
  const answer = await askSession(server.url, { verb: "DELETE", headers: { cookie: cookieIn(back) } });
  const end = new URL((JSON.parse(answer.body.toString()) as { location: string }).location);
  expect(end.href.split("?")[0]).toBe(`${issuer.url}/logout`);
  const expected = { client_id: CLIENT, post_logout_redirect_uri: `${server.url}/console/` };
  expect(Object.fromEntries(end.searchParams)).toEqual(expected);
  expect(answer.headers.get("set-cookie")).toMatch(/^userlock=; .*Max-Age=0/);
});

test("logging out of a session with a pasted token stays at userlock", async () => {
  const cookie = cookieIn(await logIn(server.url));
  expect((await askSession(server.url, { verb: "DELETE", headers: { cookie } })).status).toBe(204);
});

test("while the issuer is away the page says so, and a log-in works once it is back", async () => {
  const fresh = await startScriptedIssuer();
  const away = await startServer(fresh.settings);
  try {
    const ask = () => askSession(away.url, { path: BEGIN });
    fresh.setAway(true);
    expect(JSON.parse((await ask()).body.toString())).toEqual({ location: "/console/?login=failed" });
    expect(away.stderr()).toContain("the issuer could not log an admin in to the console");
    fresh.setAway(false);
    expect((await ask()).body.toString()).toContain(`${fresh.url}/authorize`);
  } finally {
    await away.stop();
    await fresh.stop();
  }
});

test("the log has neither codes nor tokens of the issuer", async () => {
  await logInWith({ id: { nonce: "other" } });
  await logInWith({ access: "opaque-token-0123456789" });
  expect(server.stderr()).not.toContain("opaque-token-0123456789");
  expect(server.stderr()).not.toContain("eyJ");
  expect(server.stderr()).not.toContain("secret-of-the-console");
});

test("without a client there is no log-in at the issuer", async () => {
  const { USERLOCK_OIDC_CLIENT_ID: _, USERLOCK_OIDC_CLIENT_SECRET: __, ...trust } = issuer.settings;
  const plain = await startServer(trust);
  try {
    const known = JSON.parse((await askSession(plain.url, { verb: "GET" })).body.toString());
    expect(known).toEqual({ isLoggedIn: false });
    expect((await askSession(plain.url, { path: BEGIN })).status).toBe(405);
  } finally {
    await plain.stop();
  }
});
