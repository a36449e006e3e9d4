import { readFileSync } from "node:fs";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { connect as tcpConnect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection, ServerReflectionRequestSchema } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { envelope } from "../../../src/transport/streams/frames.ts";
import { reasonOfGrpcStatus } from "../clients/error-info.ts";

/** A reflection request as a gRPC frame. */
export const LIST_SERVICES = envelope(
  toBinary(
    ServerReflectionRequestSchema,
    create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } }),
  ),
);

/** The streams that need no token: their paths, and whether the client keeps its side open. */
export const OPEN_STREAMS = [
  { name: "Health/Watch", path: `/${Health.typeName}/Watch`, first: envelope(Buffer.alloc(0)), isTwoWay: false },
  ...[ServerReflection, ServerReflectionV1alpha].map(({ typeName }) => ({
    name: typeName.replace(/^grpc\./, ""),
    path: `/${typeName}/ServerReflectionInfo`,
    first: LIST_SERVICES,
    isTwoWay: true,
  })),
];

export interface OpenStream {
  stream: ClientHttp2Stream;
  /** "served" after the first message, or the reason of the error. */
  outcome: Promise<string>;
  /** The reason of the error that ended the stream, or how the connection ended. */
  ended: Promise<string>;
}

/** An HTTP/2 connection from this address of the machine. */
export function connectFrom(url: string, localAddress = "127.0.0.1", settings = {}): ClientHttp2Session {
  const { hostname, port } = new URL(url);
  const session = connect(url, {
    settings,
    createConnection: () => tcpConnect({ host: hostname, port: Number(port), localAddress }),
  });
  session.on("error", () => {});
  return session;
}

/** Opens a gRPC stream without a token. */
export function openStream(
  session: ClientHttp2Session,
  { path, first, isTwoWay }: (typeof OPEN_STREAMS)[number],
): OpenStream {
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  stream.on("error", () => {});
  if (isTwoWay) stream.write(first);
  else stream.end(first);
  const ended = new Promise<string>((resolve) => {
    const note = (headers: Record<string, unknown>) => {
      const details = headers["grpc-status-details-bin"] as string | undefined;
      if (details !== undefined) resolve(reasonOfGrpcStatus(Buffer.from(details, "base64")) as string);
    };
    stream.on("response", note).on("trailers", note);
    stream.on("close", () => resolve(`closed with ${stream.rstCode}`));
  });
  const isServed = new Promise<string>((resolve) => {
    stream.on("data", () => resolve("served"));
  });
  return { stream, ended, outcome: Promise.race([isServed, ended]) };
}

/** Resident memory of a process in MiB. */
export function residentMib(pid: number | undefined): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}
