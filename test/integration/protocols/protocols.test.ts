// Proves that one port serves all protocols, with and without TLS.
import { connect as connectTls } from "node:tls";
import { gunzipSync } from "node:zlib";
import { create, fromBinary, fromJsonString, toBinary } from "@bufbuild/protobuf";
import { GetUserRequestSchema, GetUserResponseSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { exchange, type HttpAnswer, type HttpRequest } from "../../support/clients/http.ts";
import { fromBase64Pieces, WIRES, type Wire } from "../../support/clients/wires.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { usersOf } from "../../support/users.ts";

let server: ServerProcess;
/** The id of a user with enough data to be compressed. */
let id: string;
const NOTE = "compressible ".repeat(500);

beforeAll(async () => {
  server = await startServer();
  id = await usersOf(server.url).add({ note: NOTE });
});

afterAll(async () => {
  await server?.stop();
});

const AUTH = { authorization: `Bearer ${ADMIN_TOKEN}` };
const USER_SERVICE = "/userlock.v3alpha.UserService";
const ZITADEL_USERS = "/zitadel.resources.user.v3alpha.ZITADELUsers";
const isRest = (wire: Wire) => wire.name === "REST";

function getUser(wire: Wire, headers: Record<string, string> = {}): HttpRequest {
  if (isRest(wire)) return { verb: "GET", path: `/resources/v3alpha/users/${id}`, headers: { ...AUTH, ...headers } };
  const json = Buffer.from(JSON.stringify({ id }));
  const proto = toBinary(GetUserRequestSchema, create(GetUserRequestSchema, { id }));
  const request = wire.request(wire.format === "json" ? json : proto);
  return { ...request, path: `${USER_SERVICE}/GetUser`, headers: { ...request.headers, ...headers } };
}

describe.each(WIRES)("gzip over $name", (wire) => {
  const accept = wire.isFramed ? "grpc-accept-encoding" : "accept-encoding";
  const encoding = wire.isFramed ? "grpc-encoding" : "content-encoding";

  /** The bytes of the answer's message and whether they are compressed. */
  function messageOf({ headers, body }: HttpAnswer): { bytes: Buffer; isGzip: boolean } {
    if (!wire.isFramed) return { bytes: body, isGzip: headers.has(encoding) };
    const frames = wire.name === "gRPC-Web text" ? fromBase64Pieces(body.toString()) : body;
    return { bytes: frames.subarray(5, 5 + frames.readUInt32BE(1)), isGzip: frames[0] === 1 };
  }

  function noteIn(bytes: Buffer): unknown {
    const response =
      wire.format === "json"
        ? fromJsonString(GetUserResponseSchema, bytes.toString())
        : fromBinary(GetUserResponseSchema, bytes);
    return response.user?.data?.note;
  }

  test.each(["gzip", "br, gzip", "identity, gzip"])("is used for a client that accepts '%s'", async (value) => {
    const answer = await exchange(server.url, getUser(wire, { [accept]: value }));
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
    expect(answer.headers.get(encoding)).toBe("gzip");
    const { bytes, isGzip } = messageOf(answer);
    expect(isGzip).toBe(true);
    expect(noteIn(gunzipSync(bytes))).toBe(NOTE);
  });

  test.each<[string, Record<string, string>]>([
    ["sends no header", {}],
    ["accepts other encodings only", { [accept]: "br, deflate" }],
    ["accepts no encoding", { [accept]: "identity" }],
  ])("is not used for a client that %s", async (_what, headers) => {
    const answer = await exchange(server.url, getUser(wire, headers));
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
    expect(answer.headers.get(encoding) ?? "identity").toBe("identity");
    const { bytes, isGzip } = messageOf(answer);
    expect(isGzip).toBe(false);
    expect(noteIn(bytes)).toBe(NOTE);
  });

  test("is read from a client that compresses", async () => {
    const answer = await exchange(server.url, wire.request(wire.encode({}), { gzip: true }));
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
  });
});

test("gzip with a quality of 0 is not used", async () => {
  const answer = await exchange(server.url, getUser(WIRES[0] as Wire, { "accept-encoding": "gzip;q=0, *;q=0" }));
  expect(answer.headers.has("content-encoding")).toBe(false);
});

describe.each([USER_SERVICE, ZITADEL_USERS])("Connect GET on %s", (service) => {
  const get = (method: string, query: Record<string, string>) =>
    exchange(server.url, {
      verb: "GET",
      path: `${service}/${method}?${new URLSearchParams({ connect: "v1", ...query })}`,
      headers: AUTH,
    });

  test("reads a user in JSON", async () => {
    const answer = await get("GetUser", { encoding: "json", message: JSON.stringify({ id }) });
    expect(answer.status).toBe(200);
    expect(fromJsonString(GetUserResponseSchema, answer.body.toString()).user?.details?.id).toBe(id);
  });

  test("reads a user in base64 of Protobuf", async () => {
    const bytes = toBinary(GetUserRequestSchema, create(GetUserRequestSchema, { id }));
    const message = Buffer.from(bytes).toString("base64url");
    const answer = await get("GetUser", { encoding: "proto", base64: "1", message });
    expect(answer.headers.get("content-type")).toBe("application/proto");
    expect(fromBinary(GetUserResponseSchema, answer.body).user?.details?.id).toBe(id);
  });

  test("searches users", async () => {
    const filters = [{ userIdFilter: { id } }];
    const answer = await get("SearchUsers", { encoding: "json", message: JSON.stringify({ filters }) });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ details: { totalResult: "1" } });
  });

  test.each([
    ["a missing message", {}],
    ["an invalid message", { message: "{" }],
    ["invalid base64", { message: "!", base64: "1" }],
  ])("refuses %s", async (_what, query) => {
    const answer = await get("GetUser", { encoding: "json", ...query });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: "invalid_argument" });
  });

  test.each(["LockUser", "CreateUser", "DeleteUser"])(
    "refuses %s, which changes something, with 405",
    async (method) => {
      const answer = await get(method, { encoding: "json", message: JSON.stringify({ id }) });
      expect({ status: answer.status, allow: answer.headers.get("allow") }).toEqual({ status: 405, allow: "POST" });
      expect(answer.body.length).toBe(0);
      const { user } = JSON.parse((await exchange(server.url, getUser(WIRES[0] as Wire))).body.toString());
      expect(user.state).toBe("USER_STATE_ACTIVE");
    },
  );
});

test.each([1, 2] as const)("the cleartext port serves HTTP/%i", async (version) => {
  const answer = await exchange(server.url, { version, verb: "GET", path: "/healthz" });
  expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status: 200, body: "ok\n" });
});

describe("the TLS port", () => {
  const folder = temporaryFolder();
  let secure: ServerProcess;
  let ca: Buffer;

  beforeAll(async () => {
    const { cert, settings } = await makeCertificate(folder);
    ca = cert;
    secure = await startServer(settings);
  });

  afterAll(async () => {
    await secure?.stop();
    folder.remove();
  });

  /** The protocol that client and server negotiate by ALPN. */
  const agree = (ALPNProtocols: string[] | undefined) =>
    new Promise<string | false | null>((resolve, reject) => {
      const port = Number(new URL(secure.url).port);
      const socket = connectTls({ port, ca, ...(ALPNProtocols && { ALPNProtocols }) }, () => {
        resolve(socket.alpnProtocol);
        socket.destroy();
      });
      socket.on("error", reject);
    });

  test.each<[string[] | undefined, string | false]>([
    [["h2", "http/1.1"], "h2"],
    [["http/1.1", "h2"], "h2"],
    [["h2"], "h2"],
    [["http/1.1"], "http/1.1"],
    [undefined, false],
  ])("negotiates for the protocols %j the protocol %j", async (offered, expected) => {
    expect(await agree(offered)).toBe(expected);
  });

  test("refuses a client without a common protocol", async () => {
    await expect(agree(["spdy/3"])).rejects.toMatchObject({ code: expect.stringContaining("NO_APPLICATION_PROTOCOL") });
  });

  test.each([1, 2] as const)("serves HTTP/%i", async (version) => {
    expect(secure.url).toMatch(/^https:/);
    const answer = await exchange(secure.url, { version, verb: "GET", path: "/healthz", ca });
    expect(answer.body.toString()).toBe("ok\n");
  });

  test.each(WIRES)("serves $name", async (wire) => {
    const answer = await exchange(secure.url, { ...wire.request(wire.encode({})), ca });
    expect(wire.read(answer)).toMatchObject({ code: "OK" });
  });

  test("tells an HTTP/1.1 client its keep-alive time", async () => {
    const answer = await exchange(secure.url, {
      verb: "GET",
      path: "/healthz",
      headers: { connection: "keep-alive" },
      ca,
    });
    expect(answer.headers.get("keep-alive")).toBe("timeout=75");
  });

  test("survives a client that does not trust the certificate", async () => {
    const untrusting = exchange(secure.url, { verb: "GET", path: "/healthz", ca: Buffer.alloc(0) });
    await expect(untrusting).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const cleartext = exchange(secure.url.replace("https", "http"), { verb: "GET", path: "/healthz" });
    await expect(cleartext).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(await exchange(secure.url, { verb: "GET", path: "/healthz", ca })).toMatchObject({ status: 200 });
  });
});
