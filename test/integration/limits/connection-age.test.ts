// Proves that connections end at their age, and that no call fails because of it.
import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect, constants } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { openGrpcClient } from "../../support/clients/grpc-client.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { openWatchDoors } from "../../support/watch/watch-doors.ts";

const { createUser, getUser } = UserService.method;
/** Milliseconds. */
const AGE = 700;
const CALL = 3_000;
/** Time for several connections to reach their age. */
const LONG = 3_000;

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer({}, { connectionAgeMs: AGE, callMs: CALL });
});
afterAll(async () => {
  expect(await server?.stop()).toBe(0);
});

test("an HTTP/2 connection gets GOAWAY, and its running request is answered", async () => {
  const start = performance.now();
  const session = connect(server.url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/resources/v3alpha/users",
    authorization: `Bearer ${ADMIN_TOKEN}`,
    "content-type": "application/json",
  });
  stream.write('{"userId":');
  const [code] = await once(session, "goaway");
  expect(code).toBe(constants.NGHTTP2_NO_ERROR);
  expect(performance.now() - start).toBeGreaterThan(AGE * 0.9 - 50);
  stream.end('"goaway"}');
  const [headers] = await once(stream, "response");
  expect(headers[":status"]).toBe(201);
  stream.resume();
  await once(session, "close");
});

test("a grpc-js channel changes its connection without a failed call", async () => {
  const client = openGrpcClient(new URL(server.url).host, { token: ADMIN_TOKEN });
  try {
    await client.call(createUser, { user: { userId: "grpc" } });
    const codes = new Set<string>();
    for (const start = performance.now(); performance.now() - start < LONG; await sleep(5)) {
      codes.add((await client.call(getUser, { id: "grpc" })).code);
    }
    expect([...codes]).toEqual(["OK"]);
  } finally {
    client.close();
  }
});

test("a kept HTTP/1.1 connection is closed after an answer that says so, without a failed request", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  let closes = 0;
  for (const start = performance.now(); performance.now() - start < LONG; await sleep(5)) {
    const request = get(`${server.url}/healthz`, { agent });
    const [response] = await once(request, "response");
    sockets.add(request.socket);
    expect(response.statusCode).toBe(200);
    if (response.headers.connection === "close") closes++;
    response.resume();
    await once(response, "end");
  }
  agent.destroy();
  expect(closes).toBeGreaterThan(1);
  expect(sockets.size).toBeGreaterThan(closes - 1);
});

test("an event stream ends with CONNECTION_AGED at the age of its connection, and resumes on a new one", async () => {
  const doors = openWatchDoors(server.url);
  const ends = await Promise.all(doors.map(async (door) => ({ name: door.name, ...(await door.watch().ended) })));
  expect(ends).toEqual(doors.map(({ name }) => ({ name, code: "UNAVAILABLE", reason: "CONNECTION_AGED" })));
  for (const door of doors) {
    // A try may meet an old connection, which then closes.
    let isResumed = false;
    for (let tries = 0; !isResumed && tries < 10; tries++) {
      const stream = door.watch();
      isResumed = await stream.received(1).then(
        () => true,
        () => sleep(100, false),
      );
      stream.cancel();
    }
    expect({ door: door.name, isResumed }).toEqual({ door: door.name, isResumed: true });
  }
  for (const door of doors) door.close();
});
