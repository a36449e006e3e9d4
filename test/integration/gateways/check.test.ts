// Proves that Envoy can ask about each request over gRPC, with Envoy's own published API as the client's contract.
import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, ok, openSession } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const DEPENDENCIES = "node_modules/@grpc/grpc-js-xds/deps";
const definition = loadSync("envoy/service/auth/v3/external_auth.proto", {
  includeDirs: ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => `${DEPENDENCIES}/${name}`),
  enums: String,
});

/** The parts of Envoy's CheckResponse that the tests read, as the loader gives them. */
interface Verdict {
  status: { code?: number };
  okResponse?: { headers: HeaderOption[]; headersToRemove?: string[] };
  deniedResponse?: { status: { code: string }; headers: HeaderOption[]; body: string };
  dynamicMetadata?: { fields: Record<string, { stringValue?: string; numberValue?: number }> };
}
interface HeaderOption {
  header: { key: string; value: string };
  appendAction: string;
}

const tokens: Record<string, string> = {};
let server: ServerProcess;
let doors: Door[] = [];
let client: Client & { Check: (...args: unknown[]) => void };

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  const door = doors[0] as Door;
  const loaded = loadPackageDefinition(definition) as unknown as {
    envoy: { service: { auth: { v3: { Authorization: ServiceClientConstructor } } } };
  };
  const { Authorization } = loaded.envoy.service.auth.v3;
  client = new Authorization(new URL(server.url).host, credentials.createInsecure()) as never;
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.gateway = (await make.create("gateway", ["GATEWAY"])).secret;
  tokens["gateway of acme"] = (await make.create("gateway-a", ["GATEWAY", "acme"])).secret;
  tokens.viewer = (await make.create("viewer", ["INSTANCE_VIEWER"])).secret;
  await addUser(door, { id: "ada", organization: "acme", names: [["Ädä"]] });
  await addUser(door, { id: "locked" });
  tokens.ada = (await openSession(door, "ada")).sessionToken;
  tokens.locked = (await openSession(door, "locked")).sessionToken;
  ok(await door.call(UserService.method.lockUser, { id: "locked" }, asOwner));
});

afterAll(async () => {
  client?.close();
  for (const each of doors) each.close();
  await server?.stop();
});

interface Asked {
  headers?: Record<string, string>;
  raw?: [key: string, value: string][];
  extensions?: Record<string, string>;
  gateway?: string;
}

/** Asks as Envoy does. Rejects with the status of the gRPC call. */
function check({ headers = {}, raw = [], extensions = {}, gateway = "gateway" }: Asked): Promise<Verdict> {
  const metadata = new Metadata();
  if (tokens[gateway]) metadata.set("authorization", `Bearer ${tokens[gateway]}`);
  const http = {
    headers: { ":method": "GET", ":path": "/a", ":authority": "app", ...headers },
    headerMap: { headers: raw.map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) },
  };
  const attributes = { request: { http }, contextExtensions: extensions };
  return new Promise((resolve, reject) => {
    client.Check({ attributes }, metadata, (error: Error | null, verdict: Verdict) =>
      error ? reject(error) : resolve(verdict),
    );
  });
}

const bearer = (token: string) => ({ authorization: `Bearer ${tokens[token]}` });
const valuesOf = (headers: HeaderOption[] = []) =>
  Object.fromEntries(headers.map(({ header: { key, value } }) => [key, value]));

test("a good token passes, with headers that replace the client's own, and metadata", async () => {
  const { status, okResponse, dynamicMetadata } = await check({ headers: bearer("ada") });
  expect(status.code ?? 0).toBe(0);
  expect(valuesOf(okResponse?.headers)).toEqual({
    "x-auth-request-user": "ada",
    "x-auth-request-preferred-username": "%C3%84d%C3%A4",
    "x-userlock-session": expect.stringMatching(/^\d+$/),
    "x-userlock-expires": expect.stringMatching(/Z$/),
    "remote-user": "ada",
  });
  expect(new Set(okResponse?.headers.map(({ appendAction }) => appendAction))).toEqual(
    new Set(["OVERWRITE_IF_EXISTS_OR_ADD"]),
  );
  expect(okResponse?.headersToRemove).toEqual(["x-auth-request-email"]);
  const { subject, organization, expires } = dynamicMetadata?.fields ?? {};
  expect([subject?.stringValue, organization?.stringValue]).toEqual(["ada", "acme"]);
  expect(expires?.numberValue).toBeGreaterThan(Date.now() / 1_000);
});

const PLACES: [place: string, asked: () => Asked][] = [
  ["a cookie", () => ({ headers: { cookie: `a=1; sid=${tokens.ada}` }, extensions: { cookie: "sid" } })],
  ["a raw header", () => ({ raw: [["authorization", `Bearer ${tokens.ada}`]] })],
  [
    "a cookie in parts",
    () => ({
      raw: [
        ["cookie", "a=1"],
        ["cookie", `sid=${tokens.ada}`],
      ],
      extensions: { cookie: "sid" },
    }),
  ],
];
test.each(PLACES)("a token in %s passes", async (_place, asked) => {
  expect((await check(asked())).okResponse).toBeTruthy();
});

test.each<[what: string, asked: () => Asked, status: string, code: number]>([
  ["no token", () => ({}), "Unauthorized", 16],
  ["a bad token", () => ({ headers: { authorization: "Bearer nonsense" } }), "Unauthorized", 16],
  ["no token's characters", () => ({ headers: { authorization: "Bearer a b" } }), "Unauthorized", 16],
  ["the session of a locked user", () => ({ headers: bearer("locked") }), "Unauthorized", 16],
  [
    "a user of another organization",
    () => ({ headers: bearer("ada"), extensions: { organization: "b" } }),
    "Forbidden",
    7,
  ],
  [
    "a token without the role",
    () => ({ headers: bearer("viewer"), extensions: { role: "INSTANCE_OWNER" } }),
    "Forbidden",
    7,
  ],
  [
    "a bearer out of the gateway's reach",
    () => ({ headers: bearer("viewer"), gateway: "gateway of acme" }),
    "Unauthorized",
    16,
  ],
])("%s is denied", async (_what, asked, status, code) => {
  const verdict = await check(asked());
  expect([verdict.status.code, verdict.deniedResponse?.status.code]).toEqual([code, status]);
  const headers = valuesOf(verdict.deniedResponse?.headers);
  expect(headers["www-authenticate"] ?? "").toMatch(code === 16 ? /^Bearer realm="userlock"/ : /^$/);
  expect(headers["x-userlock-reason"]).toBeUndefined();
  expect(JSON.parse(verdict.deniedResponse?.body ?? "").code).toBe(code);
});

test("a locked user looks like a bad token, unless the route reveals the reason", async () => {
  const bodyOf = async (asked: Asked) => (await check(asked)).deniedResponse;
  const bad = { authorization: "Bearer nonsense" };
  expect(await bodyOf({ headers: bearer("locked") })).toEqual(await bodyOf({ headers: bad }));
  const revealed = await bodyOf({ headers: bearer("locked"), extensions: { reveal: "true" } });
  expect(valuesOf(revealed?.headers)["x-userlock-reason"]).toBe("TOKEN_INVALID");
  // The user is out of its reach.
  const asked = { gateway: "gateway of acme", extensions: { reveal: "true" } };
  expect(await bodyOf({ ...asked, headers: bearer("locked") })).toEqual(await bodyOf({ ...asked, headers: bad }));
});

test.each([
  ["without a token", "none", 16],
  ["without session.read", "viewer", 7],
])("a gateway %s gets the error of a call", async (_what, gateway, code) => {
  await expect(check({ headers: bearer("ada"), gateway })).rejects.toMatchObject({ code });
});

test("60 KiB of headers are accepted", async () => {
  const large = { "x-large": "x".repeat(60 * 1024) };
  expect((await check({ headers: { ...bearer("ada"), ...large } })).okResponse).toBeTruthy();
});
