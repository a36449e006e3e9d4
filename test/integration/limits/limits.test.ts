// Proves that sizes and counts have the limits of docs/limits.md, over every protocol.
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type Settings } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange, type HttpAnswer, type HttpRequest, openRaw } from "../../support/clients/http.ts";
import { WIRES, type Wire, type WireRequest } from "../../support/clients/wires.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_ID_LENGTH = 200;
const MAX_STREAMS = 256;
const MAX_ERROR_BYTES = 8 * 1024;

const GET = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

let server: ServerProcess;
let bystander: Bystander;
let doors: Door[] = [];

beforeAll(async () => {
  // Distinguishes the limit for a connection's streams from the limit for an address.
  server = await startServer({}, { openStreamsPerAddress: 2 * MAX_STREAMS });
  bystander = await bystanderOf(server.url);
  doors = openDoors(server.url);
});

afterAll(async () => {
  for (const door of doors) door.close();
  bystander?.close();
  await server?.stop();
});

/** Sends a request, and checks that another caller is served in the meantime. */
const send = (request: HttpRequest) => bystander.isServedDuring(() => exchange(server.url, request));

let users = 0;
/** A user whose message has this many bytes. */
function messageOf(wire: Wire, bytes: number): Buffer {
  const userId = `sized-${++users}`;
  const withNote = (length: number) => wire.encode({ userId, data: { note: "x".repeat(length) } });
  const excess = withNote(bytes).byteLength - bytes;
  const message = withNote(bytes - excess);
  expect(message.byteLength).toBe(bytes);
  return message;
}

/** gRPC always has 200. Connect has a status for each code, and plain HTTP has one for this reason. */
function statusOfTooLarge({ name, isFramed }: Wire): number {
  if (isFramed) return 200;
  return name === "REST" ? 413 : 429;
}

function inPieces(request: WireRequest): HttpRequest {
  async function* pieces() {
    for (let at = 0; at < request.body.length; at += 1_000) yield request.body.subarray(at, at + 1_000);
  }
  return { ...request, body: pieces() };
}

describe.each(WIRES)("over $name, a message", (wire) => {
  const tooLarge = { code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE", status: statusOfTooLarge(wire) };
  const served = { code: "OK" };
  const bomb = () => wire.encode({ userId: "bomb", data: { note: "x".repeat(20_000_000) } });

  test.each<[string, object, () => HttpRequest]>([
    ["of 64 KiB is served", served, () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES))],
    ["of 64 KiB in gzip is served", served, () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES), { gzip: true })],
    ["of a byte more is refused", tooLarge, () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES + 1))],
    [
      "of a byte more in gzip is refused",
      tooLarge,
      () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES + 1), { gzip: true }),
    ],
    ["of unknown length above the limit is refused", tooLarge, () => inPieces(wire.request(messageOf(wire, 200_000)))],
    ["that is a gzip bomb is refused", tooLarge, () => wire.request(bomb(), { gzip: true })],
  ])("%s", async (_what, expected, request) => {
    expect(wire.read(await send(request()))).toMatchObject(expected);
  });
});

describe("request headers", () => {
  const withHeader = (version: 1 | 2, bytes: number): HttpRequest => ({
    version,
    verb: "GET",
    path: "/healthz",
    headers: { "x-padding": "x".repeat(bytes) },
  });

  test.each([1, 2] as const)("of nearly 16 KiB are accepted over HTTP/%i", async (version) => {
    expect(await send(withHeader(version, MAX_HEADER_BYTES - 500))).toMatchObject({ status: 200 });
  });

  test("above 16 KiB are refused with 431 over HTTP/1.1", async () => {
    expect(await send(withHeader(1, MAX_HEADER_BYTES))).toMatchObject({ status: 431 });
  });

  test("above 16 KiB end their stream and not the connection over HTTP/2", async () => {
    const session = connect(server.url);
    try {
      const [settings] = (await once(session, "remoteSettings")) as [Settings];
      expect(settings.maxHeaderListSize).toBe(MAX_HEADER_BYTES);
      const get = (bytes: number) => session.request({ ":path": "/healthz", "x-padding": "x".repeat(bytes) });
      // The limit applies after the client has confirmed it.
      expect(await endOf(get(0))).toMatchObject({ status: 200 });
      expect(await bystander.isServedDuring(() => endOf(get(MAX_HEADER_BYTES)))).toMatchObject({
        reset: constants.NGHTTP2_ENHANCE_YOUR_CALM,
      });
      expect(await endOf(get(0))).toMatchObject({ status: 200 });
    } finally {
      session.destroy();
    }
  });
});

/** How a stream ended: with an answer or a reset code. */
async function endOf(stream: ClientHttp2Stream): Promise<{ status: number | undefined; reset: number | undefined }> {
  let status: number | undefined;
  stream.on("response", (head) => {
    status = head[":status"];
  });
  stream.on("error", () => {});
  stream.resume();
  if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve));
  return { status, reset: stream.rstCode };
}

test("a connection above the limit is closed at once, and earlier ones are served", async () => {
  const small = await startServer({}, { connections: 2 });
  const [first, second] = [await openRaw(small.url), await openRaw(small.url)];
  try {
    const third = await openRaw(small.url);
    third.write(GET);
    expect((await third.closed()).toString()).toBe("");
    for (const { socket, write, received } of [first, second]) {
      write(GET);
      await once(socket, "data");
      expect(received().toString()).toMatch(/^HTTP\/1\.1 200 /);
    }
  } finally {
    first.socket.destroy();
    second.socket.destroy();
    await small.stop();
  }
});

describe("connections from one address", () => {
  const isServed = async (url: string, from: string) => {
    const connection = await openRaw(url, from);
    connection.write(GET);
    await new Promise<unknown>((resolve) => {
      connection.socket.once("data", resolve).once("close", resolve);
    });
    return { connection, served: connection.received().toString().startsWith("HTTP/1.1 200 ") };
  };
  const servedOf = async (limit: string, addresses: string[]) => {
    const small = await startServer({ USERLOCK_CONNECTIONS_PER_ADDRESS: limit });
    const opened: Awaited<ReturnType<typeof isServed>>[] = [];
    try {
      for (const address of addresses) opened.push(await isServed(small.url, address));
      opened[0]!.connection.socket.destroy();
      await sleep(100);
      opened.push(await isServed(small.url, addresses[0]!));
      return opened.map(({ served }) => served);
    } finally {
      for (const { connection } of opened) connection.socket.destroy();
      await small.stop();
    }
  };
  const [one, other] = ["127.0.0.1", "127.0.0.2"];

  test("are limited separately for each address, and a closed connection frees its place", async () => {
    expect(await servedOf("2", [one, one, one, other])).toEqual([true, true, false, true, true]);
  });

  test("are not limited if the setting is 0", async () => {
    expect(await servedOf("0", [one, one, one, other])).toEqual([true, true, true, true, true]);
  });
});

describe("streams of one HTTP/2 connection", () => {
  /** Opens a stream that stays open until the client leaves. */
  const watch = (session: ClientHttp2Session) => {
    const head = { ":method": "POST", ":path": "/grpc.health.v1.Health/Watch", "content-type": "application/grpc" };
    const stream = session.request(head);
    stream.end(Buffer.alloc(5));
    return stream;
  };

  test("are limited to 256 as in SETTINGS, and one more is refused without closing the connection", async () => {
    // This client opens them before it receives the limit.
    const session = connect(server.url, { peerMaxConcurrentStreams: MAX_STREAMS + 1 });
    try {
      const settings = once(session, "remoteSettings") as Promise<[Settings]>;
      const streams = Array.from({ length: MAX_STREAMS }, () => watch(session));
      const opened = Promise.all(streams.map((stream) => once(stream, "response")));
      const oneMore = watch(session);
      expect((await settings)[0].maxConcurrentStreams).toBe(MAX_STREAMS);
      expect(await bystander.isServedDuring(() => endOf(oneMore))).toMatchObject({
        reset: constants.NGHTTP2_REFUSED_STREAM,
      });
      expect((await opened).map(([head]) => head[":status"])).toEqual(streams.map(() => 200));

      const ended = endOf(streams[0]!);
      streams[0]!.close(constants.NGHTTP2_CANCEL);
      await ended;
      // The server notices a moment later.
      await sleep(100);
      expect(await endOf(session.request({ ":path": "/healthz" }))).toEqual({ status: 200, reset: 0 });
    } finally {
      session.destroy();
    }
  });
});

describe("an id", () => {
  const { createUser, lockUser, removeUsername } = UserService.method;
  const { createToken, revokeToken } = AccessService.method;
  const longest = "x".repeat(MAX_ID_LENGTH);
  const tooLong = `${longest}x`;
  const asOwner = { token: ADMIN_TOKEN };

  test("of 200 characters is accepted over every protocol", async () => {
    for (const door of doors) {
      expect(await door.call(lockUser, { id: longest }, asOwner)).toMatchObject({ reason: "USER_NOT_FOUND" });
    }
    expect(doors.length).toBeGreaterThan(5);
  });

  test("of 201 characters is refused over every protocol", async () => {
    for (const door of doors) {
      expect(await door.call(lockUser, { id: tooLong }, asOwner)).toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "INVALID_REQUEST",
        badRequest: { fieldViolations: [{ field: "id" }] },
      });
    }
  });

  test.each<[string, DescMethodUnary, (id: string) => Record<string, unknown>]>([
    ["user.user_id", createUser, (userId) => ({ user: { userId } })],
    ["user.schema_id", createUser, (schemaId) => ({ user: { schemaId } })],
    [
      "organization.org_id",
      createUser,
      (value) => ({ user: {}, organization: { property: { case: "orgId", value } } }),
    ],
    ["instance.id", lockUser, (value) => ({ id: "x", instance: { property: { case: "id", value } } })],
    ["username_id", removeUsername, (usernameId) => ({ id: "x", usernameId })],
    ["token_id", revokeToken, (tokenId) => ({ tokenId })],
    [
      "grants[0].organization_id",
      createToken,
      (organizationId) => ({ subject: "x", grants: [{ role: 3, organizationId }] }),
    ],
  ])("in the field %s is refused with 201 characters and accepted with 200", async (field, method, requestOf) => {
    const fieldsOf = async (id: string) => {
      const { badRequest } = await doors[0]!.call(method, requestOf(id), asOwner);
      return badRequest?.fieldViolations.map((violation) => violation.field) ?? [];
    };
    expect(await fieldsOf(tooLong)).toContain(field);
    expect(await fieldsOf(longest)).toEqual([]);
  });
});

describe("an error answer", () => {
  /** The size of headers that every client must accept, in bytes. */
  const bytesOf = ({ headers, trailers, body }: HttpAnswer) =>
    [...headers, ...trailers].reduce((sum, [name, value]) => sum + name.length + value.length, body.byteLength);
  const invalid = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" };
  const grpc = WIRES.find(({ name }) => name === "gRPC") as Wire;

  test.each(WIRES)("for 20,000 invalid fields has less than 8 KiB of details over $name", async (wire) => {
    const usernames = Array.from({ length: 20_000 }, () => ({}));
    const answer = await send(wire.request(wire.encode({ authenticators: { usernames } })));
    const { detailBytes, ...outcome } = wire.read(answer);
    expect(outcome).toMatchObject(invalid);
    expect(detailBytes).toBeGreaterThan(MAX_ERROR_BYTES / 4);
    expect(detailBytes).toBeLessThan(MAX_ERROR_BYTES);
  });

  const notFound = { code: "NOT_FOUND", reason: "SERVICE_NOT_FOUND" };
  test.each<[string, string, object]>([
    ["has 60,000 characters", "x".repeat(60_000), notFound],
    ["is half a surrogate pair", "\ud83d", invalid],
    ["has a surrogate pair at the cut", "😀".repeat(300), notFound],
    ["has a surrogate pair across the cut", `x${"😀".repeat(300)}`, notFound],
  ])("that quotes a name that %s has less than 8 KiB over gRPC", async (_what, service, expected) => {
    const request = grpc.request(Buffer.from(JSON.stringify({ service })));
    const headers = { "content-type": "application/grpc+json" };
    const answer = await send({ ...request, path: "/grpc.health.v1.Health/Check", headers });
    expect(grpc.read(answer)).toMatchObject(expected);
    expect(bytesOf(answer)).toBeLessThan(MAX_ERROR_BYTES);
  });

  test.each([
    ["grpc-timeout", invalid],
    ["grpc-encoding", { code: "UNIMPLEMENTED", reason: "NOT_SERVED" }],
  ])("that quotes a %s of 12,000 characters has less than 8 KiB over gRPC", async (name, expected) => {
    const request = grpc.request(grpc.encode({}));
    const answer = await send({ ...request, headers: { ...request.headers, [name]: "x".repeat(12_000) } });
    expect(grpc.read(answer)).toMatchObject(expected);
    expect(bytesOf(answer)).toBeLessThan(MAX_ERROR_BYTES);
  });

  test("does not break the next call of @grpc/grpc-js on the same connection", async () => {
    const door = doors.find(({ name }) => name.startsWith("gRPC,"))!;
    const { createUser, searchUsers } = UserService.method;
    const usernames = Array.from({ length: 20_000 }, () => ({}));
    const answer = await door.call(createUser, { user: { authenticators: { usernames } } }, { token: ADMIN_TOKEN });
    expect(answer).toMatchObject(invalid);
    expect(answer.badRequest?.fieldViolations.length).toBeGreaterThan(10);
    expect(await door.call(searchUsers, {}, { token: ADMIN_TOKEN })).toMatchObject({ code: "OK" });
  });
});
