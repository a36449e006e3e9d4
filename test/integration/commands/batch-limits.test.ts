// Proves that batches are limited and do not delay other calls.
import { gunzipSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { BatchLockUsersRequestSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { exchange } from "../../support/clients/http.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const LIMIT = 4 * 1024 * 1024;
const { batchLockUsers, batchUnlockUsers, lockUser } = UserService.method;

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

const authorization = `Bearer ${ADMIN_TOKEN}`;
const rpcPath = ({ parent, name }: { parent: { typeName: string }; name: string }) => `/${parent.typeName}/${name}`;

/** Keeps the connection. A client that asks to close it could lose the answer while it still sends. */
const KEPT = { connection: "keep-alive" };

/** JSON that is padded to this size with white space. */
const padded = (json: object, bytes: number) => Buffer.from(JSON.stringify(json).padEnd(bytes));
const framed = (message: Uint8Array) => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
};

/** Sends a body while another caller is served. Resolves with the status and body of the answer. */
async function send(path: string, body: Buffer, headers: Record<string, string> = {}, version: 1 | 2 = 1) {
  const request = {
    version,
    path,
    headers: { ...(version === 1 && KEPT), authorization, "content-type": "application/json", ...headers },
    body,
  };
  const answer = await bystander.isServedDuring(() => exchange(server.url, request));
  return { status: answer.status, text: answer.body.toString(), trailers: answer.trailers };
}

const ROUTES = [
  ["REST", "/resources/v3alpha/users/_batch_lock", "/resources/v3alpha/users/x/_lock"],
  ["REST", "/resources/v3alpha/users/_batch_unlock", "/resources/v3alpha/users/x/_unlock"],
  ["Connect", rpcPath(batchLockUsers), rpcPath(lockUser)],
  ["Connect", rpcPath(batchUnlockUsers), rpcPath(lockUser)],
] as const;

test.each(ROUTES)("over %s, %s accepts at most 4 MiB, and %s at most 64 KiB", async (door, batch, single) => {
  // Plain HTTP has a status for this. Connect has one for each code.
  const status = door === "REST" ? 413 : 429;
  expect(await send(batch, padded({ ids: ["nobody"] }, LIMIT))).toMatchObject({ status: 200 });
  const over = await send(batch, padded({ ids: ["nobody"] }, LIMIT + 1));
  expect(over).toMatchObject({ status, text: expect.stringContaining(`${LIMIT} bytes`) });
  expect(await send(batch, padded({ ids: ["nobody"] }, 5 * 1024 * 1024))).toMatchObject({ status });
  const singleOver = await send(single, padded({}, 64 * 1024 + 1));
  expect(singleOver).toMatchObject({ status, text: expect.stringContaining("65536 bytes") });
});

test("over gRPC, a batch accepts at most 4 MiB", async () => {
  const grpc = async (bytes: number) => {
    const idBytes = 202;
    const ids = Array.from({ length: Math.floor(bytes / idBytes) }, (_, n) => String(n).padStart(199, "0"));
    const message = toBinary(BatchLockUsersRequestSchema, create(BatchLockUsersRequestSchema, { ids }));
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const { trailers } = await send(rpcPath(batchLockUsers), framed(message), headers, 2);
    return trailers.get("grpc-status");
  };
  expect(await grpc(2_000_000)).toBe("0");
  // Too many ids for a call, but not too many bytes.
  expect(await grpc(4_100_000)).toBe("3");
  expect(await grpc(5 * 1024 * 1024)).toBe("8");
});

test("over gRPC-Web text, a batch accepts at most 4 MiB", async () => {
  const web = async (bytes: number) => {
    const body = Buffer.from(framed(padded({ ids: ["nobody"] }, bytes)).toString("base64"));
    const headers = { "content-type": "application/grpc-web-text+json" };
    const { text } = await send(rpcPath(batchLockUsers), body, headers);
    // The message and the trailers may each have padding.
    const pieces = [...text.matchAll(/[^=]+=*/g)].map(([piece]) => Buffer.from(piece, "base64"));
    return Buffer.concat(pieces).toString();
  };
  expect(await web(LIMIT)).toContain("grpc-status: 0");
  for (const bytes of [LIMIT + 1, 9 * 1024 * 1024]) {
    const answer = await web(bytes);
    expect(answer).toContain("grpc-status: 8");
    expect(answer).toContain(`${LIMIT}%20bytes`);
  }
});

test("an unauthenticated batch is refused before its body is read", async () => {
  async function* endless() {
    yield Buffer.from("{");
    await new Promise(() => {});
  }
  for (const [, path] of ROUTES) {
    const headers = { "content-type": "application/json", authorization: "Bearer nobody-knows-this-token" };
    const { status } = await exchange(server.url, { path, headers, body: endless() });
    expect(status).toBe(401);
  }
});

test.each([
  ["ids", { ids: Array.from({ length: 1_000_000 }, () => "") }],
  ["filters", { filters: Array.from({ length: 150_000 }, () => ({ userIdFilter: {} })) }],
  [
    "nested filters",
    { filters: [{ orFilter: { queries: Array.from({ length: 150_000 }, () => ({ userIdFilter: {} })) } }] },
  ],
])("hundreds of thousands of %s in 4 MiB are refused before each is checked", async (_what, request) => {
  const body = padded(request, 0);
  if (body.byteLength > LIMIT)
    throw new Error("the body exceeds the size limit, so the test would not reach the limit of values");
  const started = performance.now();
  const { status, text } = await send(rpcPath(batchLockUsers), body);
  expect(status).toBe(400);
  expect(text).toMatch(/\b20000\b/);
  expect(performance.now() - started).toBeLessThan(5_000);
});

describe("a few compressed kilobytes with millions of values", () => {
  const ofJson = gzipSync(`{"filters":[${"{},".repeat(1_000_000)}{}]}`.slice(0, LIMIT / 2 - 1));
  const small = gzipSync(`{"filters":[${"{},".repeat(600_000)}{}]}`);
  // A list of empty filters, two bytes each.
  const { number } = BatchLockUsersRequestSchema.fields.find(({ name }) => name === "filters")!;
  const ofProto = Buffer.alloc(LIMIT, Buffer.from([(number << 3) | 2, 0]));
  const compressedFrame = (message: Uint8Array) => {
    const frame = framed(gzipSync(message));
    frame[0] = 1;
    return frame;
  };
  const gzip = { "content-encoding": "gzip" };
  const grpcGzip = { te: "trailers", "grpc-encoding": "gzip" };

  test.each<[string, string, Buffer, Record<string, string>, 1 | 2]>([
    ["REST", "/resources/v3alpha/users/_batch_lock", small, gzip, 1],
    ["Connect in JSON", rpcPath(batchLockUsers), small, gzip, 1],
    ["Connect in JSON, truncated", rpcPath(batchLockUsers), ofJson, gzip, 1],
    [
      "Connect in Protobuf",
      rpcPath(batchLockUsers),
      gzipSync(ofProto),
      { ...gzip, "content-type": "application/proto" },
      1,
    ],
    ["Connect in Protobuf, uncompressed", rpcPath(batchLockUsers), ofProto, { "content-type": "application/proto" }, 1],
    [
      "gRPC in JSON",
      rpcPath(batchLockUsers),
      compressedFrame(gunzipSync(small)),
      { ...grpcGzip, "content-type": "application/grpc+json" },
      2,
    ],
    [
      "gRPC in Protobuf",
      rpcPath(batchLockUsers),
      compressedFrame(ofProto),
      { ...grpcGzip, "content-type": "application/grpc" },
      2,
    ],
  ])("are refused before they are decoded over %s", async (_door, path, body, headers, version) => {
    const { status, text, trailers } = await send(path, body, headers, version);
    expect(version === 1 ? status : trailers.get("grpc-status")).toBe(version === 1 ? 400 : "3");
    expect(version === 1 ? text : trailers.get("grpc-message")).toMatch(/40000(%20| )values/);
  });

  test("are accepted up to 2 MiB of JSON", async () => {
    const body = gzipSync(padded({ ids: ["nobody"] }, LIMIT / 2 + 1));
    expect((await send("/resources/v3alpha/users/_batch_lock", body, gzip)).status).toBe(413);
    expect((await send(rpcPath(batchLockUsers), body, gzip)).status).toBe(429);
    const fits = gzipSync(padded({ ids: ["nobody"] }, LIMIT / 2));
    expect((await send("/resources/v3alpha/users/_batch_lock", fits, gzip)).status).toBe(200);
    expect((await send(rpcPath(batchLockUsers), fits, gzip)).status).toBe(200);
  });
});
