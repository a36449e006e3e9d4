// Proves that browser clients can call a server from listed origins only.
import type { Browser, Page } from "playwright-core";
import { State } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { bundle, launchChromium, servePage } from "../support/servers/chromium.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/servers/server-process.ts";
import { usersOf } from "../support/users.ts";
import type { Call, ClientName } from "./browser-page.ts";

type Site = Awaited<ReturnType<typeof servePage>>;

let server: ServerProcess;
let users: ReturnType<typeof usersOf>;
let browser: Browser;
const sites: Site[] = [];
/** A page of a listed origin, and a page of an unlisted one. */
let listed: Page;
let unlisted: Page;

beforeAll(async () => {
  const script = await bundle("test/interop/browser-page.ts");
  sites.push(await servePage(script), await servePage(script));
  const [ours, theirs] = sites as [Site, Site];
  server = await startServer({ USERLOCK_CORS_ORIGINS: `https://console.example.com,${ours.origin}` });
  users = usersOf(server.url);
  browser = await launchChromium();
  [listed, unlisted] = await Promise.all([browser.newPage(), browser.newPage()]);
  await Promise.all([listed.goto(ours.origin), unlisted.goto(theirs.origin)]);
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), ...sites.map((site) => site.close())]);
});

const CLIENTS: ClientName[] = [
  "connect-web, Connect JSON",
  "connect-web, Connect binary",
  "connect-web, Connect GET",
  "connect-web, gRPC-Web",
  "connect-web, gRPC-Web JSON",
  "grpc-web, grpcweb",
  "grpc-web, grpcwebtext",
];
const SERVICES: Call["service"][] = ["UserService", "ZITADELUsers"];
const CASES = CLIENTS.flatMap((client) => SERVICES.map((service) => ({ client, service })));

const callIn = (page: Page, client: ClientName, call: Omit<Call, "url">) =>
  page.evaluate(([name, full]) => window.userlock.call(name, full), [client, { ...call, url: server.url }] as const);

describe.each(CASES)("$client, on $service", ({ client, service }) => {
  const call = (method: string, request: Call["request"], token: string | null = ADMIN_TOKEN) =>
    callIn(listed, client, { service, method, request, ...(token !== null && { token }) });

  test("creates a user, locks the user once, and sees the lock", async () => {
    const created = await call("CreateUser", { user: {} });
    const { id } = (created.response as { details: { id: string } }).details;
    const locked = await call("LockUser", { id });
    expect(locked).toMatchObject({
      code: "OK",
      response: { details: { id, owner: { type: "OWNER_TYPE_INSTANCE", id: "default" } } },
    });
    expect(await call("LockUser", { id })).toEqual({ code: "FAILED_PRECONDITION", reason: "USER_ALREADY_LOCKED" });
    expect(await call("GetUser", { id })).toMatchObject({
      code: "OK",
      response: { user: { details: { id }, state: "USER_STATE_LOCKED" } },
    });
  });

  test("gets UNAUTHENTICATED without a token", async () => {
    for (const method of ["LockUser", "GetUser"]) {
      expect(await call(method, { id: "u" }, null)).toEqual({ code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" });
    }
  });

  test("changes nothing and reads nothing from a page of an unlisted origin", async () => {
    const id = await users.add();
    const lock = { service, method: "LockUser", request: { id }, token: ADMIN_TOKEN };
    const { code, reason, response } = await callIn(unlisted, client, lock);
    expect({ isAnswered: code === "OK", reason, response }).toEqual({ isAnswered: false });
    expect(await users.stateOf(id)).toBe(State.USER_STATE_ACTIVE);
    // The same call succeeds from the other page, so only the origin differs.
    expect(await callIn(listed, client, lock)).toMatchObject({ code: "OK" });
  });
});

test.each(CLIENTS)("%s gets UNIMPLEMENTED for a published method that userlock does not serve", async (client) => {
  const call = { service: "ZITADELUsers", method: "RequestPasswordReset", request: {}, token: ADMIN_TOKEN } as const;
  expect(await callIn(listed, client, call)).toEqual({ code: "UNIMPLEMENTED", reason: "NOT_SERVED" });
});

describe("grpc.health.v1 in the browser", () => {
  // The binary mode of grpc-web has no streams (https://github.com/grpc/grpc-web#wire-format-mode).
  const streaming = CLIENTS.filter((client) => client !== "grpc-web, grpcweb");

  test.each(streaming)("gives %s the status by Watch while the stream is open", async (client) => {
    const status = await listed.evaluate(([name, url]) => window.userlock.watch(name, url), [
      client,
      server.url,
    ] as const);
    expect(status).toEqual({ status: "SERVING" });
  });
});

describe("fetch of REST routes", () => {
  const USERS = "/resources/v3alpha/users";
  const AUTHORIZED = { authorization: `Bearer ${ADMIN_TOKEN}` };
  type Headers = Record<string, string>;
  async function fetchIn(page: Page, method: string, path: string, body?: object, headers: Headers = AUTHORIZED) {
    const json = body && { body: JSON.stringify(body) };
    const options = { method, headers: json ? { ...headers, "content-type": "application/json" } : headers, ...json };
    const url = server.url + path;
    const response = await page.evaluate(([to, how]) => window.userlock.fetch(to, how), [url, options] as const);
    return response && { ...response, json: /^\{/.test(response.text) ? JSON.parse(response.text) : undefined };
  }

  test("may use every verb from a page of a listed origin", async () => {
    const created = await fetchIn(listed, "POST", USERS, {});
    expect(created).toMatchObject({ status: 201 });
    const path = `${USERS}/${created?.json.details.id}`;
    expect(await fetchIn(listed, "PATCH", path, { schemaId: "staff" })).toMatchObject({ status: 200 });
    expect(await fetchIn(listed, "GET", path)).toMatchObject({
      status: 200,
      json: { user: { schema: { id: "staff" } } },
    });
    expect(await fetchIn(listed, "POST", `${path}/_lock`, {})).toMatchObject({ status: 200 });
    expect(await fetchIn(listed, "POST", `${path}/_lock`, {})).toMatchObject({
      status: 400,
      json: { code: 9, details: [{ reason: "USER_ALREADY_LOCKED" }, {}] },
    });
    expect(await fetchIn(listed, "DELETE", path)).toMatchObject({ status: 200 });
  });

  test("reads the challenge and the request id from a page of a listed origin", async () => {
    const answer = await fetchIn(listed, "POST", `${USERS}/u/_lock`, {}, {});
    expect(answer).toMatchObject({
      status: 401,
      headers: { "www-authenticate": 'Bearer realm="userlock"', "x-request-id": expect.stringMatching(/./) },
      json: { details: [{ reason: "TOKEN_MISSING" }] },
    });
  });

  test("cannot call from a page of an unlisted origin", async () => {
    const id = await users.add();
    expect(await fetchIn(unlisted, "POST", `${USERS}/${id}/_lock`, {})).toBeUndefined();
    expect(await users.stateOf(id)).toBe(State.USER_STATE_ACTIVE);
    expect(await fetchIn(unlisted, "GET", `${USERS}/${id}`)).toBeUndefined();
  });

  test("cannot read the answer to a simple request from a page of an unlisted origin", async () => {
    expect(await fetchIn(unlisted, "GET", "/healthz", undefined, {})).toBeUndefined();
    expect(await fetchIn(listed, "GET", "/healthz", undefined, {})).toMatchObject({ status: 200 });
  });
});
