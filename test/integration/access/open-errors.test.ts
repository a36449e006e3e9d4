// Proves that errors of services without a token are the server's or the caller's, whichever is at fault.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health, type HealthCheckResponse_ServingStatus } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { serveOwn } from "../../support/servers/own-service.ts";

let server: Awaited<ReturnType<typeof serveOwn>>;

/** No int32, so that a response with it cannot be written. */
const UNWRITABLE = (2 ** 40) as HealthCheckResponse_ServingStatus;

beforeAll(async () => {
  server = await serveOwn(
    UserService,
    {},
    {
      open(router) {
        router.service(Health, {
          check: ({ service }) => {
            if (service === "throws") throw new ConnectError("broken", Code.Internal);
            return { status: UNWRITABLE };
          },
          async *watch({ service }) {
            if (service === "throws") throw new ConnectError("broken", Code.Internal);
            yield { status: UNWRITABLE };
          },
        });
        router.service(ServerReflection, {
          async *serverReflectionInfo(requests) {
            for await (const { host } of requests) {
              if (host === "throws") throw new ConnectError("broken", Code.Internal);
              yield { messageResponse: { case: "errorResponse", value: { errorCode: UNWRITABLE } } };
            }
          },
        });
      },
    },
  );
});

afterAll(() => server?.close());

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (reason) => ConnectError.from(reason),
  );
  return Code[error.code] as string;
}

async function codeOfStream(stream: AsyncIterable<unknown>): Promise<string> {
  return codeOf(stream[Symbol.asyncIterator]().next());
}

describe.each(["throws", "answers what cannot be written"])(
  "INTERNAL of an open service that %s is INTERNAL over",
  (service) => {
    test.each([
      ["gRPC", () => createGrpcTransport({ baseUrl: server.url })],
      ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "2" })],
      ["Connect", () => createConnectTransport({ baseUrl: server.url, httpVersion: "2" })],
    ])("%s", async (_name, open) => {
      const health = createClient(Health, open());
      const reflection = createClient(ServerReflection, open());
      async function* requests() {
        yield { host: service };
      }
      expect(await codeOf(health.check({ service }))).toBe("Internal");
      expect(await codeOfStream(health.watch({ service }))).toBe("Internal");
      expect(await codeOfStream(reflection.serverReflectionInfo(requests()))).toBe("Internal");
    });
  },
);
