import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../support/access.ts";
import { type Door, openDoors } from "../support/doors.ts";
import { addUser, asOwner, CHEAP_HASHES, ok, openSession } from "../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/server-process.ts";

const { lockUser } = UserService.method;

let server: ServerProcess;
let doors: Door[] = [];
let door: Door;
const tokens: Record<string, string | undefined> = { owner: ADMIN_TOKEN };
/** What is asked about. */
const asked: Record<string, string> = {
  nonsense: "no-such-token",
  "very long nonsense": "x".repeat(5_000),
  "the caller's own token": ADMIN_TOKEN,
};

beforeAll(async () => {
  server = await startServer({ ...CHEAP_HASHES, USERLOCK_INSTANCE_ID: "main" });
  doors = openDoors(server.url);
  door = doors[0] as Door;
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.gateway = (await make.create("gateway", ["GATEWAY"])).secret;
  tokens.gatewayOfA = (await make.create("gateway-a", ["GATEWAY", "a"])).secret;
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

test("a good token: who it is, since when and until when, in numbers", async () => {
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
])("%s, asked by the %s: active %s", async (what, caller, isActive) => {
  const { status, text } = await introspect(asked[what], { caller });
  expect(status).toBe(200);
  if (isActive) expect(JSON.parse(text)).toMatchObject({ active: true });
  else expect(JSON.parse(text)).toEqual({ active: false });
});

const FORM = "application/x-www-form-urlencoded";

test.each<
  [what: string, options: Parameters<typeof introspect>[1], token: string | undefined, status: number, reason: string]
>([
  ["no bearer token", { caller: "nobody" }, "x", 401, "TOKEN_MISSING"],
  ["a caller without session.read", { caller: "viewer" }, "x", 403, "PERMISSION_MISSING"],
  ["no token", {}, undefined, 400, "INVALID_REQUEST"],
  ["an empty token", {}, "", 400, "INVALID_REQUEST"],
  ["a token larger than a message may be", {}, "x".repeat(64 * 1024 + 1), 413, "TOO_LARGE"],
  ["GET", { method: "GET", body: null }, undefined, 405, "NOT_SERVED"],
  ["JSON", { headers: { "content-type": "application/json" }, body: "{}" }, undefined, 415, "INVALID_REQUEST"],
  [
    "a type that only begins like a form's",
    { headers: { "content-type": `${FORM}-not` }, body: "token=x" },
    undefined,
    415,
    "INVALID_REQUEST",
  ],
  [
    "no permission goes before a wrong type",
    { caller: "viewer", headers: { "content-type": "a/b" } },
    "x",
    403,
    "PERMISSION_MISSING",
  ],
  [
    "5 MiB",
    { body: `token=${"x".repeat(5 * 1024 * 1024)}`, headers: { "content-type": FORM } },
    undefined,
    413,
    "TOO_LARGE",
  ],
])("refused: %s", async (_what, options, token, status, reason) => {
  const answer = await introspect(token, options);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text).details[0].reason).toBe(reason);
  if (status === 401) expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer /);
  if (status === 405) expect(answer.headers.get("allow")).toBe("POST");
});

test("the form's type may name its charset, in any case", async () => {
  const { status } = await introspect(undefined, {
    headers: { "content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8" },
    body: `token=${asked["a session in a"]}`,
  });
  expect(status).toBe(200);
});
