/** The bundled script of the test page: the clients that consoles use, behind one function. */
import {
  create,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ZITADELUsers } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_service_pb.js";
import { GrpcWebClientBase, MethodDescriptor, MethodType, type RpcError } from "grpc-web";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";

/** `ZITADELUsers` is the published definition from npm. */
const SERVICES = { UserService, ZITADELUsers };

export interface Call {
  url: string;
  service: keyof typeof SERVICES;
  method: string;
  /** A call. Request and response are ProtoJSON. */
  request: object;
  token?: string;
}

/** The outcome of a call that the page can see. */
export interface Answer {
  /** Name of the google.rpc.Code. */
  code: string;
  /** Reason of the ErrorInfo. */
  reason?: string | undefined;
  response?: object;
}

interface Client {
  call(url: string, method: DescMethodUnary, request: Message, headers: Record<string, string>): Promise<Message>;
  failure(error: unknown): Answer;
  /** Resolves with the first message of Health.Watch, and cancels the stream. */
  watch(url: string): Promise<object>;
}

/** A client of connect-web with one of its transports. */
function connectWeb(transportTo: (baseUrl: string) => Transport): Client {
  return {
    call(url, method, request, headers) {
      const client = createClient(method.parent, transportTo(url)) as Record<string, (...args: unknown[]) => unknown>;
      return client[method.localName]!(request, { headers }) as Promise<Message>;
    },
    failure(thrown) {
      const error = ConnectError.from(thrown);
      return { code: nameOf(error.code), reason: error.findDetails(ErrorInfoSchema)[0]?.reason };
    },
    async watch(url) {
      for await (const message of createClient(Health, transportTo(url)).watch({})) {
        return toJson(Health.method.watch.output, message) as object;
      }
      throw new Error("the stream ended before its first message");
    },
  };
}

/** Google's npm package grpc-web, used like its generated code in one of the generator's modes. */
function grpcWeb(mode: "grpcweb" | "grpcwebtext"): Client {
  const base = new GrpcWebClientBase({ format: mode === "grpcweb" ? "binary" : "text" });
  const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
  const descriptorOf = (method: DescMethod, type: string) =>
    new MethodDescriptor<Message, Message>(
      pathOf(method),
      type,
      Object as never,
      Object as never,
      (message: Message) => toBinary(method.input, message),
      (bytes: Uint8Array) => fromBinary(method.output, bytes),
    );
  return {
    call: (url, method, request, headers) =>
      base.unaryCall(url + pathOf(method), request, headers, descriptorOf(method, MethodType.UNARY)),
    failure(thrown) {
      const { code, metadata } = thrown as RpcError;
      const packed = metadata?.["grpc-status-details-bin"];
      if (packed === undefined) return { code: nameOf(code), reason: undefined };
      const { details } = fromBinary(StatusSchema, base64Decode(packed));
      const info = details.map((any) => anyUnpack(any, ErrorInfoSchema)).find((detail) => detail !== undefined);
      return { code: nameOf(code), reason: info?.reason };
    },
    watch: (url) =>
      new Promise((resolve, reject) => {
        const { watch } = Health.method;
        const descriptor = descriptorOf(watch, MethodType.SERVER_STREAMING);
        const stream = base.serverStreaming(url + pathOf(watch), create(watch.input), {}, descriptor);
        stream.on("data", (message) => {
          resolve(toJson(watch.output, message as never) as object);
          stream.cancel();
        });
        stream.on("error", reject);
      }),
  };
}

const CLIENTS = {
  "connect-web, Connect JSON": connectWeb((baseUrl) => createConnectTransport({ baseUrl })),
  "connect-web, Connect binary": connectWeb((baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true })),
  "connect-web, Connect GET": connectWeb((baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true })),
  "connect-web, gRPC-Web": connectWeb((baseUrl) => createGrpcWebTransport({ baseUrl })),
  "connect-web, gRPC-Web JSON": connectWeb((baseUrl) => createGrpcWebTransport({ baseUrl, useBinaryFormat: false })),
  "grpc-web, grpcweb": grpcWeb("grpcweb"),
  "grpc-web, grpcwebtext": grpcWeb("grpcwebtext"),
};
export type ClientName = keyof typeof CLIENTS;

function nameOf(code: number): string {
  return Object.entries(Code).find(([, number]) => number === code)?.[0] ?? `code ${code}`;
}

const page = {
  async call(name: ClientName, { url, service, method, request, token }: Call): Promise<Answer> {
    const client = CLIENTS[name];
    const desc = SERVICES[service].methods.find((candidate) => candidate.name === method) as DescMethodUnary;
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    try {
      const response = await client.call(url, desc, fromJson(desc.input, request as JsonValue), headers);
      return { code: "OK", response: toJson(desc.output, response) as object };
    } catch (error) {
      return client.failure(error);
    }
  },
  watch: (name: ClientName, url: string) => CLIENTS[name].watch(url),
  /** Plain fetch. Undefined if the browser hides the answer from the page. */
  async fetch(
    url: string,
    options: RequestInit,
  ): Promise<{ status: number; headers: object; text: string } | undefined> {
    try {
      const response = await fetch(url, options);
      return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
    } catch {
      return undefined;
    }
  },
};

declare global {
  interface Window {
    userlock: typeof page;
  }
}
window.userlock = page;
