import { create, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema, SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";
import { exchange, type HttpAnswer } from "./http.ts";

type Login = MessageInitShape<typeof CreateSessionRequestSchema>;

const RPC = `/${SessionService.typeName}/${SessionService.method.createSession.name}`;

const json = (login: Login) =>
  toJsonString(CreateSessionRequestSchema, create(CreateSessionRequestSchema, login as never));
const proto = (login: Login) =>
  Buffer.from(toBinary(CreateSessionRequestSchema, create(CreateSessionRequestSchema, login as never)));
function framed(login: Login): Buffer {
  const message = proto(login);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

const PROTOCOLS: [
  name: string,
  version: 1 | 2,
  path: string,
  type: string,
  encode: (login: Login) => Buffer | string,
][] = [
  ["REST", 1, "/resources/v3alpha/sessions", "application/json", json],
  ["Connect JSON", 1, RPC, "application/json", json],
  ["Connect proto", 2, RPC, "application/proto", proto],
  ["gRPC", 2, RPC, "application/grpc", framed],
  ["gRPC-Web", 1, RPC, "application/grpc-web+proto", framed],
  ["gRPC-Web text", 1, RPC, "application/grpc-web-text+proto", (login) => framed(login).toString("base64")],
];

/** Logins over each protocol that return the complete answer: status, headers, body and trailers. */
export const RAW_LOGINS = PROTOCOLS.map(([name, version, path, type, encode]) => ({
  name,
  send: (url: string, login: Login): Promise<HttpAnswer> => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": type, te: "trailers" };
    return exchange(url, { version, path, headers, body: encode(login) });
  },
}));

/** An answer without its time and request id, which differ between any two answers. */
export function withoutIdentity({ status, headers, trailers, body }: HttpAnswer): object {
  const rest = (all: Headers) => [...all].filter(([name]) => name !== "date" && name !== "x-request-id");
  return { status, headers: rest(headers), trailers: rest(trailers), body: body.toString("latin1") };
}
