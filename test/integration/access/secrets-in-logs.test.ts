// Proves that the log contains no secret of a request.
import { setTimeout as sleep } from "node:timers/promises";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { type SetPassword, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange } from "../../support/clients/http.ts";
import { JSON_WIRES, WIRES } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startUserlock } from "../../support/servers/server-process.ts";

const asOwner = { token: ADMIN_TOKEN };
const REST = "/resources/v3alpha";
/** A text that is part of every secret in this test. */
const SECRET = "hush-4711";

let server: ServerProcess;
let doors: Door[] = [];

beforeAll(async () => {
  server = await startUserlock({ USERLOCK_LOG_LEVEL: "trace", USERLOCK_ACCESS_LOG: "all" });
  doors = openDoors(server.url);
});
afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const { createUser, setPassword, getUser, lockUser } = UserService.method;
const { createSession, getSession, listSessions, deleteSession, deleteSessions, introspectToken } =
  SessionService.method;

const password = (value: string, current?: string) =>
  ({
    type: { case: "password", value },
    ...(current && { verification: { case: "currentPassword", value: current } }),
  }) as SetPassword;

/** Sends secrets in their proper places, in calls that fail. Resolves with the secrets that the server made. */
async function useSecrets(door: Door, index: number): Promise<string[]> {
  const id = `user-${index}`;
  await door.call(
    createUser,
    { user: { userId: id, authenticators: { password: password(`${SECRET}-right`) } } },
    asOwner,
  );
  const user = { case: "userId", value: id } as const;
  const { response } = await door.call(createSession, { user, password: `${SECRET}-right` }, asOwner);
  const { sessionId = "", sessionToken = "", deviceToken = "" } = response ?? {};
  expect(sessionToken).not.toBe("");
  await door.call(createSession, { user, password: `${SECRET}-wrong`, deviceToken: `${SECRET}-device` }, asOwner);
  await door.call(createSession, { user, password: SECRET.repeat(200) }, asOwner);
  await door.call(introspectToken, { token: `${SECRET}-token` }, asOwner);
  await door.call(introspectToken, { token: sessionToken }, { token: SECRET });
  await door.call(getSession, { sessionId: "none", sessionToken: `${SECRET}-session` }, { token: sessionToken });
  await door.call(
    setPassword,
    { id, newPassword: password(`${SECRET}-new`, `${SECRET}-wrong`) },
    { token: sessionToken },
  );
  await door.call(
    setPassword,
    { id, newPassword: { type: { case: "hash", value: `$${SECRET}` } } as SetPassword },
    asOwner,
  );
  // Tokens and passwords in the place of an id, also by a caller who may not see users.
  for (const named of [`${SECRET}-id`, sessionToken, ADMIN_TOKEN]) {
    for (const method of [getUser, lockUser, listSessions, deleteSessions]) {
      await door.call(method, { id: named, reason: "fraud" }, asOwner);
      await door.call(method, { id: named, reason: "fraud" }, { token: sessionToken });
    }
    await door.call(createSession, { user: { case: "userId", value: named }, password: "a-password" }, asOwner);
    await door.call(createSession, { user: { case: "loginName", value: named }, password: "a-password" }, asOwner);
    await door.call(getSession, { sessionId: named }, asOwner);
  }
  await door.call(deleteSession, { sessionId, sessionToken }, { token: sessionToken });
  await door.call(getSession, { sessionId, sessionToken }, { token: sessionToken });
  return [sessionToken, deviceToken];
}

/** The log, once it has this text. */
async function logUntil(pattern: string): Promise<string> {
  for (let waited = 0; waited < 500; waited++) {
    if (new RegExp(pattern).test(server.stderr())) break;
    await sleep(10);
  }
  expect(server.stderr()).toMatch(new RegExp(pattern));
  return server.stderr();
}

test("at the finest log level no password, token, body or path is logged, whatever fails", async () => {
  const made = (await Promise.all(doors.map(useSecrets))).flat();

  for (const wire of JSON_WIRES) {
    for (const body of [
      `{"password":"${SECRET}"`,
      `{"password":"${SECRET}",}`,
      `${SECRET}`,
      `{"${SECRET}":1,"${SECRET}":2}`,
      `{"userId":{"${SECRET}":"x"},"password":["${SECRET}"]}`,
      `{"userId":"${SECRET} ${SECRET}","password":"${SECRET}"}`,
      `{"organization":{"${SECRET}":1},"deviceToken":{"a":"${SECRET}"}}`,
    ]) {
      for (const gzip of [false, true]) {
        const path = wire.name === "REST" ? `${REST}/sessions` : "/userlock.v3alpha.SessionService/CreateSession";
        await exchange(server.url, { ...wire.request(Buffer.from(body), { gzip }), path });
      }
    }
  }
  for (const wire of WIRES) await exchange(server.url, wire.request(Buffer.from(SECRET)));

  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  for (const [verb, path] of [
    ["GET", `/${SECRET}`],
    ["GET", `${REST}/sessions/a?session_token=${SECRET}`],
    ["POST", `${REST}/sessions?password=${SECRET}`],
    ["GET", `${REST}/users/${SECRET}!`],
    ["GET", `${REST}/users/${SECRET}?${SECRET}=${SECRET}`],
    ["PUT", `${REST}/users/${SECRET}`],
    ["GET", `${REST}/events?cursor=${SECRET}`],
    ["GET", `${REST}/events?types=${SECRET}`],
    ["POST", `/userlock.v3alpha.UserService/${SECRET}`],
    ["GET", `/userlock.v3alpha.UserService/GetUser?encoding=json&message={"${SECRET}"`],
    ["GET", `/${SECRET}/%`],
  ] as const) {
    for (const version of [1, 2] as const) {
      await exchange(server.url, { version, verb, path, headers });
      await exchange(server.url, {
        version,
        verb,
        path,
        headers: { ...headers, "content-type": `application/grpc+${SECRET}` },
      });
    }
  }
  const bad = { authorization: `Bearer ${SECRET}`, "idempotency-key": `${SECRET}\t`, "connect-timeout-ms": SECRET };
  for (const authorization of [
    `Basic ${Buffer.from(`${SECRET}:${SECRET}`).toString("base64")}`,
    `Digest username="${SECRET}"`,
    `Bearer ${SECRET} ${SECRET}`,
    `bearer ${SECRET}.${SECRET}.${SECRET}`,
    SECRET,
  ]) {
    const fields = { authorization, "user-agent": SECRET, traceparent: SECRET, tracestate: SECRET, cookie: SECRET };
    for (const wire of WIRES) {
      const request = wire.request(Buffer.from(`{"password":"${SECRET}"`));
      await exchange(server.url, { ...request, headers: { ...request.headers, ...fields } });
    }
  }
  await exchange(server.url, { path: `${REST}/users/a/_lock`, headers: bad });
  await exchange(server.url, { path: `${REST}/users/a/_lock`, headers: { ...bad, ...headers } });

  await exchange(server.url, { path: `${REST}/users/user-0/_lock`, headers: { ...headers, "user-agent": SECRET } });
  const log = await logUntil("LockUser.*user-0");
  // Each refused call has a line with its reason.
  for (const reason of ["LOGIN_FAILED", "INVALID_REQUEST", "TOKEN_INVALID", "METHOD_NOT_FOUND"]) {
    expect(log).toContain(reason);
  }
  for (const secret of [SECRET, ADMIN_TOKEN, ...made]) expect(log).not.toContain(secret);
  expect(log).not.toContain(Buffer.from(`${SECRET}:${SECRET}`).toString("base64"));
});

test("a text of a caller cannot begin a line of the log, or colour it", async () => {
  const forged = Buffer.from('{"level":"fatal"} \u009b31m \u2028').toString("latin1");
  await exchange(server.url, {
    path: `${REST}/users/user-0/_unlock?${encodeURIComponent(`\n{"level":"fatal"}`)}`,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "user-agent": forged, "x-request-id": forged },
  });
  await exchange(server.url, { path: `${REST}/users/user-0/_unlock`, headers: { authorization: forged } });
  const log = await logUntil("UnlockUser.*TOKEN_INVALID");
  for (const line of log.trimEnd().split("\n")) {
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(["debug", "info", "warn", "error"]).toContain(JSON.parse(line).level);
  }
});
