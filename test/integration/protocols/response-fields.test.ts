// Proves that the headers and trailers that a handler sets reach its caller on every door.
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { EventService, WatchEventsResponseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import type { ResponseFields } from "../../../src/rpc/handler.ts";
import { exchange } from "../../support/clients/http.ts";
import { fromBase64Pieces } from "../../support/clients/wires.ts";
import { serveOwn } from "../../support/servers/own-service.ts";

type Own = Awaited<ReturnType<typeof serveOwn>>;

function setFields(response: ResponseFields): void {
  // The door's own fields take precedence over the last of each.
  response.headers = { "x-place": "header", "content-type": "text/none" };
  response.trailers = { "x-end": "trailer", "grpc-status": "99" };
}

const failure = () => new DomainError("USER_NOT_FOUND", "There is no such user.");

const usersOf = (unaryDoor: boolean) =>
  serveOwn(
    UserService,
    {
      async getUser({ id }, { response }) {
        setFields(response);
        if (id === "none") throw failure();
        return { user: { details: { id } } };
      },
    },
    { unaryDoor },
  );

const servers = {} as { fast: Own; slow: Own; events: Own };

beforeAll(async () => {
  servers.fast = await usersOf(true);
  servers.slow = await usersOf(false);
  servers.events = await serveOwn(EventService, {
    async watchEvents({ after }, { response }, outlet) {
      setFields(response);
      if (after !== "") throw new DomainError("PERMISSION_MISSING", "There is no such user.");
      outlet.send(create(WatchEventsResponseSchema, { cursor: "1" }));
    },
  });
});

afterAll(async () => {
  for (const server of Object.values(servers)) await server.close();
});

const TRANSPORTS: [name: string, open: (baseUrl: string) => Transport][] = [
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC in JSON", (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false })],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["Connect", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["Connect by GET", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true })],
];

/** Headers and trailers as the client's callbacks get them. */
function listen() {
  const fields = { place: null as string | null, end: null as string | null };
  return {
    fields,
    onHeader: (headers: Headers) => {
      fields.place = headers.get("x-place");
    },
    onTrailer: (trailers: Headers) => {
      fields.end = trailers.get("x-end");
    },
  };
}

/** The fields that an error carries, which clients merge. */
async function fieldsOfError(call: Promise<unknown>) {
  const { rawMessage, metadata } = await call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (error) => ConnectError.from(error),
  );
  return { rawMessage, place: metadata.get("x-place"), end: metadata.get("x-end") };
}

const BOTH = { place: "header", end: "trailer" };
const FAILED = { rawMessage: "There is no such user.", ...BOTH };

describe.each(TRANSPORTS)("over %s", (_name, open) => {
  test.each(["fast", "slow"] as const)("an answer of the %s server has the handler's fields", async (name) => {
    const { fields, ...listeners } = listen();
    const users = createClient(UserService, open(servers[name].url));
    expect((await users.getUser({ id: "anna" }, listeners)).user?.details?.id).toBe("anna");
    expect(fields).toEqual(BOTH);
  });

  test.each(["fast", "slow"] as const)("an error of the %s server has the handler's fields", async (name) => {
    const users = createClient(UserService, open(servers[name].url));
    expect(await fieldsOfError(users.getUser({ id: "none" }))).toEqual(FAILED);
  });

  test("a stream has the handler's fields", async () => {
    const { fields, ...listeners } = listen();
    const cursors: string[] = [];
    const events = createClient(EventService, open(servers.events.url));
    for await (const { cursor } of events.watchEvents({}, listeners)) cursors.push(cursor);
    expect({ cursors, ...fields }).toEqual({ cursors: ["1"], ...BOTH });
  });

  test("a stream that fails has the handler's fields", async () => {
    const { fields, ...listeners } = listen();
    const events = createClient(EventService, open(servers.events.url));
    const stream = events.watchEvents({ after: "MQ" }, listeners)[Symbol.asyncIterator]();
    const { rawMessage, end } = await fieldsOfError(stream.next());
    expect({ rawMessage, place: fields.place, end }).toEqual(FAILED);
  });
});

describe("over gRPC-Web as text", () => {
  test.each(["anna", "none"])("the answer for %s has the handler's fields", async (id) => {
    const message = toBinary(UserService.method.getUser.input, create(UserService.method.getUser.input, { id }));
    const head = Buffer.from([0, 0, 0, 0, message.byteLength]);
    const type = "application/grpc-web-text+proto";
    const { headers, body } = await exchange(servers.fast.url, {
      path: `/${UserService.typeName}/GetUser`,
      headers: { "content-type": type },
      body: Buffer.concat([head, message]).toString("base64"),
    });
    expect(headers.get("x-place")).toBe("header");
    expect(headers.get("content-type")).toBe(type);
    expect(fromBase64Pieces(body.toString()).toString()).toContain("x-end: trailer\r\n");
  });
});

describe("over REST, which has no trailers,", () => {
  test.each([
    ["fast", "users/anna", 200, "application/json"],
    ["fast", "users/none", 404, "application/json"],
    ["events", "events/_watch", 200, "text/event-stream"],
    ["events", "events/_watch?after=MQ", 403, "application/json"],
  ] as const)("the %s server's answer to GET %s has the handler's headers", async (name, path, status, type) => {
    const answer = await exchange(servers[name].url, { verb: "GET", path: `/resources/v3alpha/${path}` });
    const fields = [answer.status, answer.headers.get("content-type"), answer.headers.get("x-place")];
    expect(fields).toEqual([status, type, "header"]);
    expect([...answer.headers.keys(), ...answer.trailers.keys()].filter((key) => key.includes("x-end"))).toEqual([]);
  });
});
