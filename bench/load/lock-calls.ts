import { create, toBinary } from "@bufbuild/protobuf";
import {
  CreateUserRequestSchema,
  LockUserRequestSchema,
  UserService,
} from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { checkGrpcWeb, http1Wires } from "./http1-wire.ts";
import { grpcWires } from "./http2-wire.ts";
import type { Calls, OpenWire } from "./wire.ts";

/** The id of the user that call number `n` locks. */
type UserOf = (call: number) => string;

interface Target {
  url: string;
  token: string;
}

/** A protocol for LockUser. One call, with the number from `first`, may be made before the load. */
export type LockDoor = (target: Target, user: UserOf, first: () => Promise<number>) => Promise<OpenWire>;

const REASON = "fraud";
const PATH = `/${UserService.typeName}/${UserService.method.lockUser.name}`;

/** A framed message for gRPC and gRPC-Web. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** A framed message with the id of each call's user. All ids must have the same length. */
function framesOf(user: UserOf, message: Uint8Array): Calls["body"] {
  const frame = framed(message);
  const idAt = frame.indexOf(user(0));
  return (call) => {
    const copy = Buffer.from(frame);
    copy.write(user(call), idAt, "latin1");
    return copy;
  };
}

const lockFrames = (user: UserOf) =>
  framesOf(user, toBinary(LockUserRequestSchema, create(LockUserRequestSchema, { id: user(0), reason: REASON })));

/** The headers of @grpc/grpc-js's client. */
export function grpcHeaders(token: string): Record<string, string> {
  return {
    te: "trailers",
    "content-type": "application/grpc",
    "user-agent": "grpc-node-js/1.14.7",
    "grpc-accept-encoding": "identity,deflate,gzip",
    "accept-encoding": "identity",
    authorization: `Bearer ${token}`,
  };
}

/** LockUser calls with the headers of @grpc/grpc-js's client. */
export function lockCallsByGrpc({ url, token }: Target, user: UserOf): Calls {
  return {
    url,
    path: PATH,
    headers: grpcHeaders(token),
    body: lockFrames(user),
    expected: user,
  };
}

/** CreateUser calls with the same headers. */
export function createCallsByGrpc(target: Target, user: UserOf): Calls {
  const message = create(CreateUserRequestSchema, { user: { userId: user(0) } });
  const path = `/${UserService.typeName}/${UserService.method.createUser.name}`;
  return { ...lockCallsByGrpc(target, user), path, body: framesOf(user, toBinary(CreateUserRequestSchema, message)) };
}

/** LockUser over gRPC. */
export const lockByGrpc: LockDoor = async (target, user, first) =>
  grpcWires(lockCallsByGrpc(target, user), await first());

const browser = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };

/** LockUser over binary gRPC-Web and HTTP/1.1, as Connect's browser client sends it. */
export const lockByGrpcWeb: LockDoor = async ({ url, token }, user) =>
  http1Wires(
    {
      url,
      path: PATH,
      headers: {
        ...browser,
        accept: "*/*",
        "content-type": "application/grpc-web+proto",
        "x-grpc-web": "1",
        "x-user-agent": "connect-es/2.2.0",
        authorization: `Bearer ${token}`,
      },
      body: lockFrames(user),
      expected: user,
    },
    checkGrpcWeb,
  );

/** LockUser over REST: JSON and HTTP/1.1. */
export const lockByRest: LockDoor = async ({ url, token }, user) =>
  http1Wires({
    url,
    path: (call) => `/resources/v3alpha/users/${user(call)}/_lock`,
    headers: {
      "user-agent": "curl/8.14.1",
      accept: "*/*",
      "content-type": "application/json",
      authorization: `Bearer ${token}`,
    },
    body: () => Buffer.from(`{"reason":"${REASON}"}`),
    expected: (call) => `"${user(call)}"`,
  });
