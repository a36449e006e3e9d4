// Proves that the cookie of the console counts only for calls of its own page, whatever else makes a browser send it.
import { randomBytes } from "node:crypto";
import { tokenMaker } from "../../support/access.ts";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { CALL, cookieIn, logIn, outcomeOf, sealCookie, WHO_AM_I } from "../../support/console/session.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const KEY = randomBytes(32);
const MISSING = "TOKEN_MISSING";

const folder = temporaryFolder();
let server: ServerProcess;
let secure: ServerProcess;
let ca: Buffer;
let cookie: string;

beforeAll(async () => {
  const { settings, cert } = await makeCertificate(folder);
  ca = cert;
  const key = { USERLOCK_SECRET_KEY: KEY.toString("base64") };
  [server, secure] = await Promise.all([startServer(key), startServer({ ...key, ...settings })]);
  cookie = cookieIn(await logIn(server.url));
});
afterAll(async () => {
  await Promise.all([server?.stop(), secure?.stop()]);
  folder.remove();
});

/** What a browser would send, without the headers whose value is undefined. ORIGIN stands for the server's own. */
type Sent = Record<string, string | undefined>;

async function outcome(sent: Sent, request: Partial<HttpRequest> = {}, url = server.url): Promise<string> {
  const host = new URL(url).host;
  const given = Object.entries({ ...CALL, cookie, ...sent }).filter(([, value]) => value !== undefined);
  const headers = Object.fromEntries(given.map(([name, value]) => [name, (value as string).replace("HOST", host)]));
  return outcomeOf(await exchange(url, { path: WHO_AM_I, body: "{}", headers, ...request }));
}

const FORM = "application/x-www-form-urlencoded";
const NO_SITE = { "sec-fetch-site": undefined };

const CASES: [what: string, expected: string, sent: Sent, request?: Partial<HttpRequest>][] = [
  ["a call of the page", "admin", {}],
  ["a call in a browser that sends only Origin", "admin", { ...NO_SITE, origin: "http://HOST" }],
  [
    "a call in such a browser behind a proxy with TLS, without the cookie of TLS",
    MISSING,
    { ...NO_SITE, origin: "https://HOST" },
  ],
  ["a call of another site", MISSING, { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
  [
    "a call of another site that a browser without Sec-Fetch-Site sends",
    MISSING,
    { ...NO_SITE, origin: "https://evil.example" },
  ],
  ["a call of a page with an opaque origin", MISSING, { ...NO_SITE, origin: "null" }],
  ["a call of another port of the same host", MISSING, { "sec-fetch-site": "same-site", origin: "http://127.0.0.1:1" }],
  ["the same in a browser that sends only Origin", MISSING, { ...NO_SITE, origin: "http://127.0.0.1:1" }],
  ["an origin that begins like the own one", MISSING, { ...NO_SITE, origin: "http://HOST.evil.example" }],
  ["a request that no page made", MISSING, { "sec-fetch-site": "none" }],
  ["a program that sends neither Sec-Fetch-Site nor Origin", MISSING, NO_SITE],
  ["Sec-Fetch-Site sent twice", MISSING, { "sec-fetch-site": "same-origin, cross-site" }],
  ["a form", "415", { "content-type": FORM }],
  ["a form that looks like JSON", "415", { "content-type": "text/plain" }],
  ["a form with files", "415", { "content-type": "multipart/form-data; boundary=x" }],
  ["a call without a content type", "415", { "content-type": undefined }],
  ["a content type that begins like JSON's", "415", { "content-type": "application/jsonx" }],
  ["a call of gRPC-Web", "16", { "content-type": "application/grpc-web+proto" }],
  ["JSON with a charset", "admin", { "content-type": "Application/JSON; charset=utf-8" }],
  ["a call without Connect's version", MISSING, { "connect-protocol-version": undefined }],
  ["a call with another version", MISSING, { "connect-protocol-version": "2" }],
  ["an own Authorization", "TOKEN_INVALID", { authorization: "Bearer wrong-token-0123456789" }],
  ["an own Authorization that is empty", MISSING, { authorization: "" }],
  [
    "Connect's GET",
    MISSING,
    {},
    { verb: "GET", path: `${WHO_AM_I}?connect=v1&encoding=json&message=%7B%7D`, body: "" },
  ],
  ["REST", MISSING, {}, { verb: "GET", path: "/resources/v3alpha/whoami", body: "" }],
  ["a path of REST that ends like a method", "METHOD_NOT_FOUND", {}, { path: `/resources${WHO_AM_I}` }],
  ["introspection", MISSING, { "content-type": FORM }, { path: "/oauth/v2/introspect", body: `token=${ADMIN_TOKEN}` }],
];

test.each(CASES)("%s: %s", async (...[, expected, sent, request]) => {
  for (const version of [1, 2] as const) {
    const found = await outcome(sent, { ...request, version });
    expect({ version, found }).toEqual({ version, found: expected });
  }
});

test.each([`/x/..${WHO_AM_I}`, `/%75serlock.v3alpha.AccessService/WhoAmI`, `${WHO_AM_I}/`])(
  "a path that only becomes or resembles a method's has no cookie: %s",
  async (path) => {
    const sent = { ":path": path };
    expect(["TOKEN_MISSING", "METHOD_NOT_FOUND"]).toContain(await outcome(sent, { version: 2 }));
  },
);

test("/authz takes no cookie of the console", async () => {
  const answer = await exchange(server.url, { verb: "GET", path: "/authz", headers: { ...CALL, cookie } });
  expect(answer.status).toBe(401);
});

describe("of cookies", () => {
  const stranger = () => sealCookie(randomBytes(32));
  const planted = () => sealCookie(KEY, { token: "another-token-0123456789" });
  const CASES: [what: string, expected: string, cookie: () => string][] = [
    ["one of another key does not count", MISSING, stranger],
    ["one that has ended does not count", MISSING, () => sealCookie(KEY, { endsIn: -1_000 })],
    ["a changed one does not count", MISSING, () => cookie.slice(0, -4)],
    ["one with the token itself does not count", MISSING, () => `userlock=${ADMIN_TOKEN}`],
    ["an empty one does not count", MISSING, () => "userlock="],
    ["one that another server sealed does", "admin", () => sealCookie(KEY)],
    [
      "a good one counts beside one of another key, in both orders",
      "admin",
      () => `${stranger()}; ${cookie}; ${stranger()}`,
    ],
    ["the same one twice counts", "admin", () => `${cookie}; ${cookie}`],
    ["two sessions do not count, because one was planted", MISSING, () => `${planted()}; ${cookie}`],
    ["nor in the other order", MISSING, () => `${cookie}; ${planted()}`],
    ["the name for TLS does not count without", MISSING, () => `__Host-${cookie}`],
    ["quotes do not matter", "admin", () => cookie.replace(/=(.*)/, '="$1"')],
    ["others do not matter", "admin", () => `a=1; xuserlock=2; ${cookie}; userlockx`],
  ];

  test.each(CASES)("%s: %s", async (_, expected, given) => {
    for (const version of [1, 2] as const) {
      const sent = { cookie: given(), origin: "http://HOST" };
      expect({ version, found: await outcome(sent, { version }) }).toEqual({ version, found: expected });
    }
  });

  test("with TLS a sister domain cannot plant one, because only the name with the prefix counts", async () => {
    const own = cookieIn(await logIn(secure.url, ADMIN_TOKEN, { ca }));
    expect(own).toMatch(/^__Host-userlock=/);
    const sent = (value: string) => outcome({ cookie: value }, { ca }, secure.url);
    expect(await sent(own)).toBe("admin");
    expect(await sent(planted())).toBe(MISSING);
    expect(await sent(`${planted()}; ${own}`)).toBe("admin");
  });

  test("behind a proxy with TLS, too", async () => {
    const origin = "https://console.example.com";
    const own = cookieIn(await logIn(server.url, ADMIN_TOKEN, { headers: { origin } }));
    expect(await outcome({ cookie: own, origin })).toBe("admin");
    expect(await outcome({ cookie: planted(), origin })).toBe(MISSING);
    expect(await outcome({ cookie: `${planted()}; ${own}`, origin })).toBe("admin");
  });
});

test("a revoked token is refused by the next call of its session", async () => {
  const tokens = tokenMaker(server.url, ADMIN_TOKEN);
  const { id, secret } = await tokens.create("temp", ["INSTANCE_VIEWER"]);
  const own = cookieIn(await logIn(server.url, secret));
  expect(await outcome({ cookie: own })).toBe("temp");
  await tokens.revoke(id);
  expect(await outcome({ cookie: own })).toBe("TOKEN_INVALID");
});
