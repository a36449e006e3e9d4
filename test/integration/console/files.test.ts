// Proves how the console's page and files are served: which headers they have, how they are cached and encoded.
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { askSession } from "../../support/console/session.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const PAGE = "/console/";

const folder = temporaryFolder();
let server: ServerProcess;
let secure: ServerProcess;
let off: ServerProcess;
let ca: Buffer;
let script: string;

beforeAll(async () => {
  const { settings, cert } = await makeCertificate(folder);
  ca = cert;
  [server, secure, off] = await Promise.all([
    startServer({ USERLOCK_CORS_ORIGINS: "https://other.example" }),
    startServer(settings),
    startServer({ USERLOCK_CONSOLE: "off" }),
  ]);
  script = /\/console\/app-\w+\.js/.exec((await get(PAGE)).body.toString())?.[0] as string;
});
afterAll(async () => {
  await Promise.all([server?.stop(), secure?.stop(), off?.stop()]);
  folder.remove();
});

const get = (path: string, headers: Record<string, string> = {}, more: Partial<HttpRequest> = {}) =>
  exchange(server.url, { verb: "GET", path, headers, ...more });

const SECURITY = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

const ANSWERS: [what: string, status: number, request: Partial<HttpRequest>][] = [
  ["the page", 200, { path: PAGE }],
  ["a place in the page", 200, { path: "/console/users/mallory" }],
  ["the redirect to the page", 308, { path: "/console" }],
  ["the redirect of browsers", 302, { path: "/", headers: { accept: "text/html" } }],
  ["a file that is gone", 404, { path: "/console/app-OLD.js" }],
  ["a wrong verb", 405, { path: PAGE, verb: "POST" }],
  ["the session", 200, { path: "/console/_session", headers: { "sec-fetch-site": "same-origin" } }],
  ["a refused log-in", 403, { path: "/console/_session", verb: "POST", body: "{}" }],
];

test.each(ANSWERS)("%s has the security headers: %i", async (_, status, { path = PAGE, ...request }) => {
  for (const version of [1, 2] as const) {
    const answer = await get(path, {}, { version, ...request });
    const shown = Object.fromEntries(Object.keys(SECURITY).map((name) => [name, answer.headers.get(name)]));
    expect({ version, status: answer.status, ...shown }).toEqual({ version, status, ...SECURITY });
    expect(answer.headers.has("strict-transport-security")).toBe(false);
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  }
});

test("with TLS browsers come back by TLS only", async () => {
  const answer = await exchange(secure.url, { verb: "GET", path: PAGE, ca });
  expect(answer.headers.get("strict-transport-security")).toBe("max-age=31536000");
});

test.each<[path: () => string, cacheControl: string, type: string]>([
  [() => PAGE, "no-cache", "text/html; charset=utf-8"],
  [() => "/console/users?q=x", "no-cache", "text/html; charset=utf-8"],
  [() => script, "public, max-age=31536000, immutable", "text/javascript; charset=utf-8"],
])("a file has its own cache-control (%#)", async (path, cacheControl, type) => {
  const { status, headers } = await get(path());
  const [cached, typed] = [headers.get("cache-control"), headers.get("content-type")];
  expect({ status, cached, typed }).toEqual({ status: 200, cached: cacheControl, typed: type });
  expect(headers.get("vary")).toContain("accept-encoding");
  expect(headers.get("set-cookie")).toBeNull();
});

test.each([
  ["br", "br"],
  ["gzip, deflate, br, zstd", "br"],
  ["gzip", "gzip"],
  ["br;q=0, gzip", "gzip"],
  ["br ; q=0, gzip", "gzip"],
  ["xbr, x-br", null],
  ["br;q=0, gzip;q=0", null],
  ["identity", null],
  ["", null],
])("a browser that accepts %j gets %s", async (accepted, coding) => {
  const plain = (await get(script)).body;
  for (const version of [1, 2] as const) {
    const answer = await get(script, { "accept-encoding": accepted }, { version });
    expect(answer.headers.get("content-encoding")).toBe(coding);
    expect(answer.headers.get("content-length")).toBe(String(answer.body.byteLength));
    const decode = { br: brotliDecompressSync, gzip: gunzipSync }[coding as string] ?? ((bytes: Buffer) => bytes);
    expect(decode(answer.body).equals(plain)).toBe(true);
  }
});

test("HEAD has the headers of GET and no content", async () => {
  for (const version of [1, 2] as const) {
    const [head, whole] = [await get(script, {}, { verb: "HEAD", version }), await get(script, {}, { version })];
    expect(head.body.byteLength).toBe(0);
    for (const name of ["content-length", "etag", "cache-control", "content-type"]) {
      expect(head.headers.get(name)).toBe(whole.headers.get(name));
    }
  }
});

test("a browser that has the page is told so, whatever its encoding", async () => {
  const etag = (await get(PAGE)).headers.get("etag") as string;
  expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
  for (const headers of [{ "if-none-match": etag }, { "if-none-match": `"x", ${etag}`, "accept-encoding": "br" }]) {
    const answer = await get(PAGE, headers);
    expect({ status: answer.status, bytes: answer.body.byteLength }).toEqual({ status: 304, bytes: 0 });
    expect(answer.headers.get("cache-control")).toBe("no-cache");
  }
  expect((await get(PAGE, { "if-none-match": '"other"' })).status).toBe(200);
});

test.each([
  ["a browser", "text/html,application/xhtml+xml,*/*;q=0.8", 302, "/console/"],
  ["curl", "*/*", 404, null],
  ["a program", "application/json", 404, null],
])("the root answers %s", async (_, accept, status, location) => {
  const answer = await get("/", { accept });
  expect({ status: answer.status, location: answer.headers.get("location") }).toEqual({ status, location });
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

test.each([
  ["/console", "/console/"],
  ["/console?next=//evil.example", "/console/"],
])("GET %s redirects to the page and nowhere else", async (path, location) => {
  const answer = await get(path, { host: "evil.example", "x-forwarded-host": "evil.example" });
  expect({ status: answer.status, location: answer.headers.get("location") }).toEqual({ status: 308, location });
});

test.each([
  "//evil.example/console",
  "/console//evil.example",
  "/console/%2f%2fevil.example",
  "/console/\\evil.example",
])("GET %s redirects nowhere", async (path) => {
  const raw = await exchange(server.url, { verb: "GET", path: "/", version: 2, headers: { ":path": path } });
  expect(raw.headers.get("location")).toBeNull();
});

test.each(["/console/users/alice@example.com", "/console/users/a.b", "/console/users/x.js"])(
  "the address of a user with a dot is a place in the page: %s",
  async (path) => expect((await get(path)).headers.get("content-type")).toBe("text/html; charset=utf-8"),
);

test.each([
  "/console/../package.json",
  "/console/%2e%2e/package.json",
  "/console/..%2fpackage.json",
  "/console/index.html",
])("no other file is served: %s", async (path) => {
  const answer = await exchange(server.url, { verb: "GET", path: "/", version: 2, headers: { ":path": path } });
  expect(answer.body.toString()).not.toContain("devDependencies");
  expect(answer.headers.get("cache-control")).not.toContain("immutable");
});

test("an answer does not depend on headers that a cache does not know of", async () => {
  const plain = await get(PAGE);
  const odd = {
    host: "evil.example",
    "x-forwarded-proto": "https",
    origin: "https://evil.example",
    cookie: "userlock=x",
  };
  const answer = await get(PAGE, odd);
  expect(answer.body.equals(plain.body)).toBe(true);
  const bare = ({ headers }: typeof plain) =>
    [...headers].filter(([name]) => !["date", "x-request-id"].includes(name)).sort();
  expect(bare(answer)).toEqual(bare(plain));
});

test.each([PAGE, "/console", "/console/_session", "/console/users"])(
  "USERLOCK_CONSOLE=off takes %s away",
  async (path) => {
    const answer = await exchange(off.url, { verb: "GET", path, headers: { "sec-fetch-site": "same-origin" } });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-security-policy")).toBeNull();
  },
);

test("USERLOCK_CONSOLE=off redirects no browser, and opens no session", async () => {
  const root = await exchange(off.url, { verb: "GET", path: "/", headers: { accept: "text/html" } });
  expect(root.status).toBe(404);
  expect((await askSession(off.url, { body: "{}" })).status).toBe(404);
});
