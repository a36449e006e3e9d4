// Proves that the unary door and Connect's router give the same answers.
import { gzipSync } from "node:zlib";
import { type DescMethod, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { readConnect, readGrpc, readGrpcWeb } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

/** Each request goes to two servers of one store, one with the unary door and one without. */
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

interface Said {
  code: string;
  reason: string | undefined;
  message: string;
  status: number;
  type: string | null;
  /** An answer without an error. */
  answer?: Buffer;
}

/** A server's answer to a request in this protocol. */
async function saidBy({ url }: ServerProcess, like: string, request: HttpRequest): Promise<Said> {
  const answer = await exchange(url, request);
  const read = !like.includes("grpc") ? readConnect : like.includes("web") ? readGrpcWeb : readGrpc;
  const { code, reason, message, status } = read(answer);
  const type = answer.headers.get("content-type");
  return { code, reason, message, status, type, ...(code === "OK" && { answer: answer.body }) };
}

/** The answers of both servers. The server with the unary door is first. */
const saidByBoth = (like: string, request: HttpRequest) =>
  Promise.all(servers.map((server) => saidBy(server, like, request))) as Promise<[Said, Said]>;

const TYPES = [
  "application/grpc",
  "application/grpc+proto",
  "application/grpc+json",
  "application/grpc-web",
  "application/grpc-web+proto",
  "application/grpc-web+json",
  "application/grpc-web-text",
  "application/grpc-web-text+proto",
  "application/grpc-web-text+json",
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

/** The content of a request with this message, in a frame with this flag and length if the protocol has frames. */
function contentOf(type: string, message: Buffer, { flag = 0, length = message.byteLength } = {}): Buffer {
  if (!type.includes("grpc")) return message;
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 1);
  const frame = Buffer.concat([head, message]);
  return type.includes("text") ? Buffer.from(frame.toString("base64")) : frame;
}

let requests = 0;

/** A method call in this protocol. gRPC needs HTTP/2 for its trailers. */
function requestOf(type: string, { method, headers }: Case, body: Buffer): HttpRequest {
  return {
    version: /grpc(?!-web)/.test(type) ? 2 : 1,
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
  ["a user by the ZITADEL service", () => ({ ...GET, method: ZITADELUsers.method.getUser })],
  ["a user with non-ASCII text", () => ({ ...GET, request: { id: "locked" } })],
  ["a large user", () => LARGE],
  ["a large user to a client that accepts gzip", () => ({ ...LARGE, headers: gzipAccepted("gzip") })],
  [
    "a large user to a client that accepts gzip among others",
    () => ({ ...LARGE, headers: gzipAccepted("br, gzip ,identity") }),
  ],
  ["a large user to a client that accepts no known encoding", () => ({ ...LARGE, headers: gzipAccepted("br") })],
  ["a large user to a client that accepts x-gzip", () => ({ ...LARGE, headers: gzipAccepted("X-Gzip;q=0.5") })],
  [
    "a large user to a client that prefers identity",
    () => ({ ...LARGE, headers: gzipAccepted("identity, gzip;q=0.5") }),
  ],
  ["the encoding Identity with a capital", () => ({ ...GET, headers: compressed("Identity") })],
  ["a small user to a client that accepts gzip", () => ({ ...GET, headers: gzipAccepted("identity,deflate,gzip") })],
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
  ["an invalid id", () => ({ method: lockUser, request: { id: "a b" } })],
  ["many invalid fields with a long error", () => ({ ...broken(), headers: gzipAccepted("gzip") })],
  ["PERMISSION_MISSING", () => ({ method: lockUser, request: { id: "anna" }, headers: bearer(viewer) })],
  ["TOKEN_MISSING", () => ({ ...GET, headers: { authorization: "" } })],
  ["TOKEN_INVALID", () => ({ ...GET, headers: bearer("nobody-has-this-token") })],
  ["an introspection", () => ({ method: SessionService.method.introspectToken, request: { token: "none" } })],
  ["a deadline", () => ({ ...GET, headers: deadline("30S", "30000") })],
  ["a deadline above the limit of timers", () => ({ ...GET, headers: deadline("99999999H", "9999999999") })],
  ["an invalid deadline", () => ({ ...GET, headers: deadline("1 S", "soon") })],
  ["an unknown encoding", () => ({ ...GET, headers: compressed("x-none") })],
  ["the encoding identity", () => ({ ...GET, headers: compressed("identity") })],
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

describe.each(TYPES)("both doors give the same answer in %s", (type) => {
  test.each(CASES)("for %s", async (_what, of) => {
    const one = of(String(TYPES.indexOf(type)));
    const [withDoor, without] = await saidByBoth(type, requestOf(type, one, contentOf(type, messageOf(type, one))));
    expect(withDoor).toEqual(without);
    expect(withDoor.status).not.toBe(500);
  });

  test.each<[string, (message: Buffer) => Buffer]>([
    ["nothing", () => Buffer.alloc(0)],
    ["an empty message", () => contentOf(type, Buffer.alloc(0))],
    ["half of a message", (message) => contentOf(type, message.subarray(0, message.byteLength / 2))],
    ["garbage", () => contentOf(type, Buffer.from([0xff, 0xff, 0xff]))],
    ["two messages", (message) => Buffer.concat([contentOf(type, message), contentOf(type, message)])],
    ["a length above the size", (message) => contentOf(type, message, { length: message.byteLength + 1 })],
    ["a length below the size", (message) => contentOf(type, message, { length: message.byteLength - 1 })],
    ["a length of 4 GiB", (message) => contentOf(type, message, { length: 2 ** 32 - 1 })],
    ["a compression flag", (message) => contentOf(type, message, { flag: 1 })],
    ["a trailer flag", (message) => contentOf(type, message, { flag: 0x80 })],
    ["an unknown flag", (message) => contentOf(type, message, { flag: 2 })],
    ["a body slightly above the limit", () => contentOf(type, Buffer.alloc(65_537, " "))],
    ["a body far above the limit", () => contentOf(type, Buffer.alloc(1_000_000, " "))],
    ["invalid base64", () => Buffer.from("AAAA!AAA")],
  ])("for the content: %s", async (_what, content) => {
    const [withDoor, without] = await saidByBoth(type, requestOf(type, GET, content(messageOf(type, GET))));
    // Each has its own message for malformed content.
    expect({ ...withDoor, message: "" }).toEqual({ ...without, message: "" });
    expect(withDoor.status).not.toBe(500);
  });

  test("for a compressed message", async () => {
    const content = contentOf(type, gzipSync(messageOf(type, GET)), { flag: 1 });
    const request = requestOf(type, { ...GET, headers: compressed("gzip") }, content);
    const [withDoor, without] = await saidByBoth(type, request);
    expect(withDoor).toEqual(without);
    expect(withDoor.code).toBe("OK");
  });
});

test.each([
  ["Application/JSON", "application/json"],
  ["application/json; charset=utf-8", "application/json"],
  ["application/json;charset=utf8", "application/json"],
  ["application/grpc+JSON", "application/grpc+json"],
  ["application/grpc-web-text+json;charset=UTF-8", "application/grpc-web-text+json"],
])("both doors give the same answer for the content type %j", async (type, like) => {
  const request = { ...requestOf(like, GET, contentOf(like, messageOf(like, GET))) };
  const [withDoor, without] = await saidByBoth(like, {
    ...request,
    headers: { ...request.headers, "content-type": type },
  });
  expect(withDoor).toEqual(without);
  expect(withDoor.code).toBe("OK");
});

describe.each(["with the unary door", "without the unary door"])("a server %s", (kind) => {
  const ask = (like: string, request: HttpRequest) =>
    saidBy(servers[kind.startsWith("without") ? 1 : 0] as ServerProcess, like, request);
  const refused = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" };

  test.each(TYPES.filter((type) => type.endsWith("json")))("refuses bytes that are not UTF-8 in %s", async (type) => {
    const content = contentOf(type, Buffer.from('{"id":"\xff"}', "latin1"));
    const status = type.includes("grpc") ? 200 : 400;
    expect(await ask(type, requestOf(type, GET, content))).toMatchObject({ ...refused, status });
  });

  test.each(TYPES.filter((type) => type.includes("grpc")))("refuses unknown flags in %s", async (type) => {
    for (const flag of [2, 3, 4, 0x7f, 0x80, 0xff]) {
      const content = contentOf(type, messageOf(type, GET), { flag });
      expect(await ask(type, requestOf(type, { ...GET, headers: compressed("gzip") }, content))).toMatchObject(refused);
    }
  });

  test.each([
    ["a user", "/userlock.v3alpha.UserService/GetUser", '{"id":"anna"}'],
    ["health", "/grpc.health.v1.Health/Check", "{}"],
  ])("knows only version 1 of Connect in a call for %s", async (_what, path, body) => {
    const said = async (version: string) => {
      const headers = {
        ...bearer(ADMIN_TOKEN),
        "content-type": "application/json",
        "connect-protocol-version": version,
      };
      const { code, status } = await ask("application/json", { path, headers, body });
      return { code, status };
    };
    expect(await said("1")).toEqual({ code: "OK", status: 200 });
    for (const version of ["2", "0", "v1", "1, 1"])
      expect(await said(version)).toEqual({ code: "INVALID_ARGUMENT", status: 400 });
  });

  test("knows only version 1 of Connect in a call by GET", async () => {
    const said = async (query: string) => {
      const path = `${pathOf(getUser)}?${query}encoding=json&message=${encodeURIComponent('{"id":"anna"}')}`;
      const { code, status } = await ask("application/json", { verb: "GET", path, headers: bearer(ADMIN_TOKEN) });
      return { code, status };
    };
    for (const query of ["", "connect=v1&"]) expect(await said(query)).toEqual({ code: "OK", status: 200 });
    for (const query of ["connect=v2&", "connect=1&", "connect=&"])
      expect(await said(query)).toEqual({ code: "INVALID_ARGUMENT", status: 400 });
  });
});
