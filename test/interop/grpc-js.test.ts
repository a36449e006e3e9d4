// Proves that grpc-js clients can call a server.
import { ZITADELUsers as Published } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_service_pb.js";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { AccessService } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { openGrpcClient } from "../support/clients/grpc-client.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/servers/server-process.ts";
import { usersOf } from "../support/users.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

type Client = ReturnType<typeof openGrpcClient>;

let server: ServerProcess;
let users: ReturnType<typeof usersOf>;
let client: Client;
let stranger: Client;

beforeAll(async () => {
  server = await startServer();
  users = usersOf(server.url);
  const address = new URL(server.url).host;
  client = openGrpcClient(address, { token: ADMIN_TOKEN });
  stranger = openGrpcClient(address);
});

afterAll(async () => {
  client?.close();
  stranger?.close();
  await server?.stop();
});

describe.each([UserService, ZITADELUsers])(
  "$name called by grpc-js",
  ({ method: { createUser, getUser, lockUser, unlockUser } }) => {
    test("creates a user, locks the user once, and shows the lock", async () => {
      const created = await client.call(createUser, { user: {} });
      const id = created.response?.details?.id as string;
      const locked = await client.call(lockUser, { id, reason: "fraud" });
      expect(locked).toMatchObject({ code: "OK", response: { details: { id } } });

      expect(await client.call(lockUser, { id })).toMatchObject({
        code: "FAILED_PRECONDITION",
        reason: "USER_ALREADY_LOCKED",
      });
      const { response } = await client.call(getUser, { id });
      expect(response?.user).toMatchObject({ state: State.USER_STATE_LOCKED, lock: { reason: "fraud" } });
      expect(await client.call(unlockUser, { id })).toMatchObject({ code: "OK" });
    });

    test("answers UNAUTHENTICATED without a token", async () => {
      const { code, reason } = await stranger.call(lockUser, { id: "u" });
      expect({ code, reason }).toEqual({ code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" });
    });

    test("returns the caller's request id in the metadata", async () => {
      const metadata = { "x-request-id": "case-42" };
      for (const id of [await users.add(), "nobody"]) {
        const { header } = await client.call(lockUser, { id }, { metadata });
        expect(header?.get("x-request-id")).toEqual(["case-42"]);
      }
    });

    test("answers a call within its deadline", async () => {
      const id = await users.add();
      expect(await client.call(lockUser, { id }, { deadline: Date.now() + 20_000 })).toMatchObject({ code: "OK" });
    });

    test("ends a call at its deadline, and the lock is either complete or absent", async () => {
      const id = await users.add();
      // As metadata, so that the server ends the call, not the client.
      const { code, reason } = await client.call(lockUser, { id }, { metadata: { "grpc-timeout": "1n" } });
      expect({ code, reason }).toEqual({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });

      const { response } = await client.call(getUser, { id });
      const isLocked = response?.user?.state === State.USER_STATE_LOCKED;
      expect(response?.user?.lock !== undefined).toBe(isLocked);
      const again = await client.call(lockUser, { id });
      expect(again.reason).toBe(isLocked ? "USER_ALREADY_LOCKED" : undefined);
    });

    test("gives no answer to a call with a past deadline", async () => {
      expect(await client.call(getUser, { id: "u" }, { deadline: Date.now() - 1 })).toMatchObject({
        code: "DEADLINE_EXCEEDED",
      });
    });
  },
);

test("an unknown method called by grpc-js gets UNIMPLEMENTED", async () => {
  const { code, reason } = await client.call(Published.method.requestPasswordReset, {});
  expect({ code, reason }).toEqual({ code: "UNIMPLEMENTED", reason: "NOT_SERVED" });
});

describe("grpc.health.v1 called by grpc-js", () => {
  const { check, watch } = Health.method;
  const SERVICES = ["", UserService.typeName, ZITADELUsers.typeName, AccessService.typeName];

  test.each(SERVICES)('answers SERVING without a token to Check of "%s"', async (service) => {
    expect(await stranger.call(check, { service })).toMatchObject({ code: "OK", response: { status: SERVING } });
  });

  test("answers NOT_FOUND to Check of an unknown service", async () => {
    expect(await stranger.call(check, { service: "no.Such" })).toMatchObject({ code: "NOT_FOUND" });
  });

  test.each([
    ["", SERVING],
    ["no.Such", SERVICE_UNKNOWN],
  ])('sends the status at once to Watch of "%s", until the client cancels', async (service, status) => {
    const watched = stranger.stream(watch, { service });
    await watched.received(1);
    watched.cancel();
    expect(await watched.ended).toMatchObject({ code: "CANCELLED" });
    expect(watched.messages).toMatchObject([{ status }]);
  });

  test("ends Watch at its caller's deadline", async () => {
    const watched = stranger.stream(watch, {}, { deadline: Date.now() + 700 });
    expect(await watched.ended).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(watched.messages).toMatchObject([{ status: SERVING }]);
  });

  test("sends NOT_SERVING to Watch when the server stops, and ends it with UNAVAILABLE", async () => {
    const stopping = await startServer();
    const watcher = openGrpcClient(new URL(stopping.url).host);
    try {
      const watched = watcher.stream(watch, {});
      await watched.received(1);
      expect(await stopping.stop()).toBe(0);
      expect(await watched.ended).toEqual({ code: "UNAVAILABLE", reason: "SHUTTING_DOWN" });
      expect(watched.messages).toMatchObject([{ status: SERVING }, { status: NOT_SERVING }]);
    } finally {
      watcher.close();
      await stopping.stop();
    }
  });
});
