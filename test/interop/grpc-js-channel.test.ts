// Proves that grpc-js channels work with concurrency, keepalive, compression and TLS.
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelCredentials, compressionAlgorithms, credentials } from "@grpc/grpc-js";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openGrpcClient } from "../support/clients/grpc-client.ts";
import { countPings } from "../support/clients/http2-frames.ts";
import { makeCertificate } from "../support/servers/certificate.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../support/servers/server-process.ts";
import { startRelay } from "../support/stores/relay.ts";
import { usersOf } from "../support/users.ts";

const { createUser, getUser, lockUser } = UserService.method;

let server: ServerProcess;
let users: ReturnType<typeof usersOf>;

beforeAll(async () => {
  server = await startServer();
  users = usersOf(server.url);
});

afterAll(async () => {
  await server?.stop();
});

/** Runs with a client that connects through a relay. */
async function throughRelay(
  channel: Record<string, number>,
  run: (client: ReturnType<typeof openGrpcClient>, seen: Awaited<ReturnType<typeof startRelay>>["seen"]) => unknown,
) {
  const { hostname, port } = new URL(server.url);
  const relay = await startRelay({ host: hostname, port: Number(port) });
  const client = openGrpcClient(relay.address, { token: ADMIN_TOKEN, channel });
  try {
    await run(client, relay.seen);
  } finally {
    client.close();
    await relay.stop();
  }
}

describe("200 concurrent calls over one grpc-js channel", () => {
  const CALLS = 200;
  const counted = (codes: string[]) =>
    Object.fromEntries([...new Set(codes)].map((code) => [code, countOf(codes, code)]));
  const countOf = (codes: string[], code: string) => codes.filter((each) => each === code).length;

  test("lock 200 users over one connection", () =>
    throughRelay({}, async (client, seen) => {
      const created = await Promise.all(Array.from({ length: CALLS }, () => client.call(createUser, { user: {} })));
      const ids = created.map(({ response }) => response?.details?.id as string);
      expect(new Set(ids).size).toBe(CALLS);
      const locked = await Promise.all(ids.map((id) => client.call(lockUser, { id })));
      expect(locked.map(({ response }) => response?.details?.id)).toEqual(ids);
      expect(seen.connections).toBe(1);
    }));

  test("lock one user once", () =>
    throughRelay({}, async (client, seen) => {
      const id = await users.add();
      const endings = await Promise.all(Array.from({ length: CALLS }, () => client.call(lockUser, { id })));
      expect(counted(endings.map(({ code, reason }) => reason ?? code))).toEqual({
        OK: 1,
        USER_ALREADY_LOCKED: CALLS - 1,
      });
      expect(seen.connections).toBe(1);
    }));
});

describe("keepalive of grpc-js", () => {
  test("keeps the connection of a client that pings often, with and without a call", () =>
    throughRelay(
      { "grpc.keepalive_time_ms": 50, "grpc.keepalive_timeout_ms": 10_000, "grpc.keepalive_permit_without_calls": 1 },
      async (client, seen) => {
        const id = await users.add();
        expect(await client.call(lockUser, { id })).toMatchObject({ code: "OK" });
        await sleep(1_000);
        const watched = client.stream(Health.method.watch, {});
        await watched.received(1);
        await sleep(1_000);
        watched.cancel();
        expect(await client.call(getUser, { id })).toMatchObject({ code: "OK" });

        expect(countPings(seen.toServer, "ping")).toBeGreaterThan(10);
        expect(countPings(seen.toClient, "answer")).toBeGreaterThan(10);
        expect(seen.connections).toBe(1);
      },
    ));
});

describe("gzip with grpc-js", () => {
  const GZIP = Buffer.from([0x1f, 0x8b, 0x08]);
  const text = "x".repeat(2_000);

  test("reads a compressed request and compresses the answer", () =>
    throughRelay({ "grpc.default_compression_algorithm": compressionAlgorithms.gzip }, async (client, seen) => {
      const created = await client.call(createUser, { user: { data: { text } } });
      const id = created.response?.details?.id as string;
      const { response } = await client.call(getUser, { id });
      expect(response?.user?.data).toEqual({ text });
      for (const bytes of [seen.toServer, seen.toClient]) {
        expect(bytes.includes(GZIP)).toBe(true);
        expect(bytes.includes(text)).toBe(false);
      }
    }));

  test("reads an uncompressed request", () =>
    throughRelay({}, async (client, seen) => {
      const created = await client.call(createUser, { user: { data: { text } } });
      expect(created.code).toBe("OK");
      expect(seen.toServer.includes(text)).toBe(true);
    }));
});

describe("TLS with grpc-js", () => {
  const folder = temporaryFolder();
  let secure: ServerProcess;
  let cert: Buffer;

  beforeAll(async () => {
    const certificate = await makeCertificate(folder);
    cert = certificate.cert;
    secure = await startServer(certificate.settings);
  });

  afterAll(async () => {
    await secure?.stop();
    folder.remove();
  });

  /** By name, because a TLS handshake names no address (RFC 6066, section 3). */
  async function withClient(
    channelCredentials: ChannelCredentials,
    run: (client: ReturnType<typeof openGrpcClient>) => unknown,
  ) {
    const channel = { "grpc.ssl_target_name_override": "localhost" };
    const options = { token: ADMIN_TOKEN, credentials: channelCredentials, channel };
    const client = openGrpcClient(new URL(secure.url).host, options);
    try {
      await run(client);
    } finally {
      client.close();
    }
  }

  test.each([
    { client: "a client that trusts other certificates", make: () => credentials.createSsl() },
    { client: "a client in cleartext", make: () => credentials.createInsecure() },
  ])("gives UNAVAILABLE to $client", ({ make }) =>
    withClient(make(), async (client) => {
      expect(await client.call(createUser, { user: {} })).toMatchObject({ code: "UNAVAILABLE" });
    }),
  );

  test("lets a client that trusts the certificate lock a user once", () =>
    withClient(credentials.createSsl(cert), async (client) => {
      const id = (await client.call(createUser, { user: {} })).response?.details?.id as string;
      expect(await client.call(lockUser, { id })).toMatchObject({ code: "OK" });
      expect(await client.call(lockUser, { id })).toMatchObject({
        code: "FAILED_PRECONDITION",
        reason: "USER_ALREADY_LOCKED",
      });
      const { response } = await client.call(getUser, { id });
      expect(response?.user?.state).toBe(State.USER_STATE_LOCKED);
    }));
});
