// A REST lock, a token introspection (RFC 7662) and a check for a gateway that do nothing, on Fastify with schemas.
import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { announce } from "./announce.ts";
import { introspected, lockedInJson } from "./json.ts";

const text = { type: "string" };
const details = {
  type: "object",
  properties: {
    id: text,
    created: text,
    changed: text,
    owner: { type: "object", properties: { type: text, id: text } },
  },
};
const lockAnswer = { type: "object", properties: { details } };
/** The headers that gateways get from userlock. */
const identity = {
  "x-auth-request-user": "user",
  "x-auth-request-preferred-username": "user",
  "x-auth-request-email": "",
  "x-userlock-session": "176400000012300000000000",
  "x-userlock-expires": "2026-01-01T00:00:00.000Z",
  "remote-user": "user",
  "cache-control": "no-store",
};
const number = { type: "integer" };
const introspectionAnswer = {
  type: "object",
  properties: { active: { type: "boolean" }, sub: text, username: text, iat: number, exp: number, iss: text },
};

const server = fastify();
server.post<{ Params: { id: string } }>(
  "/resources/v3alpha/users/:id/_lock",
  { schema: { body: { type: "object", properties: { reason: text } }, response: { 200: lockAnswer } } },
  ({ params }, reply) => void reply.send(lockedInJson(params.id)),
);
server.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) =>
  done(null, { token: new URLSearchParams(body as string).get("token") }),
);
server.post<{ Body: { token: string } }>(
  "/oauth/v2/introspect",
  { schema: { response: { 200: introspectionAnswer } } },
  ({ body }, reply) => void reply.send(introspected(body.token)),
);
server.post("/authz", (_request, reply) => void reply.headers(identity).send());
await server.listen({ port: 0, host: "127.0.0.1" });
announce(server.server.address() as AddressInfo);
