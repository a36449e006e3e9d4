/**
 * The fast path for unary calls of gRPC, gRPC-Web and Connect, which nearly all calls are. It decides by the headers
 * whether it serves a call. Connect's router serves the rest: streams, GET, and calls whose headers this door refuses.
 *
 * Sources:
 *   [G] gRPC over HTTP/2: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *   [W] gRPC-Web: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 *   [C] Connect: https://connectrpc.com/docs/protocol
 */
import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type Message,
  type Registry,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { isForeseen, refusal } from "../../rpc/errors.ts";
import type { ResponseFields } from "../../rpc/handler.ts";
import { type Call, isUnary, type Pipeline } from "../../rpc/pipeline.ts";
import type { Shares } from "../../rpc/shares.ts";
import { createReceive, maxBytesOf, maxJsonBytesOf } from "../http/body.ts";
import { type DeadlineHeader, timeoutOf } from "../http/deadline.ts";
import { acceptsGzip, COMPRESS_FROM_BYTES, codingOf, gzip as compress, gunzip } from "../http/encoding.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { plainAnswer } from "../http/status.ts";
import { parseJson, readMessage } from "../json.ts";
import type { Limits } from "../limits.ts";
import { COMPRESSED, ENVELOPE_BYTES, envelope, type Framing, onlyMessage } from "../streams/frames.ts";
import { checkFields } from "../values.ts";
import { grpcStatusOf, toConnectError, VERSION_HEADER } from "./errors.ts";
import { fromText, textBytesOf, toText } from "./grpc-web-text.ts";

/** Answers a call, or returns undefined if this door does not serve it. */
export type UnaryDoor = (exchange: Exchange, path: string, call: Call) => Promise<Answer> | undefined;

/** The encoding of a message. */
interface Format {
  isJson: boolean;
  /** The size limit of a decompressed message, bytes. */
  unzippedBytes(method: DescMethodUnary): number;
  /** Throws INVALID_REQUEST. */
  decode(desc: DescMessage, bytes: Uint8Array): Message;
  encode(desc: DescMessage, message: Message): Uint8Array;
}

/** The differences between the protocols. */
interface Protocol {
  format: Format;
  /**
   * Request headers: the message's coding, and the codings that the client accepts. Without the second, the response is
   * not compressed.
   */
  encoding: "grpc-encoding" | "content-encoding";
  accepted: "grpc-accept-encoding" | "accept-encoding";
  /** The header with the deadline. */
  timeout: DeadlineHeader;
  /** Whether the version of the protocol, if a header has it, is one that this door knows. */
  isKnownVersion(headers: Exchange["headers"]): boolean;
  /** The size limit of the content, for a message of the given limit. */
  contentBytes(messageBytes: number): number;
  /** Returns the message in the content. Throws like `onlyMessage`. */
  unwrap(content: Buffer, framing: Framing): { message: Buffer; isCompressed: boolean };
  success(message: Uint8Array, gzip: boolean, more: ResponseFields): Answer | Promise<Answer>;
  failure(error: ConnectError, gzip: boolean, more: ResponseFields): Answer | Promise<Answer>;
}

export function createUnaryDoor(pipeline: Pipeline, limits: Pick<Limits, "bodyMs">, shares: Shares): UnaryDoor {
  const receive = createReceive(shares, limits);
  const methods = new Map<string, DescMethodUnary>();
  for (const method of pipeline.methods) {
    // [G] Path; [C] Procedure-Name.
    if (isUnary(method)) methods.set(`/${method.parent.typeName}/${method.name}`, method);
  }
  const protocols = protocolsOf(pipeline.types);

  async function serve(
    exchange: Exchange,
    call: Call,
    protocol: Protocol,
    method: DescMethodUnary,
    isCoded: boolean,
  ): Promise<Answer> {
    const { format } = protocol;
    const gzip = acceptsGzip(headerOf(exchange.headers, protocol.accepted));
    try {
      const admitted = await pipeline.admit(method, call);
      const maxBytes = maxBytesOf(method);
      const limit = protocol.contentBytes(maxBytes);
      const arriving = { holder: admitted.holder, call, maxBytes, limit, isCoded };
      const request = await receive(exchange, arriving, (content) => {
        const { message, isCompressed } = protocol.unwrap(content, { maxBytes, isCoded });
        if (!isCompressed) return format.decode(method.input, message);
        return gunzip(message, format.unzippedBytes(method)).then((bytes) => format.decode(method.input, bytes));
      });
      const response = await admitted(request);
      return await protocol.success(format.encode(method.output, response), gzip, call.response);
    } catch (error) {
      return protocol.failure(toConnectError(pipeline.explain(error, call)), gzip, call.response);
    }
  }

  return (exchange, path, call) => {
    const method = methods.get(path);
    const protocol = method && protocolOf(exchange, protocols);
    if (!protocol || exchange.verb !== "POST") return undefined;
    const coding = codingOf(headerOf(exchange.headers, protocol.encoding));
    if (coding !== "identity" && coding !== "gzip") return undefined;
    if (!protocol.isKnownVersion(exchange.headers)) return undefined;
    const timeoutMs = timeoutOf(protocol.timeout, headerOf(exchange.headers, protocol.timeout));
    if (Number.isNaN(timeoutMs)) return undefined;
    return serve(exchange, { ...call, timeoutMs, isJson: protocol.format.isJson }, protocol, method, coding === "gzip");
  };
}

/** Content types ignore case. JSON may name its only charset. */
function protocolOf({ headers }: Exchange, protocols: ReadonlyMap<string, Protocol>): Protocol | undefined {
  const type = headers["content-type"] ?? "";
  return protocols.get(type) ?? protocols.get(type.toLowerCase().replace(/(?<=json); ?charset=utf-?8$/, ""));
}

const PROTO: Format = {
  isJson: false,
  unzippedBytes: maxBytesOf,
  decode(desc, bytes) {
    try {
      checkFields(desc, bytes);
      return fromBinary(desc, bytes);
    } catch (error) {
      if (isForeseen(error)) throw error;
      throw refusal("INVALID_REQUEST", "The message is not valid Protobuf of this method's request.");
    }
  },
  encode: toBinary,
};

/** `types` are those of a google.protobuf.Any. */
function jsonOf(types: Registry): Format {
  return {
    isJson: true,
    unzippedBytes: maxJsonBytesOf,
    decode: (desc, bytes) => readMessage(desc, parseJson(bytes), { types }),
    encode: (desc, message) => Buffer.from(toJsonString(desc, message, { registry: types })),
  };
}

/** The handler's fields with those of the door, which take precedence. */
function withMore(more: Fields | undefined, own: Fields): Fields {
  return more ? { ...more, ...own } : own;
}

/** Frames the bytes, compressed if it pays. */
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
    isKnownVersion: () => true,
    contentBytes: (messageBytes) => ENVELOPE_BYTES + messageBytes,
    unwrap: onlyMessage,
    async success(message, gzip, more) {
      return {
        status: 200,
        headers: withMore(more.headers, headers(gzip)),
        body: await frame(message, gzip),
        trailers: withMore(more.trailers, OK),
      };
    },
    // [G] Response-Headers: the HTTP status is always 200.
    failure: (error, gzip, more) => ({
      status: 200,
      headers: withMore(more.headers, headers(gzip)),
      trailers: withMore(more.trailers, Object.fromEntries(grpcStatusOf(error))),
    }),
  };
}

/** [G] Message-Encoding: sent to any client that accepts gzip, even if this message is not compressed. */
function grpcHeaders(type: string): (gzip: boolean) => Fields {
  return (gzip) => (gzip ? { "content-type": type, "grpc-encoding": "gzip" } : { "content-type": type });
}

/** gRPC-Web: a frame, then the trailers in their own frame: [W] "Protocol differences vs gRPC over HTTP2". */
function grpcWeb(format: Format, type: string, coding: Coding = BINARY): Protocol {
  const headers = grpcHeaders(type);
  const trailerFrame = (trailers: Headers) => coding.write(envelope(trailerSerialize(trailers), trailerFlag));
  const okTrailers = trailerFrame(new Headers(OK));
  return {
    ...grpc(format, type),
    contentBytes: (messageBytes) => coding.bytesOf(ENVELOPE_BYTES + messageBytes),
    unwrap: (content, framing) => onlyMessage(coding.read(content), framing),
    async success(message, gzip, more) {
      const trailers = more.trailers ? trailerFrame(new Headers(withMore(more.trailers, OK))) : okTrailers;
      const body = Buffer.concat([coding.write(await frame(message, gzip)), trailers]);
      return plainAnswer(200, withMore(more.headers, headers(gzip)), body);
    },
    async failure(error, gzip, more) {
      const trailers = trailerSerialize(setTrailerStatus(new Headers(more.trailers), error));
      const body = coding.write(await frame(trailers, gzip, trailerFlag));
      return plainAnswer(200, withMore(more.headers, headers(gzip)), body);
    },
  };
}

/** The encoding of gRPC-Web's frames. */
interface Coding {
  /** The encoded length of so many bytes. */
  bytesOf(bytes: number): number;
  /** Throws INVALID_REQUEST. */
  read(content: Buffer): Buffer;
  write(frame: Buffer): Buffer;
}

const BINARY: Coding = { bytesOf: (bytes) => bytes, read: (content) => content, write: (frame) => frame };

/** [W] "Message framing": application/grpc-web-text is base64, each frame with its own padding. */
const TEXT: Coding = { bytesOf: textBytesOf, read: fromText, write: toText };

/** Connect: the message alone; [C] "Unary RPCs". */
function connect(format: Format, type: string, types: Registry): Protocol {
  async function answer(status: number, contentType: string, bytes: Uint8Array, gzip: boolean, more: Fields) {
    const isCompressed = gzip && bytes.byteLength >= COMPRESS_FROM_BYTES;
    const headers = { ...more, "content-type": contentType, ...(isCompressed && { "content-encoding": "gzip" }) };
    return plainAnswer(status, headers, isCompressed ? await compress(bytes) : bytes);
  }
  return {
    format,
    encoding: "content-encoding",
    accepted: "accept-encoding",
    timeout: "connect-timeout-ms",
    isKnownVersion: ({ [VERSION_HEADER]: version }) => version === undefined || version === "1",
    contentBytes: (messageBytes) => messageBytes,
    unwrap: (message, { isCoded }) => ({ message, isCompressed: isCoded }),
    success: (message, gzip, more) => answer(200, type, message, gzip, trailersAmong(more)),
    // [C] "Error End-Stream" and "HTTP to Error Code": an error is JSON, with the HTTP status of its code.
    failure: (error, gzip, more) =>
      answer(
        codeToHttpStatus(error.code),
        "application/json",
        errorToJsonBytes(error, { registry: types }),
        gzip,
        withMore(trailersAmong(more), Object.fromEntries(error.metadata)),
      ),
  };
}

/** [C] "Trailers": among the headers, because HTTP/1.1 clients often cannot read trailers. */
function trailersAmong({ headers = {}, trailers }: ResponseFields): Fields {
  if (!trailers) return headers;
  const marked = Object.entries(trailers).map(([name, value]) => [`trailer-${name}`, value]);
  return { ...headers, ...Object.fromEntries(marked) };
}

/** By the content type of requests: [G] Content-Type, [W], [C] "Unary-Content-Type". */
function protocolsOf(types: Registry): ReadonlyMap<string, Protocol> {
  const json = jsonOf(types);
  return new Map<string, Protocol>([
    ["application/grpc", grpc(PROTO, "application/grpc+proto")],
    ["application/grpc+proto", grpc(PROTO, "application/grpc+proto")],
    ["application/grpc+json", grpc(json, "application/grpc+json")],
    ["application/grpc-web", grpcWeb(PROTO, "application/grpc-web+proto")],
    ["application/grpc-web+proto", grpcWeb(PROTO, "application/grpc-web+proto")],
    ["application/grpc-web+json", grpcWeb(json, "application/grpc-web+json")],
    ["application/grpc-web-text", grpcWeb(PROTO, "application/grpc-web-text+proto", TEXT)],
    ["application/grpc-web-text+proto", grpcWeb(PROTO, "application/grpc-web-text+proto", TEXT)],
    ["application/grpc-web-text+json", grpcWeb(json, "application/grpc-web-text+json", TEXT)],
    ["application/proto", connect(PROTO, "application/proto", types)],
    ["application/json", connect(json, "application/json", types)],
  ]);
}
