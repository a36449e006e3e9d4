/**
 * The hot door. It serves the calls that nearly all calls are: one message in, one out, not compressed, of gRPC,
 * gRPC-Web or Connect. Whatever is unusual about a request is left to Connect's own router, which has the last word on
 * all protocols: this door has no error of its own for what a client sends, but for those of JSON, which both have.
 *
 * Written from
 *   [G] gRPC over HTTP/2: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *   [W] gRPC-Web: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 *   [C] Connect: https://connectrpc.com/docs/protocol
 */
import {
  type DescMessage,
  type DescMethod,
  fromBinary,
  type Message,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import {
  codeToHttpStatus,
  errorToJsonBytes,
  parseTimeout as parseConnectTimeout,
} from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { RpcError } from "../../rpc/errors.ts";
import { type Call, MAX_TIMER_MS, type Pipeline } from "../../rpc/pipeline.ts";
import type { Shares } from "../../rpc/shares.ts";
import { ENVELOPE_BYTES, envelope } from "../frames.ts";
import { type Incoming, incomingOf, inTurn, maxBytesOf, readUpTo, roomsOf } from "../http/body.ts";
import { acceptsGzip, COMPRESS_FROM_BYTES, codingOf, gzip as compress } from "../http/encoding.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { errorDetails, plainAnswer } from "../http/status.ts";
import { parseJson, readMessage } from "../json.ts";
import type { Limits } from "../limits.ts";
import { checkFields } from "../values.ts";
import { grpcStatusOf, toConnectError } from "./errors.ts";

/** Answers a call of the path, or hands on the content of one that is unusual, read or not; undefined if it can be seen to be without reading. */
export type UnaryDoor = (exchange: Exchange, path: string, call: Call) => Promise<Answer | Incoming> | undefined;

/** The flag of a message that is compressed: [G] Compressed-Flag. */
const COMPRESSED = 1;

/** How a message is written. */
interface Format {
  /** Throws on bytes that are no such message. */
  decode(desc: DescMessage, bytes: Uint8Array): Message;
  encode(desc: DescMessage, message: Message): Uint8Array;
}

/** What the protocols differ in. */
interface Protocol {
  format: Format;
  /**
   * Headers of the request: its compression, and those that its sender can read. If it names none of these it is sent
   * none.
   */
  encoding: "grpc-encoding" | "content-encoding";
  accepted: "grpc-accept-encoding" | "accept-encoding";
  /** The header with the deadline. */
  timeout: "grpc-timeout" | "connect-timeout-ms";
  /** Bytes that the content may have, if its message may have so many. */
  contentBytes(messageBytes: number): number;
  /** The message in the content; undefined if it is not one message as it should be. */
  unwrap(content: Buffer, maxBytes: number): Buffer | undefined;
  success(message: Uint8Array, gzip: boolean): Answer | Promise<Answer>;
  failure(error: ConnectError, gzip: boolean): Answer | Promise<Answer>;
}

export function createUnaryDoor(pipeline: Pipeline, { bodyMs }: Pick<Limits, "bodyMs">, shares: Shares): UnaryDoor {
  const rooms = roomsOf(shares);
  const methods = new Map<string, { method: DescMethod; maxBytes: number }>();
  for (const method of pipeline.methods) {
    // [G] Path; [C] Procedure-Name.
    const path = `/${method.parent.typeName}/${method.name}`;
    if (method.methodKind === "unary") methods.set(path, { method, maxBytes: maxBytesOf(method) });
  }

  async function serve(
    exchange: Exchange,
    call: Call,
    protocol: Protocol,
    { method, maxBytes }: { method: DescMethod; maxBytes: number },
  ): Promise<Answer | Incoming> {
    const { format } = protocol;
    const gzip = acceptsGzip(headerOf(exchange.headers, protocol.accepted));
    try {
      const admitted = await pipeline.admit(method, call);
      const patience = Math.min(call.timeoutMs ?? bodyMs, bodyMs);
      const room = rooms.ofCaller(admitted.holder);
      const reading = { limit: protocol.contentBytes(maxBytes), timeoutMs: patience, room };
      const { bytes, isWhole } = await readUpTo(incomingOf(exchange), reading);
      if (!isWhole) return incomingOf(exchange, bytes);
      const waiting = { holder: admitted.holder, room, bytes: bytes.byteLength, signal: call.signal };
      const request = await inTurn(shares, waiting, bytes.byteLength, () =>
        read(protocol, method.input, bytes, maxBytes),
      );
      if (!request) return { begun: bytes, rest: undefined };
      const response = await admitted(request);
      return await protocol.success(format.encode(method.output, response), gzip);
    } catch (error) {
      return protocol.failure(toConnectError(pipeline.explain(error, call)), gzip);
    }
  }

  return (exchange, path, call) => {
    const entry = methods.get(path);
    const protocol = entry && PROTOCOLS.get(typeOf(exchange));
    if (!protocol || exchange.verb !== "POST") return undefined;
    const encoding = headerOf(exchange.headers, protocol.encoding);
    if (codingOf(encoding) !== "identity") return undefined;
    const timeoutMs = timeoutOf(headerOf(exchange.headers, protocol.timeout), protocol);
    if (Number.isNaN(timeoutMs)) return undefined;
    return serve(exchange, { ...call, timeoutMs }, protocol, entry);
  };
}

/** The content type; that of JSON in one spelling, with or without the only charset that it has. */
function typeOf({ headers }: Exchange): string {
  return (headers["content-type"] ?? "").replace(/^application\/json(?:; ?charset=utf-?8)?$/i, "application/json");
}

/**
 * [G] Timeout, [C] Connect-Timeout-Ms, in milliseconds; NaN if it is malformed. One that no timer can wait for is none.
 */
function timeoutOf(header: string | undefined, { timeout }: Protocol): number | undefined {
  if (header === undefined) return undefined;
  const parse = timeout === "grpc-timeout" ? parseGrpcTimeout : parseConnectTimeout;
  const { timeoutMs, error } = parse(header, Number.MAX_SAFE_INTEGER);
  if (error || timeoutMs === undefined) return Number.NaN;
  return timeoutMs > MAX_TIMER_MS ? undefined : timeoutMs;
}

function read(protocol: Protocol, desc: DescMessage, content: Buffer, maxBytes: number): Message | undefined {
  try {
    const message = protocol.unwrap(content, maxBytes);
    return message && protocol.format.decode(desc, message);
  } catch (error) {
    if (error instanceof RpcError) throw error;
    return undefined;
  }
}

const JSON_OPTIONS = { registry: errorDetails };

const PROTO: Format = {
  decode(desc, bytes) {
    checkFields(desc, bytes);
    return fromBinary(desc, bytes);
  },
  encode: toBinary,
};
const JSON_FORMAT: Format = {
  decode: (desc, bytes) => readMessage(desc, parseJson(bytes)),
  encode: (desc, message) => Buffer.from(toJsonString(desc, message, JSON_OPTIONS)),
};

/** [G] Length-Prefixed-Message: a flag, four bytes of length, the message. There must be exactly one. */
function unframe(content: Buffer, maxBytes: number): Buffer | undefined {
  if (content.byteLength < ENVELOPE_BYTES || content[0] !== 0) return undefined;
  const length = content.readUInt32BE(1);
  if (length > maxBytes || content.byteLength !== ENVELOPE_BYTES + length) return undefined;
  return content.subarray(ENVELOPE_BYTES);
}

/** The frame of the bytes, which are compressed if it pays. */
function frame(bytes: Uint8Array, gzip: boolean, flag = 0): Buffer | Promise<Buffer> {
  if (!gzip || bytes.byteLength < COMPRESS_FROM_BYTES) return envelope(bytes, flag);
  return compress(bytes).then((compressed) => envelope(compressed, flag | COMPRESSED));
}

const OK: Fields = { "grpc-status": "0" };

/** gRPC: a frame, then the status in trailers. */
function grpc(format: Format, type: string): Protocol {
  const headers = grpcHeaders(type);
  return {
    format,
    encoding: "grpc-encoding",
    accepted: "grpc-accept-encoding",
    timeout: "grpc-timeout",
    contentBytes: (messageBytes) => ENVELOPE_BYTES + messageBytes,
    unwrap: unframe,
    async success(message, gzip) {
      return { status: 200, headers: headers(gzip), body: await frame(message, gzip), trailers: OK };
    },
    // [G] Response-Headers: the status of HTTP is 200 whatever that of gRPC.
    failure: (error, gzip) => ({
      status: 200,
      headers: headers(gzip),
      trailers: Object.fromEntries(grpcStatusOf(error)),
    }),
  };
}

/** [G] Message-Encoding is told to whoever accepts it, be this message compressed or not. */
function grpcHeaders(type: string): (gzip: boolean) => Fields {
  return (gzip) => (gzip ? { "content-type": type, "grpc-encoding": "gzip" } : { "content-type": type });
}

/** gRPC-Web: a frame, then the trailers in a frame of their own: [W] "Protocol differences vs gRPC over HTTP2". */
function grpcWeb(format: Format, type: string, coding: Coding = BINARY): Protocol {
  const headers = grpcHeaders(type);
  const okTrailers = coding.write(envelope(trailerSerialize(new Headers(OK)), trailerFlag));
  return {
    ...grpc(format, type),
    contentBytes: (messageBytes) => coding.bytesOf(ENVELOPE_BYTES + messageBytes),
    unwrap(content, maxBytes) {
      const bytes = coding.read(content);
      return bytes && unframe(bytes, maxBytes);
    },
    async success(message, gzip) {
      const body = Buffer.concat([coding.write(await frame(message, gzip)), okTrailers]);
      return plainAnswer(200, headers(gzip), body);
    },
    async failure(error, gzip) {
      const trailers = trailerSerialize(setTrailerStatus(new Headers(), error));
      return plainAnswer(200, headers(gzip), coding.write(await frame(trailers, gzip, trailerFlag)));
    },
  };
}

/** How the frames of gRPC-Web are written. */
interface Coding {
  /** How long so many bytes are. */
  bytesOf(bytes: number): number;
  /** Undefined if it cannot be read. */
  read(content: Buffer): Buffer | undefined;
  write(frame: Buffer): Buffer;
}

const BINARY: Coding = { bytesOf: (bytes) => bytes, read: (content) => content, write: (frame) => frame };

/** [W] "Message framing": application/grpc-web-text is base64, each frame with its own padding. */
const TEXT: Coding = {
  bytesOf: (bytes) => 4 * Math.ceil(bytes / 3),
  read(content) {
    const base64 = content.toString("latin1");
    const isOnePiece = base64.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(base64);
    return isOnePiece ? Buffer.from(base64, "base64") : undefined;
  },
  write: (frame) => Buffer.from(frame.toString("base64"), "latin1"),
};

/** Connect: the message alone; [C] "Unary RPCs". */
function connect(format: Format, type: string): Protocol {
  async function answer(status: number, contentType: string, bytes: Uint8Array, gzip: boolean, more: Fields = {}) {
    const isCompressed = gzip && bytes.byteLength >= COMPRESS_FROM_BYTES;
    const headers = { ...more, "content-type": contentType, ...(isCompressed && { "content-encoding": "gzip" }) };
    return plainAnswer(status, headers, isCompressed ? await compress(bytes) : bytes);
  }
  return {
    format,
    encoding: "content-encoding",
    accepted: "accept-encoding",
    timeout: "connect-timeout-ms",
    contentBytes: (messageBytes) => messageBytes,
    unwrap: (content, maxBytes) => (content.byteLength <= maxBytes ? content : undefined),
    success: (message, gzip) => answer(200, type, message, gzip),
    // [C] "Error End-Stream" and "HTTP to Error Code": an error is JSON, with a status of HTTP for its code.
    failure: (error, gzip) =>
      answer(
        codeToHttpStatus(error.code),
        "application/json",
        errorToJsonBytes(error, JSON_OPTIONS),
        gzip,
        Object.fromEntries(error.metadata),
      ),
  };
}

/** By the content type of requests, as [G] Content-Type, [W] and [C] "Unary-Content-Type" name them. */
const PROTOCOLS = new Map<string, Protocol>([
  ["application/grpc", grpc(PROTO, "application/grpc+proto")],
  ["application/grpc+proto", grpc(PROTO, "application/grpc+proto")],
  ["application/grpc+json", grpc(JSON_FORMAT, "application/grpc+json")],
  ["application/grpc-web", grpcWeb(PROTO, "application/grpc-web+proto")],
  ["application/grpc-web+proto", grpcWeb(PROTO, "application/grpc-web+proto")],
  ["application/grpc-web+json", grpcWeb(JSON_FORMAT, "application/grpc-web+json")],
  ["application/grpc-web-text", grpcWeb(PROTO, "application/grpc-web-text+proto", TEXT)],
  ["application/grpc-web-text+proto", grpcWeb(PROTO, "application/grpc-web-text+proto", TEXT)],
  ["application/proto", connect(PROTO, "application/proto")],
  ["application/json", connect(JSON_FORMAT, "application/json")],
]);
