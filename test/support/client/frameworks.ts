import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import * as forConnect from "../../../packages/client/src/adapters/connect.ts";
import * as forExpress from "../../../packages/client/src/adapters/express.ts";
import * as forFastify from "../../../packages/client/src/adapters/fastify.ts";
import * as forGrpc from "../../../packages/client/src/adapters/grpc.ts";
import * as forHono from "../../../packages/client/src/adapters/hono.ts";
import type { Guard, Identity } from "../../../packages/client/src/guard/guard.ts";

/** An answer of an app, which says whose token the call has. */
export interface AppAnswer {
  status: 200 | 401 | 503 | number;
  subject?: string;
  challenge: string | null;
  retryAfter: string | null;
}

/** An app behind a guard. */
export interface App {
  call(headers: Record<string, string>): Promise<AppAnswer>;
  close(): Promise<unknown>;
}

/** The name of the cookie that the apps take. */
export const COOKIE = "session";

/** The apps of all frameworks that have an adapter, by name. */
export const APPS: [name: string, start: (guard: Guard) => Promise<App>][] = [
  [
    "Express",
    async (guard) => {
      const app = express();
      app.use(forExpress.userlock(guard, { cookie: COOKIE }));
      app.get("/", (request, response) => {
        response.json({ subject: request.userlock?.subject });
      });
      return overHttp(createServer(app));
    },
  ],
  [
    "Fastify",
    async (guard) => {
      const app = fastify();
      await app.register(forFastify.userlock, { guard, cookie: COOKIE });
      app.get("/", async (request) => ({ subject: request.userlock?.subject }));
      const url = await app.listen({ host: "127.0.0.1", port: 0 });
      return { call: (headers) => answerOf(fetch(url, { headers })), close: () => app.close() };
    },
  ],
  [
    "Hono",
    async (guard) => {
      const app = new Hono<{ Variables: { userlock: Identity } }>();
      app.use(forHono.userlock(guard, { cookie: COOKIE }));
      app.get("/", (context) => context.json({ subject: context.get("userlock").subject }));
      return { call: (headers) => answerOf(app.request("/", { headers })), close: async () => {} };
    },
  ],
  [
    "a Web Request",
    async (guard) => {
      const handle = async (request: Request) => {
        const checked = await forHono.checkRequest(guard, request, { cookie: COOKIE });
        return checked instanceof Response ? checked : Response.json({ subject: checked.subject });
      };
      return {
        call: (headers) => answerOf(handle(new Request("http://app.example.com/", { headers }))),
        close: async () => {},
      };
    },
  ],
  ["Connect", connectApp],
  ["grpc-js", grpcApp],
];

async function overHttp(server: HttpServer): Promise<App> {
  const url = await listen(server);
  return { call: (headers) => answerOf(fetch(url, { headers })), close: () => closed(server) };
}

async function listen(server: HttpServer): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function closed(server: HttpServer): Promise<unknown> {
  server.close();
  server.closeAllConnections();
  return once(server, "close");
}

async function answerOf(response: Response | Promise<Response>): Promise<AppAnswer> {
  const { status, headers } = await response;
  const { subject } = (await (await response).json()) as { subject?: string };
  return {
    status,
    ...(subject !== undefined && { subject }),
    challenge: headers.get("www-authenticate"),
    retryAfter: headers.get("retry-after"),
  };
}

/** The HTTP status of a code, for one table of expectations. */
const statusOf = (isUnauthenticated: boolean, isUnavailable: boolean) =>
  isUnauthenticated ? 401 : isUnavailable ? 503 : 500;

async function connectApp(guard: Guard): Promise<App> {
  const server = createServer(
    connectNodeAdapter({
      interceptors: [forConnect.userlock(guard, { cookie: COOKIE })],
      routes: ({ service }) =>
        service(AuthzService, {
          authorize: (_, { values }) => ({ userId: values.get(forConnect.identity)?.subject ?? "nobody" }),
        }),
    }),
  );
  const client = createClient(
    AuthzService,
    createConnectTransport({ baseUrl: await listen(server), httpVersion: "1.1" }),
  );
  return {
    async call(headers) {
      try {
        const { userId } = await client.authorize({}, { headers });
        return { status: 200, subject: userId, challenge: null, retryAfter: null };
      } catch (error) {
        const { code, metadata } = ConnectError.from(error);
        return {
          status: statusOf(code === Code.Unauthenticated, code === Code.Unavailable),
          challenge: metadata.get("www-authenticate"),
          retryAfter: metadata.get("retry-after"),
        };
      }
    },
    close: () => closed(server),
  };
}

const asIs = (bytes: Buffer) => bytes;
const METHOD = { path: "/app.Echo/Who", requestStream: false, responseStream: false } as const;
const SERIALIZERS = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};

async function grpcApp(guard: Guard): Promise<App> {
  const server = new Server({ interceptors: [forGrpc.userlock(guard, { cookie: COOKIE })] });
  server.addService(
    { who: { ...METHOD, ...SERIALIZERS } },
    {
      who: (call: { metadata: Metadata }, callback: (error: null, answer: Buffer) => void) =>
        callback(null, Buffer.from(forGrpc.identityOf(call)?.subject ?? "nobody")),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  return {
    call: (headers) =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        const onAnswer = (error: ServiceError | null, answer?: Buffer) => {
          const header = (name: string) => error?.metadata.get(name)[0]?.toString() ?? null;
          const { code } = error ?? {};
          resolve({
            status: error ? statusOf(code === status.UNAUTHENTICATED, code === status.UNAVAILABLE) : 200,
            ...(answer && { subject: answer.toString() }),
            challenge: header("www-authenticate"),
            retryAfter: header("retry-after"),
          });
        };
        client.makeUnaryRequest(METHOD.path, asIs, asIs, Buffer.alloc(0), metadata, {}, onAnswer);
      }),
    async close() {
      client.close();
      server.forceShutdown();
    },
  };
}
