import { gunzipSync, gzipSync } from "node:zlib";
import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { CreateUserRequestSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";
import { reasonOfConnectError, reasonOfGrpcStatus } from "./error-info.ts";
import type { HttpAnswer, HttpRequest } from "./http.ts";

/**
 * A protocol as bytes, for requests that no client would send. Each request calls CreateUser, whose message can have
 * any size and depth.
 */
export interface Wire {
  name: string;
  version: 1 | 2;
  format: "json" | "proto";
  /** Whether the message is in a frame with a flag and a length. */
  isFramed: boolean;
  /** The message for a user, before compression and framing. */
  encode(user: JsonObject): Buffer;
  /** The request with this message. `flag` and `length` replace the true values in its frame. */
  request(message: Uint8Array, options?: FrameOptions): WireRequest;
  read(answer: HttpAnswer): Outcome;
}

export interface FrameOptions {
  gzip?: boolean;
  flag?: number;
  length?: number;
}

export interface WireRequest extends HttpRequest {
  headers: Record<string, string>;
  body: Buffer;
}

export interface Outcome {
  /** Name of the google.rpc.Code. */
  code: string;
  /** Reason of the ErrorInfo. */
  reason: string | undefined;
  /** Message of the error. */
  message: string;
  /** HTTP status. */
  status: number;
  detailBytes: number;
}

const { createUser } = UserService.method;
const RPC_PATH = `/${createUser.parent.typeName}/${createUser.name}`;

const toProto = (user: JsonObject) =>
  Buffer.from(toBinary(CreateUserRequestSchema, fromJson(CreateUserRequestSchema, { user })));
const toRpcJson = (user: JsonObject) => Buffer.from(JSON.stringify({ user }));
const toRestJson = (user: JsonObject) => Buffer.from(JSON.stringify(user));

export const WIRES: readonly Wire[] = [
  plain("REST", 1, "/resources/v3alpha/users", "application/json", toRestJson, readStatus),
  plain("Connect JSON", 1, RPC_PATH, "application/json", toRpcJson, readConnect),
  plain("Connect proto", 2, RPC_PATH, "application/proto", toProto, readConnect),
  framed("gRPC", 2, "application/grpc", readGrpc),
  framed("gRPC-Web", 1, "application/grpc-web+proto", readGrpcWeb),
  framed("gRPC-Web text", 1, "application/grpc-web-text+proto", readGrpcWeb),
];

/** Every protocol with JSON. Methods with `body: "*"` accept the same document from all of them. */
export const JSON_WIRES: readonly Wire[] = [
  plain("REST", 1, "/resources/v3alpha/users", "application/json", toRestJson, readStatus),
  plain("Connect JSON", 1, RPC_PATH, "application/json", toRpcJson, readConnect),
  framed("gRPC+JSON", 2, "application/grpc+json", readGrpc),
  framed("gRPC-Web+JSON", 1, "application/grpc-web+json", readGrpcWeb),
];

function plain(
  name: string,
  version: 1 | 2,
  path: string,
  type: string,
  encode: Wire["encode"],
  read: Wire["read"],
): Wire {
  return {
    name,
    version,
    format: type.endsWith("json") ? "json" : "proto",
    isFramed: false,
    encode,
    read,
    request: (message, { gzip = false } = {}) => ({
      version,
      path,
      headers: headers(type, gzip && "content-encoding"),
      body: gzip ? gzipSync(message) : Buffer.from(message),
    }),
  };
}

function framed(name: string, version: 1 | 2, type: string, read: Wire["read"]): Wire {
  return {
    name,
    version,
    format: "proto",
    isFramed: true,
    encode: toProto,
    read,
    request(message, { gzip = false, flag = Number(gzip), length } = {}) {
      const data = gzip ? gzipSync(message) : message;
      const head = Buffer.from([flag, 0, 0, 0, 0]);
      head.writeUInt32BE(length ?? data.byteLength, 1);
      const frame = Buffer.concat([head, data]);
      const body = type.includes("-text") ? Buffer.from(frame.toString("base64")) : frame;
      return { version, path: RPC_PATH, headers: { ...headers(type, gzip && "grpc-encoding"), te: "trailers" }, body };
    },
  };
}

function headers(type: string, encoding: string | false): Record<string, string> {
  return {
    authorization: `Bearer ${ADMIN_TOKEN}`,
    "content-type": type,
    ...(encoding && { [encoding]: "gzip" }),
  };
}

function readStatus({ status, body }: HttpAnswer): Outcome {
  const error = status < 400 ? {} : JSON.parse(body.toString());
  const detailBytes = JSON.stringify(error.details ?? []).length;
  const { code = 0, message = "", details } = error;
  return { code: nameOf(code), reason: details?.[0]?.reason, message, status, detailBytes };
}

export function readConnect({ status, headers: head, body }: HttpAnswer): Outcome {
  if (status < 400) return { code: "OK", reason: undefined, message: "", status, detailBytes: 0 };
  const json = head.get("content-encoding") === "gzip" ? gunzipSync(body) : body;
  const error = JSON.parse(json.toString());
  const values: string[] = (error.details ?? []).map(({ value }: { value: string }) => value);
  const detailBytes = values.reduce((sum, value) => sum + Buffer.from(value, "base64").byteLength, 0);
  const { code, message = "" } = error;
  return { code: code.toUpperCase(), reason: reasonOfConnectError(error), message, status, detailBytes };
}

export function readGrpc({ status, headers: head, trailers }: HttpAnswer): Outcome {
  return { ...grpcStatus(trailers.has("grpc-status") ? trailers : head), status };
}

/** The trailers are in the last frame of the body, or in the header if there is no message. */
export function readGrpcWeb({ status, headers: head, body }: HttpAnswer): Outcome {
  const isText = head.get("content-type")?.includes("-text");
  let rest = isText ? fromBase64Pieces(body.toString()) : body;
  const trailers = new Headers(head);
  while (rest.length > 0) {
    const end = 5 + rest.readUInt32BE(1);
    const flag = rest[0] as number;
    if (flag & 0x80) {
      const lines = flag & 1 ? gunzipSync(rest.subarray(5, end)) : rest.subarray(5, end);
      for (const line of lines.toString().split("\r\n").filter(Boolean)) {
        const colon = line.indexOf(":");
        trailers.set(line.slice(0, colon), line.slice(colon + 1).trim());
      }
    }
    rest = rest.subarray(end);
  }
  return { ...grpcStatus(trailers), status };
}

/** Base64 of one or more separately padded pieces. */
export function fromBase64Pieces(text: string): Buffer {
  return Buffer.concat([...text.matchAll(/[^=]+=*/g)].map(([piece]) => Buffer.from(piece, "base64")));
}

function grpcStatus(trailers: Headers): Omit<Outcome, "status"> {
  const details = Buffer.from(trailers.get("grpc-status-details-bin") ?? "", "base64");
  return {
    code: nameOf(Number(trailers.get("grpc-status") ?? Number.NaN)),
    reason: reasonOfGrpcStatus(details),
    message: decodeURIComponent(trailers.get("grpc-message") ?? ""),
    detailBytes: details.byteLength,
  };
}

function nameOf(code: number): string {
  return Object.entries(Code).find(([, number]) => number === code)?.[0] ?? `code ${code}`;
}
