import { gzipSync } from "node:zlib";
import { type DescMethod, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

/**
 * The hot door for unary calls says to the letter what Connect's router says: each request goes to two servers of one
 * store, of which one has the door and the other has not.
 */
const folder = temporaryFolder();
let servers: ServerProcess[];
let viewer: string;

beforeAll(async () => {
  const store = { USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}` };
  const withDoor = await startServer(store);
  servers = [withDoor, await startServer(store, { unaryDoor: false })];
  for (const userId of ["anna", "locked", "inactive", ...Array.from({ length: 20 }, (_, n) => `one-of-many-${n}`)]) {
    await prepare("/resources/v3alpha/users", { userId, contact: { email: { address: `${userId}@example.com` } } });
  }
  await prepare("/resources/v3alpha/users", { userId: "large", data: { text: "large ".repeat(1_000) } });
  await prepare("/resources/v3alpha/users/locked/_lock", { reason: "fraud", note: "ändern: 100 % – „bald“" });
  await prepare("/resources/v3alpha/users/inactive/_deactivate", {});
  const grants = [{ role: "ROLE_INSTANCE_VIEWER" }];
  viewer = (await prepare("/resources/v3alpha/tokens", { subject: "viewer", grants })).token;
});

afterAll(async () => {
  for (const server of servers ?? []) await server.stop();
  folder.remove();
});

async function prepare(path: string, body: JsonValue) {
  const response = await fetch(servers[0]!.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  expect(answer).toMatchObject({ details: {} });
  return answer;
}

/** What HTTP puts on its own account, each time anew. */
const OF_THE_CONNECTION = ["connection", "content-length", "date", "keep-alive", "transfer-encoding"];

async function answers(request: HttpRequest) {
  return Promise.all(
    servers.map(async ({ url }) => {
      const { status, headers, trailers, body } = await exchange(url, request);
      for (const name of OF_THE_CONNECTION) headers.delete(name);
      return { status, headers: Object.fromEntries(headers), trailers: Object.fromEntries(trailers), body };
    }),
  );
}

/** Expects both to say the same, and resolves with it. */
async function agreed(request: HttpRequest) {
  const [withDoor, without] = await answers(request);
  expect(withDoor).toEqual(without);
  return withDoor!;
}

const TYPES = [
  "application/grpc",
  "application/grpc+proto",
  "application/grpc+json",
  "application/grpc-web",
  "application/grpc-web+proto",
  "application/grpc-web+json",
  "application/grpc-web-text",
  "application/grpc-web-text+proto",
  "application/proto",
  "application/json",
];

interface Case {
  method: DescMethod;
  request: JsonValue;
  headers?: Record<string, string>;
}

const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;

function messageOf(type: string, { method, request }: Case): Buffer {
  if (type.endsWith("json")) return Buffer.from(JSON.stringify(request));
  return Buffer.from(toBinary(method.input, fromJson(method.input, request)));
}

/** The content of a request with this message; its frame, if it has one, has this flag and says this length. */
function contentOf(type: string, message: Buffer, { flag = 0, length = message.byteLength } = {}): Buffer {
  if (!type.includes("grpc")) return message;
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 1);
  const frame = Buffer.concat([head, message]);
  return type.includes("text") ? Buffer.from(frame.toString("base64")) : frame;
}

let requests = 0;

function requestOf(version: 1 | 2, type: string, { method, headers }: Case, body: Buffer): HttpRequest {
  return {
    version,
    path: pathOf(method),
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      "content-type": type,
      "x-request-id": `request-${requests++}`,
      ...headers,
    },
    body,
  };
}

const { getUser, lockUser, unlockUser } = UserService.method;
const GET: Case = { method: getUser, request: { id: "anna" } };
const LARGE: Case = { method: getUser, request: { id: "large" } };

const CASES: [what: string, of: (key: string) => Case][] = [
  ["a user", () => GET],
  ["a user, by the other service", () => ({ ...GET, method: ZITADELUsers.method.getUser })],
  ["a user with text that is not ASCII", () => ({ ...GET, request: { id: "locked" } })],
  ["a large user", () => LARGE],
  ["a large user, to who takes gzip", () => ({ ...LARGE, headers: gzipAccepted("gzip") })],
  ["a large user, to who takes gzip among others", () => ({ ...LARGE, headers: gzipAccepted("br, gzip ,identity") })],
  ["a large user, to who takes nothing that is known", () => ({ ...LARGE, headers: gzipAccepted("br") })],
  ["a large user, to a client that accepts x-gzip", () => ({ ...LARGE, headers: gzipAccepted("X-Gzip;q=0.5") })],
  [
    "a large user, to a client that prefers identity",
    () => ({ ...LARGE, headers: gzipAccepted("identity, gzip;q=0.5") }),
  ],
  ["no compression, said in capitals", () => ({ ...GET, headers: compressed("Identity") })],
  ["a user, to who takes gzip", () => ({ ...GET, headers: gzipAccepted("identity,deflate,gzip") })],
  [
    "a lock",
    (key) => ({
      method: lockUser,
      request: { id: `one-of-many-${Number(key) % 20}`, reason: "fraud" },
      headers: { "idempotency-key": key },
    }),
  ],
  ["USER_ALREADY_LOCKED", () => ({ method: lockUser, request: { id: "locked" } })],
  ["USER_NOT_LOCKED", () => ({ method: unlockUser, request: { id: "inactive" } })],
  ["USER_NOT_FOUND", () => ({ method: lockUser, request: { id: "nobody" } })],
  ["a broken id", () => ({ method: lockUser, request: { id: "a b" } })],
  ["many broken fields, whose error is long", () => ({ ...broken(), headers: gzipAccepted("gzip") })],
  ["PERMISSION_MISSING", () => ({ method: lockUser, request: { id: "anna" }, headers: bearer(viewer) })],
  ["TOKEN_MISSING", () => ({ ...GET, headers: { authorization: "" } })],
  ["TOKEN_INVALID", () => ({ ...GET, headers: bearer("nobody-has-this-token") })],
  ["a token that is told about", () => ({ method: SessionService.method.introspectToken, request: { token: "none" } })],
  ["a deadline", () => ({ ...GET, headers: deadline("30S", "30000") })],
  ["a deadline beyond all timers", () => ({ ...GET, headers: deadline("99999999H", "9999999999") })],
  ["a deadline that is none", () => ({ ...GET, headers: deadline("1 S", "soon") })],
  ["a compression that nobody knows", () => ({ ...GET, headers: compressed("x-none") })],
  ["no compression, said so", () => ({ ...GET, headers: compressed("identity") })],
  ["an unknown version of Connect", () => ({ ...GET, headers: { "connect-protocol-version": "2" } })],
];

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const gzipAccepted = (names: string) => ({ "grpc-accept-encoding": names, "accept-encoding": names });
const compressed = (name: string) => ({ "grpc-encoding": name, "content-encoding": name });
const deadline = (grpc: string, connect: string) => ({ "grpc-timeout": grpc, "connect-timeout-ms": connect });
const broken = (): Case => ({
  method: UserService.method.batchLockUsers,
  request: { ids: Array.from({ length: 50 }, (_, n) => `broken id ${n}`) },
});

describe.each([1, 2] as const)("over HTTP/%i", (version) => {
  describe.each(TYPES)("%s", (type) => {
    test.each(CASES)("%s", async (_what, of) => {
      const one = of(String(TYPES.indexOf(type) + 10 * (version - 1)));
      const { status } = await agreed(requestOf(version, type, one, contentOf(type, messageOf(type, one))));
      expect(status).not.toBe(500);
    });

    test.each<[string, (message: Buffer) => Buffer]>([
      ["nothing", () => Buffer.alloc(0)],
      ["an empty message", () => contentOf(type, Buffer.alloc(0))],
      ["half of a message", (message) => contentOf(type, message.subarray(0, message.byteLength / 2))],
      ["garbage", () => contentOf(type, Buffer.from([0xff, 0xff, 0xff]))],
      ["two messages", (message) => Buffer.concat([contentOf(type, message), contentOf(type, message)])],
      ["less than it says", (message) => contentOf(type, message, { length: message.byteLength + 1 })],
      ["more than it says", (message) => contentOf(type, message, { length: message.byteLength - 1 })],
      ["4 GiB, it says", (message) => contentOf(type, message, { length: 2 ** 32 - 1 })],
      ["a flag for compression", (message) => contentOf(type, message, { flag: 1 })],
      ["a flag of trailers", (message) => contentOf(type, message, { flag: 0x80 })],
      ["a flag that nobody knows", (message) => contentOf(type, message, { flag: 2 })],
      ["a little more than is taken", () => contentOf(type, Buffer.alloc(65_537, " "))],
      ["much more than is taken", () => contentOf(type, Buffer.alloc(1_000_000, " "))],
      ["no base64", () => Buffer.from("AAAA!AAA")],
    ])("with the content: %s", async (_what, content) => {
      const { status } = await agreed(requestOf(version, type, GET, content(messageOf(type, GET))));
      expect(status).not.toBe(500);
    });

    test("with a message that is compressed", async () => {
      const content = contentOf(type, gzipSync(messageOf(type, GET)), { flag: 1 });
      await agreed(requestOf(version, type, { ...GET, headers: compressed("gzip") }, content));
    });
  });

  test.each<[string, Partial<HttpRequest>]>([
    ["GET", { verb: "GET" }],
    ["PUT", { verb: "PUT" }],
    ["OPTIONS", { verb: "OPTIONS" }],
    ["an unknown method", { path: "/userlock.v3alpha.UserService/LockEverybody" }],
    ["an unknown service", { path: "/userlock.v3alpha.Users/LockUser" }],
    ["a query", { path: "/userlock.v3alpha.UserService/GetUser?a=b" }],
    ["a slash too many", { path: "/userlock.v3alpha.UserService/GetUser/" }],
    ["an escape", { path: "/userlock.v3alpha.UserService/Get%55ser" }],
    ["segments that go away", { path: "/x/../userlock.v3alpha.UserService/GetUser" }],
  ])("%s", async (_what, change) => {
    for (const type of TYPES) {
      const { body, ...request } = {
        ...requestOf(version, type, GET, contentOf(type, messageOf(type, GET))),
        ...change,
      };
      await agreed(change.verb === "GET" ? request : { ...request, body: body! });
    }
  });

  test.each([
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=utf8",
    "application/json; charset=latin1",
    "application/grpc+JSON",
    "application/grpc; x=y",
    "application/grpc+xml",
    "application/grpc-web-text+json",
    "application/connect+json",
    "text/plain",
    "",
  ])("the content type %j", async (type) => {
    for (const like of TYPES) await agreed(requestOf(version, type, GET, contentOf(like, messageOf(like, GET))));
  });

  test("whatever is sent", async () => {
    const oneOf = (...values: (string | undefined)[]) => fc.constantFrom(...values);
    const header = fc.record({
      "grpc-encoding": oneOf(undefined, undefined, "identity", "gzip", "br", "Identity", "X-GZIP", ""),
      "content-encoding": oneOf(undefined, undefined, "identity", "gzip", "br", "IDENTITY", "x-gzip", ""),
      "grpc-accept-encoding": oneOf(undefined, "gzip", "identity", "gzip;q=0", "GZIP;q=0.5", ",", ""),
      "accept-encoding": oneOf(undefined, "gzip", "identity", "gzip, deflate, br", "X-Gzip;q=0.1", "*", "*;q=0", ""),
      "grpc-timeout": oneOf(undefined, undefined, "10S", "10000m", "10", "100000000S", "-1S"),
      "connect-timeout-ms": oneOf(undefined, undefined, "10000", "1e4", "12345678901", "-1"),
      "connect-protocol-version": oneOf(undefined, "1", "2"),
      authorization: oneOf(`Bearer ${ADMIN_TOKEN}`, `Bearer ${ADMIN_TOKEN}`, "Bearer x", "Basic eDp5", ""),
    });
    const random = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    const content = (type: string) => {
      const message = messageOf(type, GET);
      const of = (bytes: Buffer, flag: number, length: number) =>
        contentOf(type, bytes, { flag, length: bytes.byteLength + length });
      const framed = fc
        .tuple(
          fc.oneof(fc.constant(message), fc.constant(gzipSync(message)), random),
          fc.constantFrom(0, 0, 0, 1, 2, 128),
          fc.constantFrom(0, 0, 0, 1, -1),
        )
        .map(([bytes, flag, length]) => of(bytes, flag, Math.max(length, -bytes.byteLength)));
      return fc.oneof({ weight: 4, arbitrary: framed }, { weight: 1, arbitrary: random });
    };
    const request = fc.constantFrom(...TYPES).chain((type) => fc.tuple(fc.constant(type), header, content(type)));
    await fc.assert(
      fc.asyncProperty(request, async ([type, all, body]) => {
        const headers = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
        await agreed(requestOf(version, type, { ...GET, headers: headers as Record<string, string> }, body));
      }),
      { numRuns: 400, seed: 20_261_124 },
    );
  });
});
