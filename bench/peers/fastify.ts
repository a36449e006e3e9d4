// A REST lock and a token introspection (RFC 7662) that do nothing, on Fastify with schemas.
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
await server.listen({ port: 0, host: "127.0.0.1" });
announce(server.server.address() as AddressInfo);
