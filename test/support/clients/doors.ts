import {
  create,
  createRegistry,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  fromJson,
  fromJsonString,
  type JsonValue,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { credentials, Client as GrpcClient, Metadata, type ServiceError } from "@grpc/grpc-js";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  type RetryInfo,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";

/** An answer in the same form for every protocol. */
export interface Answer<Output = Message> {
  /** Name of the google.rpc.Code, such as `FAILED_PRECONDITION`; `OK` for success. */
  code: string;
  /** Reason of the ErrorInfo. */
  reason: string | undefined;
  message: string;
  info: ErrorInfo | undefined;
  badRequest: BadRequest | undefined;
  retryInfo: RetryInfo | undefined;
  /** Types of all details, without the package. */
  detailTypes: string[];
  response: Output | undefined;
}

export interface CallOptions {
  token?: string | undefined;
  headers?: Record<string, string>;
}

/** A client of one protocol. */
export interface Door {
  name: string;
  call<Method extends DescMethodUnary>(
    method: Method,
    request: MessageInitShape<Method["input"]>,
    options?: CallOptions,
  ): Promise<Answer<MessageShape<Method["output"]>>>;
  close(): void;
}

const registry = createRegistry(file_google_rpc_error_details);

/** A client for every protocol of a server, under both service names where the protocol has them. */
export function openDoors(url: string): Door[] {
  const connectJson = createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    useBinaryFormat: false,
    jsonOptions: { registry },
  });
  const connectProto = createConnectTransport({ baseUrl: url, httpVersion: "2" });
  const grpcWeb = createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" });
  return [
    restDoor(url),
    ...bothNames("Connect JSON", (method) => overConnect(connectJson, method)),
    ...bothNames("Connect proto", (method) => overConnect(connectProto, method)),
    ...bothNames("gRPC-Web", (method) => overConnect(grpcWeb, method)),
    ...bothNames("gRPC-Web text", (method) => overGrpcWebText(url, method)),
    ...grpcDoors(url),
  ];
}

type Invoke = (request: Message, options: CallOptions) => Promise<Answer>;

function bothNames(protocol: string, invoke: (method: DescMethodUnary) => Invoke, close = () => {}): Door[] {
  return [UserService, ZITADELUsers].map((service: DescService) => ({
    name: `${protocol}, ${service.name}`,
    async call(method, request, options = {}) {
      // The second service lacks some methods. They are called under their own name.
      const isShared = method.parent.typeName === UserService.typeName;
      const named = (isShared ? service.method[method.localName] : undefined) ?? method;
      const answer = await invoke(named as DescMethodUnary)(create(method.input, request as never), options);
      return answer as never;
    },
    close,
  }));
}

const overConnect =
  (transport: Transport, method: DescMethodUnary): Invoke =>
  async (request, { token, headers }) => {
    const client = createClient(method.parent, transport) as Record<string, (...args: unknown[]) => Promise<Message>>;
    try {
      return success(await client[method.localName]!(request, { headers: headersOf(token, headers) }));
    } catch (error) {
      const { code, rawMessage, details } = ConnectError.from(error);
      const packed = details.map((detail) => {
        if ("desc" in detail) throw new Error("an error detail was not decoded from bytes");
        return { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value };
      });
      return failure(create(StatusSchema, { code: code as number, message: rawMessage, details: packed }));
    }
  };

/** A client of @grpc/grpc-js with definitions from the generated descriptors. */
function grpcDoors(url: string): Door[] {
  const client = new GrpcClient(new URL(url).host, credentials.createInsecure());
  const invoke =
    (method: DescMethodUnary): Invoke =>
    (request, { token, headers }) =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        for (const [name, value] of headersOf(token, headers)) metadata.set(name, value);
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (message: Message) => Buffer.from(toBinary(method.input, message)),
          (bytes: Buffer) => fromBinary(method.output, bytes) as Message,
          request,
          metadata,
          (error: ServiceError | null, response?: Message) => {
            if (!error) return resolve(success(response as Message));
            const [bytes] = error.metadata.get("grpc-status-details-bin") as Buffer[];
            const status = bytes ? fromBinary(StatusSchema, bytes) : create(StatusSchema, { code: error.code });
            resolve(failure({ ...status, code: error.code, message: error.details }));
          },
        );
      });
  return bothNames("gRPC", invoke, () => client.close());
}

/** Written by hand: one base64 body each way (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). */
function overGrpcWebText(url: string, method: DescMethodUnary): Invoke {
  return async (request, { token, headers }) => {
    const bytes = toBinary(method.input, request);
    const frame = Buffer.alloc(5 + bytes.byteLength);
    frame.writeUInt32BE(bytes.byteLength, 1);
    frame.set(bytes, 5);
    const all = headersOf(token, headers);
    all.set("content-type", "application/grpc-web-text+proto");
    const response = await fetch(`${url}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: all,
      body: frame.toString("base64"),
    });
    let rest = Buffer.concat(
      [...(await response.text()).matchAll(/[^=]+=*/g)].map(([piece]) => Buffer.from(piece, "base64")),
    );
    let message: Message | undefined;
    const trailer = new Headers(response.headers);
    while (rest.length > 0) {
      const end = 5 + rest.readUInt32BE(1);
      const data = rest.subarray(5, end);
      if (rest[0] === 0x80) {
        for (const line of data.toString().split("\r\n").filter(Boolean)) {
          const colon = line.indexOf(":");
          trailer.append(line.slice(0, colon), line.slice(colon + 1).trim());
        }
      } else message = fromBinary(method.output, data);
      rest = rest.subarray(end);
    }
    const code = Number(trailer.get("grpc-status"));
    if (code === 0 && message) return success(message);
    const packed = trailer.get("grpc-status-details-bin");
    const status = packed ? fromBinary(StatusSchema, Buffer.from(packed, "base64")) : create(StatusSchema);
    return failure({ ...status, code, message: decodeURIComponent(trailer.get("grpc-message") ?? "") });
  };
}

/** The REST routes: verb, path with {variables}, and the field of the body. */
export const REST_ROUTES: Record<string, [verb: string, path: string, body?: string]> = {
  CreateUser: ["POST", "/users", "user"],
  GetUser: ["GET", "/users/{id}"],
  SearchUsers: ["POST", "/users/_search", "filters"],
  CountUsers: ["POST", "/users/_count", "filters"],
  PatchUser: ["PATCH", "/users/{id}", "user"],
  LockUser: ["POST", "/users/{id}/_lock", "*"],
  UnlockUser: ["POST", "/users/{id}/_unlock", "*"],
  BatchLockUsers: ["POST", "/users/_batch_lock", "*"],
  BatchUnlockUsers: ["POST", "/users/_batch_unlock", "*"],
  ActivateUser: ["POST", "/users/{id}/_activate", "*"],
  DeactivateUser: ["POST", "/users/{id}/_deactivate", "*"],
  DeleteUser: ["DELETE", "/users/{id}"],
  AddUsername: ["POST", "/users/{id}/username", "username"],
  RemoveUsername: ["DELETE", "/users/{id}/username/{usernameId}"],
  WhoAmI: ["GET", "/whoami"],
  CreateToken: ["POST", "/tokens", "*"],
  ListTokens: ["GET", "/tokens"],
  RevokeToken: ["DELETE", "/tokens/{tokenId}"],
  SetPassword: ["POST", "/users/{id}/password", "newPassword"],
  CreateSession: ["POST", "/sessions", "*"],
  GetSession: ["GET", "/sessions/{sessionId}"],
  ListSessions: ["GET", "/users/{id}/sessions"],
  DeleteSession: ["DELETE", "/sessions/{sessionId}"],
  DeleteSessions: ["DELETE", "/users/{id}/sessions"],
  GetLockoutPolicy: ["GET", "/settings/lockout"],
  SetLockoutPolicy: ["PUT", "/settings/lockout", "policy"],
  ResetLockoutPolicy: ["DELETE", "/settings/lockout"],
  ListEvents: ["GET", "/events"],
  Authorize: ["GET", "/authorize"],
};

/** The routes for callers with a session token as proof, which must not be in a query. */
const PROOF_ROUTES: typeof REST_ROUTES = {
  GetSession: ["POST", "/sessions/{sessionId}/_get", "*"],
  DeleteSession: ["POST", "/sessions/{sessionId}/_delete", "*"],
};

function restDoor(url: string): Door {
  return {
    name: "REST",
    async call(method, request, { token, headers } = {}) {
      const json = toJson(method.input, create(method.input, request as never)) as Record<string, JsonValue>;
      if (method.name === "IntrospectToken") {
        const body = new URLSearchParams({ token: String(json.token ?? "") });
        const asked = { method: "POST", headers: headersOf(token, headers), body };
        return (await readRest(method, await fetch(`${url}/oauth/v2/introspect`, asked))) as never;
      }
      const [verb, template, body] = (json.sessionToken && PROOF_ROUTES[method.name]) || REST_ROUTES[method.name]!;
      const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const value = String(json[name] ?? "");
        delete json[name];
        return encodeURIComponent(value);
      });
      const target = new URL(`${url}/resources/v3alpha${path}`);
      let payload: JsonValue | undefined;
      if (body === "*") payload = json;
      else {
        if (body !== undefined) payload = json[body] ?? (body === "filters" ? [] : {});
        for (const [name, value] of Object.entries(json)) {
          if (name !== body) flatten(name, value, target.searchParams);
        }
      }
      const all = headersOf(token, headers);
      if (payload !== undefined) all.set("content-type", "application/json");
      const response = await fetch(target, {
        method: verb,
        headers: all,
        ...(payload !== undefined && { body: JSON.stringify(payload) }),
      });
      return (await readRest(method, response)) as never;
    },
    close() {},
  };
}

async function readRest(method: DescMethodUnary, response: Response): Promise<Answer> {
  const text = await response.text();
  if (response.ok) return success(fromJsonString(method.output, text, { registry }));
  // Errors of introspection also have the fields of OAuth.
  return failure(fromJson(StatusSchema, JSON.parse(text), { registry, ignoreUnknownFields: true }));
}

function flatten(name: string, value: JsonValue, query: URLSearchParams): void {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(`${name}.${key}`, inner, query);
  } else for (const item of [value].flat()) query.append(name, String(item));
}

function headersOf(token: string | undefined, headers: Record<string, string> = {}): Headers {
  const all = new Headers(headers);
  if (token !== undefined) all.set("authorization", `Bearer ${token}`);
  return all;
}

function success(response: Message): Answer {
  return {
    code: "OK",
    reason: undefined,
    message: "",
    info: undefined,
    badRequest: undefined,
    retryInfo: undefined,
    detailTypes: [],
    response,
  };
}

function failure({ code, message, details }: Pick<Status, "code" | "message" | "details">): Answer {
  const known = createRegistry(file_google_rpc_error_details);
  const unpacked = details.map((any) => anyUnpack(any, known));
  const info = unpacked.find((detail) => detail?.$typeName === ErrorInfoSchema.typeName) as ErrorInfo | undefined;
  return {
    code: Object.entries(Code).find(([, number]) => number === code)?.[0] ?? `code ${code}`,
    reason: info?.reason,
    message,
    info,
    badRequest: unpacked.find((detail) => detail?.$typeName === BadRequestSchema.typeName) as BadRequest | undefined,
    retryInfo: unpacked.find((detail) => detail?.$typeName === RetryInfoSchema.typeName) as RetryInfo | undefined,
    detailTypes: details.map(({ typeUrl }) => typeUrl.replace(/^.*\./, "")),
    response: undefined,
  };
}
