import { create, toBinary } from "@bufbuild/protobuf";
import { Authorization, CheckRequestSchema } from "../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { http1Wires } from "../load/http1-wire.ts";
import { grpcWires } from "../load/http2-wire.ts";
import { framed, grpcHeaders } from "../load/lock-calls.ts";
import type { OpenWire } from "../load/wire.ts";
import type { Bench } from "../support/compare.ts";
import { callingOf, rateOf } from "../support/lock-rate.ts";
import { type Program, startPeer } from "../support/program.ts";
import { TOKEN } from "../support/server.ts";
import { startWithSessions } from "./introspection.ts";

/** A text as long as a session's token. */
const NO_TOKENS = ["x".repeat(60)];

/** The check of a request for a gateway by subrequest. Each connection has its own session. */
export const authz: Bench = {
  name: "/authz for a session over HTTP/1.1 ÷ Fastify's no-op",
  bound: 0.6,
  aim: 0.85,
  isOfCheckout: true,
  async ours(checkout) {
    const { server, tokens } = await startWithSessions(checkout);
    return asking(server, tokens);
  },
  theirs: async () => asking(await startPeer("fastify"), NO_TOKENS),
};

function asking(program: Program, tokens: readonly string[]) {
  let opened = 0;
  const open: OpenWire = (listener) => {
    const headers = { authorization: `Bearer ${tokens[opened++ % tokens.length]}`, "user-agent": "a gateway" };
    const calls = { url: program.url, path: "/authz", headers, body: () => Buffer.alloc(0), expected: () => "" };
    return http1Wires(calls)(listener);
  };
  return rateOf(callingOf(program, open), { connections: 64, inFlight: 64 });
}

/** The check of a request for Envoy. Each call has another of the sessions. */
export const check: Bench = {
  name: "Envoy's Check for a session by gRPC, 64 in flight ÷ @grpc/grpc-js's no-op",
  bound: 0.5,
  aim: 0.9,
  isOfCheckout: true,
  async ours(checkout) {
    const { server, tokens } = await startWithSessions(checkout);
    return checking(server, tokens);
  },
  theirs: async () => checking(await startPeer("grpc-js"), NO_TOKENS),
};

async function checking(program: Program, tokens: readonly string[]) {
  const messages = tokens.map((token) => {
    const headers = { ":method": "GET", ":path": "/", ":authority": "app", authorization: `Bearer ${token}` };
    const attributes = { request: { http: { headers } } };
    return framed(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })));
  });
  const calls = {
    url: program.url,
    path: `/${Authorization.typeName}/${Authorization.method.check.name}`,
    // Envoy asks for no compression.
    headers: { ...grpcHeaders(TOKEN), "grpc-accept-encoding": "identity" },
    body: (call: number) => Buffer.from(messages[call % messages.length] as Buffer),
    expected: () => "x-auth-request-user",
  };
  return rateOf(callingOf(program, await grpcWires(calls, 0)), { connections: 4, inFlight: 64 });
}
