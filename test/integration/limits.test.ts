import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { credentials, Client as GrpcClient, Metadata, type ServiceError } from "@grpc/grpc-js";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Bystander, bystanderOf } from "../support/bystander.ts";
import { type Door, openDoors } from "../support/doors.ts";
import { exchange, type HttpRequest } from "../support/http.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/server-process.ts";
import { WIRES, type Wire } from "../support/wires.ts";

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_ID_LENGTH = 200;
const MAX_STREAMS = 256;
const MAX_DETAIL_BYTES = 8 * 1024;
const MAX_DATA_DEPTH = 32;

let server: ServerProcess;
let bystander: Bystander;

beforeAll(async () => {
  server = await startServer();
  bystander = await bystanderOf(server.url);
});

afterAll(async () => {
  bystander?.close();
  await server?.stop();
});

const tell = async (wire: Wire, request: HttpRequest) => wire.read(await exchange(server.url, request));

let users = 0;
/** A user whose message has this many bytes. */
function messageOf(wire: Wire, bytes: number): Buffer {
  const userId = `sized-${++users}`;
  const withNote = (length: number) => wire.encode({ userId, data: { note: "x".repeat(length) } });
  const most = withNote(bytes);
  const message = withNote(bytes - (most.byteLength - bytes));
  expect(message.byteLength).toBe(bytes);
  return message;
}

async function* inPieces(body: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += 1_000) yield body.subarray(at, at + 1_000);
}

describe.each(WIRES)("a message over $name", (wire) => {
  const tooLarge = { code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE", status: wire.isFramed ? 200 : 429 };
  const bomb = () => wire.encode({ userId: "bomb", data: { note: "x".repeat(20_000_000) } });

  test.each<[string, string, () => HttpRequest]>([
    ["of 64 KiB is served", "OK", () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES))],
    ["of 64 KiB, gzipped, is served", "OK", () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES), { gzip: true })],
    ["of a byte more is refused", "", () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES + 1))],
    [
      "of a byte more, gzipped, is refused",
      "",
      () => wire.request(messageOf(wire, MAX_MESSAGE_BYTES + 1), { gzip: true }),
    ],
    ["that says nothing of its length is refused", "", () => inChunks(wire.request(messageOf(wire, 200_000)))],
    ["that is a gzip bomb is refused", "", () => wire.request(bomb(), { gzip: true })],
  ])("%s", async (_what, code, makeRequest) => {
    const request = makeRequest();
    const outcome = await bystander.isServedDuring(() => tell(wire, request));
    expect(outcome).toMatchObject(code === "OK" ? { code } : tooLarge);
  });

  function inChunks(request: { body: Buffer } & HttpRequest): HttpRequest {
    return { ...request, body: inPieces(request.body) };
  }
});
