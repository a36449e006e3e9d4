// Proves that answers have the right HTTP status, headers and CORS headers.
import { reasonOfConnectError } from "../../support/clients/error-info.ts";
import { exchange, type HttpAnswer, type HttpRequest } from "../../support/clients/http.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const CONSOLE = "https://console.example.com";
const OTHER = "http://localhost:3000";
const UNLISTED = "https://console.example.com.evil.example";

/** A server with listed origins, and one without. */
let server: ServerProcess;
let closed: ServerProcess;

beforeAll(async () => {
  const cors = { USERLOCK_CORS_ORIGINS: `${CONSOLE}, ${OTHER}` };
  [server, closed] = await Promise.all([startServer(cors, { watchers: 1 }), startServer()]);
  const anna = JSON.stringify({ userId: "anna", data: { note: "compressible ".repeat(500) } });
  expect(await send({ path: USERS, headers: { ...AUTH, ...JSON_TYPE }, body: anna })).toMatchObject({ status: 201 });
});

afterAll(async () => {
  await Promise.all([server?.stop(), closed?.stop()]);
});

const AUTH = { authorization: `Bearer ${ADMIN_TOKEN}` };
const JSON_TYPE = { "content-type": "application/json" };
const USERS = "/resources/v3alpha/users";
const LOCK_USER = "/userlock.v3alpha.UserService/LockUser";
const GET_USER = "/userlock.v3alpha.UserService/GetUser";

const send = (request: HttpRequest) => exchange(server.url, request);
/** The items of a list header in lower case. */
const listIn = (answer: HttpAnswer, header: string) =>
  (answer.headers.get(header) ?? "").split(",").map((item) => item.trim().toLowerCase());

describe("a request that cannot be a call is answered with a google.rpc.Status:", () => {
  const notFound = { status: 404, code: 5, reason: "METHOD_NOT_FOUND" };
  const wrongVerb = { status: 405, code: 12, reason: "NOT_SERVED" };
  const wrongType = { status: 415, code: 3, reason: "INVALID_REQUEST" };

  test.each<[string, string, object, Record<string, string>?]>([
    ["GET", "/", notFound],
    ["POST", "/resources/v3alpha/nothing", notFound],
    ["GET", `${USERS}/u/_lock/more`, notFound],
    ["POST", "/resources.json", notFound, JSON_TYPE],
    ["GET", USERS, { ...wrongVerb, allow: "POST" }],
    ["PUT", `${USERS}/u`, { ...wrongVerb, allow: "GET, HEAD, PATCH, DELETE" }],
    ["DELETE", `${USERS}/u/_lock`, { ...wrongVerb, allow: "POST" }],
    ["GET", `${USERS}/_search`, { ...wrongVerb, allow: "POST" }],
    ["DELETE", `${USERS}/_batch_lock`, { ...wrongVerb, allow: "POST" }],
    ["POST", "/healthz", { ...wrongVerb, allow: "GET, HEAD" }],
    ["DELETE", "/readyz", { ...wrongVerb, allow: "GET, HEAD" }],
    ["POST", USERS, wrongType, { "content-type": "text/plain" }],
    ["POST", USERS, wrongType],
    ["POST", USERS, wrongType, { ...JSON_TYPE, "content-encoding": "br" }],
  ])("%s %s gets %j", async (verb, path, { ...expected }, headers = {}) => {
    const body = ["POST", "PUT"].includes(verb) ? "{}" : undefined;
    const answer = await send({ verb, path, headers: { ...AUTH, ...headers }, ...(body && { body }) });
    const { code, details } = JSON.parse(answer.body.toString());
    const allow = answer.headers.get("allow");
    expect({ status: answer.status, code, reason: details[0].reason, ...(allow && { allow }) }).toEqual(expected);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(details[0]).toMatchObject({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", domain: "userlock" });
  });

  test.each([
    ["application/json", "content-type"],
    ["gzip", "content-encoding"],
  ])("415 names the accepted value %s", async (accepted, header) => {
    const headers = { ...AUTH, ...JSON_TYPE, [header]: "x-none" };
    const answer = await send({ path: USERS, headers, body: "{}" });
    expect(answer.headers.get(header === "content-type" ? "accept" : "accept-encoding")).toBe(accepted);
  });
});

describe("an RPC request that cannot be a call", () => {
  const WATCH = "/userlock.v3alpha.EventService/WatchEvents";
  const GRPC_TYPES = [
    "application/grpc+json",
    "application/grpc+proto",
    "application/grpc-web+json",
    "application/grpc-web+proto",
    "application/grpc-web-text+proto",
  ];
  const UNARY_TYPES = ["application/json", "application/proto", ...GRPC_TYPES];
  const STREAM_TYPES = ["application/connect+json", "application/connect+proto", ...GRPC_TYPES];

  describe.each([1, 2] as const)("over HTTP/%i", (version) => {
    test.each<[verb: string, path: string, allow: string, type: string]>([
      ["GET", LOCK_USER, "POST", "application/json"],
      ["PUT", LOCK_USER, "POST", "application/grpc"],
      ["DELETE", LOCK_USER, "POST", "application/proto"],
      ["PUT", GET_USER, "POST, GET, HEAD", "application/json"],
      ["GET", WATCH, "POST", "application/connect+proto"],
    ])("%s %s gets 405 without content, which clients would parse as their own error", async (...one) => {
      const [verb, path, allow, type] = one;
      const answer = await send({ version, verb, path, headers: { ...AUTH, "content-type": type } });
      expect({ status: answer.status, allow: answer.headers.get("allow") }).toEqual({ status: 405, allow });
      expect(answer.body.length).toBe(0);
      expect(answer.headers.get("content-type")).toBeNull();
    });

    test.each<[type: string, path: string, accepted: string[]]>([
      ["image/jpeg", LOCK_USER, UNARY_TYPES],
      ["application/grpc+xml", LOCK_USER, UNARY_TYPES],
      ["application/connect+proto", LOCK_USER, UNARY_TYPES],
      ["", LOCK_USER, UNARY_TYPES],
      ["application/json", WATCH, STREAM_TYPES],
      ["text/plain", WATCH, STREAM_TYPES],
    ])("the content type '%s' for %s gets 415 without content, with the accepted types", async (type, path, all) => {
      const headers = { ...AUTH, ...(type && { "content-type": type }) };
      const answer = await send({ version, path, headers, body: "{}" });
      expect(answer.status).toBe(415);
      expect(listIn(answer, "accept-post").sort()).toEqual([...all].sort());
      expect(answer.body.length).toBe(0);
    });

    test.each(
      [
        "application/json",
        "application/json; charset=utf-8",
        "application/proto",
        "application/connect+json",
        "application/connect+proto",
      ].flatMap((type): [string, string, Record<string, string>][] => [
        [type, "UserService/NoMethod", {}],
        [type, "UserService/NoMethod", { "connect-protocol-version": "1" }],
        [type, "NoService/LockUser", {}],
      ]),
    )("an unknown method in %s (%s, %j) gets 404 with a Connect error", async (type, method, headers) => {
      const path = `/userlock.v3alpha.${method}`;
      const answer = await send({ version, path, headers: { ...AUTH, ...headers, "content-type": type }, body: "{}" });
      const error = JSON.parse(answer.body.toString());
      expect({ status: answer.status, code: error.code, reason: reasonOfConnectError(error) }).toEqual({
        status: 404,
        code: "unimplemented",
        reason: "NOT_SERVED",
      });
    });

    test.each(GRPC_TYPES)("an unknown method in %s gets UNIMPLEMENTED with HTTP status 200", async (type) => {
      for (const method of ["userlock.v3alpha.UserService/NoMethod", "x.y.Z/Method"]) {
        const { status, headers, trailers } = await send({
          version,
          path: `/${method}`,
          headers: { "content-type": type },
        });
        const code = headers.get("grpc-status") ?? trailers.get("grpc-status");
        expect({ status, code }).toEqual({ status: 200, code: "12" });
      }
    });

    // A gateway that asks by such a path must not take a gRPC error for a yes.
    describe.each([
      ...[...GRPC_TYPES, "application/grpc", "APPLICATION/GRPC; x=y"].map((type) => ({ "content-type": type })),
      { "content-type": "application/connect+json" },
      { "content-type": "application/json", "connect-protocol-version": "1" },
    ])("with %j", (headers) => {
      test.each([
        "/",
        "/x.y.Z",
        "/Method",
        "/healthz/x",
        "/authz/",
        "/authz/x",
        "/resources/v3alpha/no/such/path",
        "/no/path",
        "/x.y.Z/Method/",
        "/x.y.Z/Method/more",
        "/x.y.Z/Meth%6Fd",
        "/x.y.Z/Meth.od",
        "/x.y./Method",
        "/a/x.y.Z/Method",
        "/?/x.y.Z/Method",
      ])("a path that cannot be a method's, %s, gets 404 as over REST", async (path) => {
        for (const verb of ["GET", "POST"]) {
          const answer = await send({ version, verb, path, headers: { ...AUTH, ...headers } });
          const body = JSON.parse(answer.body.toString());
          expect([verb, answer.status, body.code, answer.headers.get("grpc-status")]).toEqual([verb, 404, 5, null]);
          expect(answer.trailers.get("grpc-status")).toBeNull();
        }
      });

      test("a path of REST answers as over REST", async () => {
        const answer = await send({ version, verb: "GET", path: "/resources/v3alpha/authorize", headers });
        expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([401, 16]);
      });
    });

    test.each(GRPC_TYPES)("an unknown method asked by another verb than POST gets 404, also in %s", async (type) => {
      for (const verb of ["GET", "HEAD", "PUT", "DELETE"]) {
        const { status } = await send({ version, verb, path: "/x.y.Z/Method", headers: { "content-type": type } });
        expect([verb, status]).toEqual([verb, 404]);
      }
    });
  });
});

describe.each(WIRES)("a server over $name", (wire) => {
  const call = (headers: Record<string, string>, url = server.url) => {
    const request = wire.request(wire.encode({}));
    return exchange(url, { ...request, headers: { ...request.headers, ...headers } });
  };
  const isPlain = !wire.isFramed;

  test.each<[string, Record<string, string>, string, string]>([
    ["a missing token", { authorization: "" }, "TOKEN_MISSING", 'Bearer realm="userlock"'],
    ["another scheme", { authorization: "Basic dTpw" }, "TOKEN_INVALID", 'error="invalid_token"'],
    ["an unknown token", { authorization: "Bearer no-such-token" }, "TOKEN_INVALID", 'error="invalid_token"'],
  ])("challenges %s", async (_what, headers, reason, challenge) => {
    const answer = await call(headers);
    expect(wire.read(answer)).toMatchObject({ code: "UNAUTHENTICATED", reason, status: isPlain ? 401 : 200 });
    const where = wire.name === "gRPC" ? answer.trailers : answer.headers;
    if (isPlain || wire.name === "gRPC") expect(where.get("www-authenticate")).toContain(challenge);
  });

  test("returns the caller's request id", async () => {
    expect((await call({ "x-request-id": "from-the-caller:1" })).headers.get("x-request-id")).toBe("from-the-caller:1");
  });

  test.each<[string, Record<string, string>]>([
    ["is missing", {}],
    ["is too long", { "x-request-id": "x".repeat(101) }],
    ["has invalid characters", { "x-request-id": "two words" }],
  ])("generates a new request id if the caller's %s", async (_what, headers) => {
    const [one, another] = [await call(headers), await call({ ...headers, authorization: "" })].map((answer) =>
      answer.headers.get("x-request-id"),
    );
    expect(one).toMatch(/^\d{15,30}$/);
    expect(another).toMatch(/^\d{15,30}$/);
    expect(one).not.toBe(another);
  });

  test("forbids caches to store answers", async () => {
    expect((await call({})).headers.get("cache-control")).toBe("no-store");
  });

  test("allows a page of a listed origin to read answers and errors", async () => {
    for (const headers of [{}, { authorization: "" }]) {
      for (const origin of [CONSOLE, OTHER]) {
        const answer = await call({ origin, ...headers });
        expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
        expect(listIn(answer, "vary")).toContain("origin");
        expect(listIn(answer, "access-control-expose-headers")).toEqual(expect.arrayContaining(EXPOSED));
        expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
      }
    }
  });

  test.each([UNLISTED, "null", "https://CONSOLE.example.com", `${CONSOLE}:8443`, "https://console.example"])(
    "does not allow a page of %s to read answers",
    async (origin) => {
      const answer = await call({ origin });
      expect(corsHeadersOf(answer)).toEqual([]);
      expect(listIn(answer, "vary")).toContain("origin");
    },
  );

  test("does not allow any page to read answers if no origin is listed", async () => {
    const answer = await call({ origin: CONSOLE }, closed.url);
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
    expect(corsHeadersOf(answer)).toEqual([]);
  });
});

/** The headers that browser clients of gRPC-Web and Connect read, and userlock's own. */
const EXPOSED = ["grpc-status", "grpc-message", "grpc-status-details-bin", "www-authenticate", "x-request-id"];

const corsHeadersOf = ({ headers }: HttpAnswer) =>
  [...headers.keys()].filter((name) => name.startsWith("access-control-"));

describe("a CORS preflight", () => {
  const ask = (path: string, origin: string, url = server.url) =>
    exchange(url, {
      verb: "OPTIONS",
      path,
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });

  test.each([USERS, `${USERS}/u/_lock`, LOCK_USER, GET_USER, "/healthz"])("allows a call of %s", async (path) => {
    const answer = await ask(path, CONSOLE);
    expect({ status: answer.status, bytes: answer.body.length }).toEqual({ status: 204, bytes: 0 });
    expect(answer.headers.get("access-control-allow-origin")).toBe(CONSOLE);
    expect(listIn(answer, "access-control-allow-methods")).toEqual(
      expect.arrayContaining(["get", "post", "put", "patch", "delete"]),
    );
    expect(listIn(answer, "access-control-allow-headers")).toEqual(
      expect.arrayContaining([
        "authorization",
        "content-type",
        "connect-protocol-version",
        "connect-timeout-ms",
        "grpc-timeout",
        "x-grpc-web",
        "x-user-agent",
        "x-request-id",
        "idempotency-key",
        "last-event-id",
        "traceparent",
        "tracestate",
        "baggage",
      ]),
    );
    expect(Number(answer.headers.get("access-control-max-age"))).toBeGreaterThan(0);
    expect(listIn(answer, "vary")).toContain("origin");
  });

  test("allows nothing to an unlisted origin", async () => {
    const answer = await ask(USERS, UNLISTED);
    expect(corsHeadersOf(answer)).toEqual([]);
    expect(listIn(answer, "vary")).toContain("origin");
  });

  test("allows nothing if no origin is listed", async () => {
    expect(corsHeadersOf(await ask(USERS, CONSOLE, closed.url))).toEqual([]);
  });

  test("differs from an OPTIONS request without CORS headers", async () => {
    expect((await send({ verb: "OPTIONS", path: USERS, headers: { origin: CONSOLE } })).status).toBe(405);
  });
});

describe("the probes", () => {
  test.each([1, 2] as const)("answer without a token over HTTP/%i", async (version) => {
    for (const path of ["/healthz", "/readyz"]) {
      const answer = await send({ version, verb: "GET", path });
      expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status: 200, body: "ok\n" });
      expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
    }
  });
});

describe.each([1, 2] as const)("HEAD over HTTP/%i", (version) => {
  const GET_ANNA = `${GET_USER}?connect=v1&encoding=json&message=${encodeURIComponent('{"id":"anna"}')}`;

  test.each<[path: string, status: number]>([
    ["/healthz", 200],
    ["/readyz", 200],
    [`${USERS}/anna`, 200],
    [`${USERS}/nobody`, 404],
    ["/resources/v3alpha/settings/lockout", 200],
    [GET_ANNA, 200],
    [`${USERS}/anna/_lock`, 405],
    [LOCK_USER, 405],
    ["/oauth/v2/introspect", 405],
    ["/", 404],
  ])("answers %s like GET, without content", async (path, status) => {
    const headers = { ...AUTH, "accept-encoding": "gzip", "x-request-id": "same" };
    const [get, head] = await Promise.all(["GET", "HEAD"].map((verb) => send({ version, verb, path, headers })));
    const told = ({ headers: all }: HttpAnswer) => [...all].filter(([name]) => name !== "date");
    expect({ status: head!.status, bytes: head!.body.length }).toEqual({ status, bytes: 0 });
    expect(told(head!)).toEqual(told(get!));
    expect(Number(head!.headers.get("content-length"))).toBe(get!.body.length);
  });

  test("starts an event stream without keeping its place", async () => {
    const path = "/resources/v3alpha/events/_watch";
    for (let round = 0; round < 3; round++) {
      const { status, headers, body } = await send({ version, verb: "HEAD", path, headers: AUTH });
      expect({ status, type: headers.get("content-type") }).toEqual({ status: 200, type: "text/event-stream" });
      expect(body.length).toBe(0);
    }
    expect(await send({ version, verb: "HEAD", path })).toMatchObject({ status: 401 });
  });
});
