// Proves that compressed requests are read, and that answers are compressed as clients ask.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { reasonOfConnectError } from "../../support/clients/error-info.ts";
import { exchange, type HttpAnswer } from "../../support/clients/http.ts";
import { readGrpc, readGrpcWeb, WIRES, type Wire } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { usersOf } from "../../support/users.ts";

let server: ServerProcess;
let id: string;

beforeAll(async () => {
  server = await startServer();
  id = await usersOf(server.url).add({ note: "compressible ".repeat(500) });
});

afterAll(async () => {
  await server?.stop();
});

/** A framed protocol: its content type, its encoding headers, and how to read its answers. */
interface Framed {
  type: string;
  version: 1 | 2;
  read(answer: HttpAnswer): { code: string; reason: string | undefined };
  encoding: string;
  accepted: string;
}

const grpcHeaders = { encoding: "grpc-encoding", accepted: "grpc-accept-encoding" };
const GRPC: Framed = { type: "application/grpc", version: 2, read: readGrpc, ...grpcHeaders };
const GRPC_WEB: Framed = { type: "application/grpc-web+proto", version: 1, read: readGrpcWeb, ...grpcHeaders };
const GRPC_WEB_TEXT: Framed = { ...GRPC_WEB, type: "application/grpc-web-text+proto" };
const CONNECT_STREAM: Framed = {
  type: "application/connect+proto",
  version: 1,
  read: readEndOfStream,
  encoding: "connect-content-encoding",
  accepted: "connect-accept-encoding",
};

/** The error in the last frame of a Connect stream. */
function readEndOfStream({ body }: HttpAnswer): { code: string; reason: string | undefined } {
  let rest = body;
  let end: { error?: { code: string; details?: { type: string; value: string }[] } } = {};
  while (rest.length > 0) {
    const length = rest.readUInt32BE(1);
    if (rest[0] === 2) end = JSON.parse(rest.subarray(5, 5 + length).toString());
    rest = rest.subarray(5 + length);
  }
  return { code: end.error?.code.toUpperCase() ?? "OK", reason: end.error && reasonOfConnectError(end.error) };
}

const { getUser } = UserService.method;
const { watchEvents } = EventService.method;
const { serverReflectionInfo } = ServerReflection.method;

const CALLS: [what: string, method: DescMethod, protocols: Framed[]][] = [
  ["a unary call", getUser, [GRPC, GRPC_WEB, GRPC_WEB_TEXT]],
  ["an open unary call", Health.method.check, [GRPC, GRPC_WEB, GRPC_WEB_TEXT]],
  ["a server stream", watchEvents, [GRPC, GRPC_WEB, GRPC_WEB_TEXT, CONNECT_STREAM]],
  ["a bidirectional stream", serverReflectionInfo, [GRPC]],
];

function frame(flag: number, message: Uint8Array): Buffer {
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

/** Sends a message in a frame with this flag. */
function send({ type, version }: Framed, method: DescMethod, flag: number, headers: Record<string, string> = {}) {
  const request = method === getUser ? create(getUser.input, { id }) : create(method.input);
  const bytes = frame(flag, toBinary(method.input, request));
  return exchange(server.url, {
    version,
    path: `/${method.parent.typeName}/${method.name}`,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": type, ...headers },
    body: type.includes("-text") ? Buffer.from(bytes.toString("base64")) : bytes,
  });
}

const EACH = CALLS.flatMap(([what, method, protocols]) =>
  protocols.map((protocol) => ({ what, type: protocol.type, method, protocol })),
);

describe.each(EACH)("$what over $type", ({ method, protocol }) => {
  test.each(["none", "identity", ""])(
    "answers INTERNAL to a compressed message with the encoding '%s'",
    async (coding) => {
      const answer = await send(protocol, method, 1, coding === "none" ? {} : { [protocol.encoding]: coding });
      expect(protocol.read(answer)).toMatchObject({ code: "INTERNAL", reason: "ENCODING_MISSING" });
    },
  );

  test.each([2, 3, 4, 0x80, 0xff])("answers INVALID_ARGUMENT to the flag %i", async (flag) => {
    const answer = await send(protocol, method, flag, { [protocol.encoding]: "gzip" });
    expect(protocol.read(answer)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });

  test("answers UNIMPLEMENTED to an unknown encoding, and names the known ones", async () => {
    const answer = await send(protocol, method, 1, { [protocol.encoding]: "br" });
    expect(protocol.read(answer)).toMatchObject({ code: "UNIMPLEMENTED", reason: "NOT_SERVED" });
    expect(answer.headers.get(protocol.accepted)).toBe("gzip");
  });
});

test("a compressed message without an encoding is not logged as a server error", () => {
  expect(server.stderr()).not.toContain('"level":"error"');
});

/** Calls GetUser over a wire, with these headers. */
function getUserOver(wire: Wire, headers: Record<string, string>) {
  const auth = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const path = wire.name === "REST" ? `/resources/v3alpha/users/${id}` : `/${getUser.parent.typeName}/GetUser`;
  if (wire.name === "REST") return exchange(server.url, { verb: "GET", path, headers: { ...auth, ...headers } });
  const message =
    wire.format === "json"
      ? Buffer.from(JSON.stringify({ id }))
      : toBinary(getUser.input, create(getUser.input, { id }));
  const request = wire.request(message);
  return exchange(server.url, { ...request, path, headers: { ...request.headers, ...headers } });
}

describe.each(WIRES)("a server over $name", (wire) => {
  const [encoding, accepted] = wire.isFramed
    ? ["grpc-encoding", "grpc-accept-encoding"]
    : ["content-encoding", "accept-encoding"];

  test.each(["gzip", "GZIP", "GZip", "x-gzip", "X-Gzip"])("reads a message in the encoding %s", async (coding) => {
    const request = wire.request(wire.encode({}), { gzip: true });
    const answer = await exchange(server.url, { ...request, headers: { ...request.headers, [encoding]: coding } });
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
  });

  test("refuses an unknown encoding and names the known one", async () => {
    const request = wire.request(wire.encode({}), { gzip: true });
    const answer = await exchange(server.url, { ...request, headers: { ...request.headers, [encoding]: "br" } });
    const isRest = wire.name === "REST";
    expect(wire.read(answer)).toMatchObject(
      isRest ? { code: "INVALID_ARGUMENT", status: 415 } : { code: "UNIMPLEMENTED", reason: "NOT_SERVED" },
    );
    expect(answer.headers.get(accepted)).toBe("gzip");
  });

  test.each<[string, boolean]>([
    ["gzip", true],
    ["GZIP", true],
    ["x-gzip", true],
    ["br, X-GZIP", true],
    ["gzip;q=0.5", true],
    ["gzip ; Q=1.000", true],
    ["*", true],
    ["identity;q=0.5, gzip;q=0.8", true],
    ["identity;q=0, *;q=0.1", true],
    ["identity, gzip", true],
    ["gzip;q=0", false],
    ["gzip;q=0.000", false],
    ["x-gzip;q=0, *", false],
    ["*;q=0", false],
    ["identity, gzip;q=0.5", false],
    ["gzip;q=2", false],
    ["gzip;q=", false],
    ["gzipped", false],
    ["", false],
  ])("compresses for a client that accepts '%s': %s", async (value, isGzip) => {
    const answer = await getUserOver(wire, { [accepted]: value });
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
    expect(answer.headers.get(encoding)).toBe(isGzip ? "gzip" : null);
  });
});

test("a Connect stream is read and written in gzip in any spelling of the encoding", async () => {
  const answer = await exchange(server.url, {
    path: `/${watchEvents.parent.typeName}/${watchEvents.name}`,
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      "content-type": "application/connect+proto",
      "connect-content-encoding": "X-GZip",
      "connect-accept-encoding": "br, GZIP",
      "connect-timeout-ms": "300",
    },
    body: frame(1, gzipSync(toBinary(watchEvents.input, create(watchEvents.input)))),
  });
  expect(answer.headers.get("connect-content-encoding")).toBe("gzip");
  expect(readEndOfStream(answer)).toMatchObject({ code: "DEADLINE_EXCEEDED" });
});

test("a Connect stream in JSON is answered in JSON in any spelling of the content type", async () => {
  const authorization = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const headers = { ...authorization, "connect-timeout-ms": "1000" };
  const users = { path: "/resources/v3alpha/users", headers: { ...authorization, "content-type": "application/json" } };
  const path = `/${watchEvents.parent.typeName}/${watchEvents.name}`;
  for (const type of ["application/connect+json", "application/connect+JSON"]) {
    const request = { path, headers: { ...headers, "content-type": type }, body: frame(0, Buffer.from("{}")) };
    const answer = exchange(server.url, request);
    await sleep(300);
    expect((await exchange(server.url, { ...users, body: JSON.stringify({ userId: randomUUID() }) })).status).toBe(201);
    const { body } = await answer;
    const messages: unknown[] = [];
    for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) {
      messages.push(JSON.parse(body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1)).toString()));
    }
    expect(messages.at(-1)).toMatchObject({ error: { code: "deadline_exceeded" } });
    expect(messages.length).toBeGreaterThan(1);
  }
});

test.each(["gzip", "GZIP", "x-gzip"])("the message of a Connect GET can be compressed by %s", async (coding) => {
  const message = gzipSync(JSON.stringify({ id: "nobody" })).toString("base64url");
  const path = `/${getUser.parent.typeName}/${getUser.name}?connect=v1&encoding=json&base64=1&compression=${coding}`;
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const answer = await exchange(server.url, { verb: "GET", path: `${path}&message=${message}`, headers });
  expect(answer.status).toBe(404);
});
