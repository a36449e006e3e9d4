// Proves that the unary door selects its calls by their headers.
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { create, type Message } from "@bufbuild/protobuf";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { GetUserResponseSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { RpcError, toRpcError } from "../../../src/rpc/errors.ts";
import type { Call, Pipeline } from "../../../src/rpc/pipeline.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { createUnaryDoor } from "../../../src/transport/grpc/unary-door.ts";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { envelope } from "../../../src/transport/streams/frames.ts";

const PATH = "/userlock.v3alpha.UserService/GetUser";
const CALL = { requestId: "r1", response: {} } as Call;

/** A pipeline that admits callers or refuses them, and records the requests. */
function pipelineOf({ isOpen = true } = {}) {
  const seen: Message[] = [];
  const pipeline = {
    methods: [UserService.method.getUser, EventService.method.watchEvents],
    async admit() {
      if (!isOpen) throw toRpcError(new DomainError("TOKEN_MISSING", "no token"), "r1");
      const admitted = async (request: Message) => {
        seen.push(request);
        return create(GetUserResponseSchema);
      };
      return Object.assign(admitted, { holder: "anna" });
    },
    explain: (error: unknown) => (error instanceof RpcError ? error : toRpcError(error, "r1")),
  };
  return { seen, door: createUnaryDoor(pipeline as unknown as Pipeline, { bodyMs: 1_000 }, createShares(LIMITS)) };
}

function exchangeOf(headers: Record<string, string>, bytes: Buffer | undefined, verb = "POST") {
  const body = new PassThrough();
  if (bytes) body.end(bytes);
  let isAskedFor = false;
  const content = () => {
    isAskedFor = true;
    return body;
  };
  return { verb, headers, content, isAskedFor: () => isAskedFor } as unknown as Exchange & { isAskedFor(): boolean };
}

const FRAME = Buffer.from("00000000061204616e6e61", "hex");

describe("the unary door answers", () => {
  test.each([
    ["application/grpc", FRAME],
    ["application/grpc+proto", FRAME],
    ["application/grpc-web", FRAME],
    ["application/grpc-web+proto", FRAME],
    ["application/grpc-web-text", Buffer.from(FRAME.toString("base64"))],
    ["application/grpc-web-text+proto", Buffer.from(FRAME.toString("base64"))],
    ["application/proto", FRAME.subarray(5)],
    ["application/json", Buffer.from('{"id":"anna"}')],
    ["application/json; charset=utf-8", Buffer.from('{"id":"anna"}')],
    ["application/json;charset=UTF-8", Buffer.from('{"id":"anna"}')],
    ["Application/JSON", Buffer.from('{"id":"anna"}')],
    ["application/grpc+JSON; charset=utf-8", envelope(Buffer.from('{"id":"anna"}'))],
  ])("a message of type %s itself", async (type, content) => {
    const { door, seen } = pipelineOf();
    const answer = await door(exchangeOf({ "content-type": type }, content), PATH, CALL);
    expect(answer).toMatchObject({ status: 200 });
    expect(seen).toMatchObject([{ id: "anna" }]);
  });

  test("a compressed message itself", async () => {
    const { door, seen } = pipelineOf();
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    expect(await door(exchangeOf(headers, gzipSync('{"id":"anna"}')), PATH, CALL)).toMatchObject({ status: 200 });
    expect(seen).toMatchObject([{ id: "anna" }]);
  });
});

describe("the unary door leaves to Connect's router, unread,", () => {
  test.each<[string, Record<string, string>, string?, string?]>([
    ["a call of a streaming method", {}, "/userlock.v3alpha.EventService/WatchEvents"],
    ["a call of an unknown path", {}, "/userlock.v3alpha.UserService/GetUsers"],
    ["a GET request", {}, PATH, "GET"],
    ["a call with another content type", { "content-type": "application/grpc+thrift" }],
    ["a call with an unknown encoding", { "grpc-encoding": "br" }],
    ["a call with a malformed deadline", { "grpc-timeout": "soon" }],
  ])("%s", (_what, headers, path = PATH, verb = "POST") => {
    const { door } = pipelineOf();
    const exchange = exchangeOf({ "content-type": "application/grpc", ...headers }, FRAME, verb);
    expect(door(exchange, path, CALL)).toBeUndefined();
    expect(exchange.isAskedFor()).toBe(false);
  });
});

test("the unary door answers an unreadable message itself with INVALID_ARGUMENT", async () => {
  const { door, seen } = pipelineOf();
  for (const content of [Buffer.from("0000000001ff", "hex"), Buffer.alloc(3)]) {
    const answer = await door(exchangeOf({ "content-type": "application/grpc" }, content), PATH, CALL);
    expect(answer).toMatchObject({ status: 200, trailers: { "grpc-status": "3" } });
  }
  expect(seen).toEqual([]);
});

test("the unary door refuses an unauthenticated caller before it reads the request", async () => {
  const { door } = pipelineOf({ isOpen: false });
  const exchange = exchangeOf({ "content-type": "application/grpc" }, undefined);
  const answer = await door(exchange, PATH, CALL);
  expect(answer).toMatchObject({ status: 200, trailers: { "grpc-status": "16" } });
  expect(exchange.isAskedFor()).toBe(false);
});
