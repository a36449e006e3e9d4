// Proves that /openapi.json is served to everyone, and that the server accepts every example of a request in it.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { exchange } from "../../support/clients/http.ts";
import { type Operation, type Parameter, readDocument } from "../../support/openapi/document.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({}, QUICK);
});

afterAll(async () => {
  await server?.stop();
});

const PATH = "/openapi.json";
const get = (headers: Record<string, string> = {}, verb = "GET") => exchange(server.url, { verb, path: PATH, headers });
const GENERATED = readFileSync("gen/openapi.json", "utf8");

describe("/openapi.json", () => {
  test("is the generated document, without a token, and can be kept by caches that ask again", async () => {
    const { status, headers, body } = await get();
    expect({ status, body: body.toString() }).toEqual({ status: 200, body: GENERATED });
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(GENERATED)),
      "cache-control": "no-cache",
      etag: expect.stringMatching(/^W\/"[\w-]{22}"$/),
      vary: "accept-encoding",
    });
  });

  test("is compressed for clients that accept gzip", async () => {
    const { headers, body } = await get({ "accept-encoding": "gzip" });
    expect(headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(body).toString()).toBe(GENERATED);
    expect(body.byteLength).toBeLessThan(GENERATED.length / 5);
  });

  test("is not sent to a client that has it", async () => {
    const etag = (await get()).headers.get("etag") as string;
    for (const known of [etag, etag.slice(2), `"other", ${etag}`, "*"]) {
      const { status, headers, body } = await get({ "if-none-match": known });
      expect({ status, etag: headers.get("etag"), body: body.toString() }).toEqual({ status: 304, etag, body: "" });
    }
    expect((await get({ "if-none-match": '"other"' })).status).toBe(200);
  });

  test("has a length for HEAD, and no other verb", async () => {
    const head = await get({}, "HEAD");
    expect([head.status, head.headers.get("content-length"), head.body.byteLength]).toEqual([
      200,
      String(Buffer.byteLength(GENERATED)),
      0,
    ]);
    const post = await get({}, "POST");
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});

/** All operations, in an order in which each can succeed. */
const ORDER = [
  ...[
    "CreateUser",
    "GetUser",
    "SearchUsers",
    "CountUsers",
    "PatchUser",
    "LockUser",
    "UnlockUser",
    "BatchLockUsers",
    "BatchUnlockUsers",
  ],
  ...["DeactivateUser", "ActivateUser", "AddUsername", "RemoveUsername"],
  ...["CreateSession", "GetSession", "GetSessionByPost", "ListSessions", "IntrospectToken", "DeleteSession"],
  ...["CreateSession", "DeleteSessionByPost", "DeleteSessions", "SetPassword"],
  ...["GetLockoutPolicy", "SetLockoutPolicy", "ResetLockoutPolicy"],
  ...["WhoAmI", "CreateToken", "ListTokens", "RevokeToken"],
  ...["Authorize", "Authz", "AuthzByPost", "AuthzByPut", "AuthzByPatch", "AuthzByDelete"],
  ...["ListEvents", "WatchEvents", "WatchLocks", "DeleteUser"],
  ...["Healthz", "Readyz", "GetOpenApi"],
];

test("the server accepts the example of every operation", async () => {
  const operations = new Map<string, Example>();
  for (const [path, item] of Object.entries(readDocument().paths)) {
    for (const [verb, operation] of Object.entries(item))
      operations.set(operation.operationId, { path, verb, operation });
  }
  expect(new Set(ORDER)).toEqual(new Set(operations.keys()));

  /** What the server makes itself, so that no example can have it. */
  const made: Record<string, string> = {};
  for (const id of ORDER) {
    const { operation } = operations.get(id) as Example;
    const request = requestOf(operations.get(id) as Example, made);
    const response = await fetch(server.url + request.target, { ...request, signal: AbortSignal.timeout(10_000) });
    const type = response.headers.get("content-type") ?? "";
    const text = type === "text/event-stream" ? await firstPiece(response) : await response.text();
    expect({ id, status: response.status, text }).toEqual({ id, status: successOf(operation), text });
    if (type !== "application/json") continue;
    const { sessionId, sessionToken, usernameId, details, active } = JSON.parse(text);
    if (id === "IntrospectToken") expect(active).toBe(true);
    Object.assign(made, sessionId && { sessionId, sessionToken, token: sessionToken }, usernameId && { usernameId });
    if (id === "CreateToken") made.tokenId = details.id;
  }
});

interface Example {
  path: string;
  verb: string;
  operation: Operation;
}

/** The request of the examples, with what the server made. */
function requestOf({ path, verb, operation }: Example, made: Record<string, string>) {
  const replaced = (example: unknown) =>
    Object.fromEntries(Object.entries(example as object).map(([name, value]) => [name, made[name] ?? value]));
  const query = new URLSearchParams();
  let target = path;
  for (const { name, in: place, example } of (operation.parameters ?? []) as Parameter[]) {
    if (example === undefined) continue;
    if (place === "path") target = target.replace(`{${name}}`, made[name] ?? String(example));
    else for (const value of [example].flat()) query.append(name, String(value));
  }
  const [[type, { example }] = ["", { example: undefined }]] = Object.entries(operation.requestBody?.content ?? {});
  const isForm = type === "application/x-www-form-urlencoded";
  const body = isForm
    ? new URLSearchParams(replaced(example)).toString()
    : JSON.stringify(Array.isArray(example) ? example : example && replaced(example));
  const authorization = operation.security?.length === 0 ? {} : { authorization: `Bearer ${ADMIN_TOKEN}` };
  return {
    target: `${target}?${query}`,
    method: verb.toUpperCase(),
    headers: { ...authorization, ...(type && { "content-type": type }) },
    ...(body !== undefined && { body }),
  };
}

function successOf({ responses }: Operation): number {
  return Number(Object.keys(responses).find((status) => status.startsWith("2")));
}

async function firstPiece(response: Response): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const text = Buffer.from(value ?? []).toString();
  expect(text).toMatch(/^retry: \d+\n(id: \d|:\n)/);
  return text;
}
