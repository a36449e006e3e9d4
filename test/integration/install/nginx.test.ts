// Proves that userlock serves all protocols and streams behind nginx with the settings in deploy/nginx.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { openGrpcClient } from "../../support/clients/grpc-client.ts";
import { exchange } from "../../support/clients/http.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { runCommand } from "../../support/servers/command.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const NGINX = "/usr/sbin/nginx";
/** As root, nginx would run its workers as a user who cannot enter the test's folder. */
const USER = process.getuid?.() === 0 ? "user root;" : "";
const text = readFileSync("deploy/nginx/nginx.conf", "utf8");
const folder = temporaryFolder();
const file = folder.file("nginx.conf");
let server: ServerProcess;
let nginx: ChildProcess;
let printed = "";
let address: string;
let ca: Buffer;

beforeAll(async () => {
  const { cert, settings } = await makeCertificate(folder);
  ca = cert;
  server = await startServer({ USERLOCK_CONNECTIONS_PER_ADDRESS: "0" });
  address = `127.0.0.1:${await freePort()}`;
  writeFileSync(
    file,
    text
      .replaceAll("/tmp/", `${folder.path}/nginx-`)
      .replaceAll("server userlock:8080;", `server ${new URL(server.url).host};`)
      .replace("listen 8443", `listen ${address}`)
      .replace("/run/secrets/tls-cert", settings.USERLOCK_TLS_CERT)
      .replace("/run/secrets/tls-key", settings.USERLOCK_TLS_KEY)
      .replace("worker_processes auto", "worker_processes 1"),
  );
  nginx = spawn(NGINX, ["-e", "stderr", "-c", file, "-g", `${USER} daemon off;`], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 120_000,
  });
  nginx.stderr?.setEncoding("utf8").on("data", (chunk) => {
    printed += chunk;
  });
  await reachable();
});

afterAll(async () => {
  nginx?.kill();
  if (nginx?.exitCode === null) await once(nginx, "exit");
  expect(await server?.stop()).toBe(0);
  folder.remove();
});

/** Waits until nginx listens. */
async function reachable(): Promise<void> {
  for (let waited = 0; ; waited += 20) {
    const found = await exchange(`https://${address}`, { verb: "GET", path: "/healthz", ca }).catch(() => undefined);
    if (found) return;
    if (nginx.exitCode !== null || waited > 10_000) throw new Error(`nginx does not serve: ${printed}`);
    await sleep(20);
  }
}

test("nginx finds no mistake in its settings, and does in wrong ones", async () => {
  const check = (path: string) => runCommand(NGINX, ["-t", "-q", "-e", "stderr", "-c", path, "-g", USER]);
  expect(await check(file)).toEqual({ code: 0, stdout: "", stderr: "" });
  const wrong = folder.file("wrong.conf");
  writeFileSync(wrong, readFileSync(file, "utf8").replaceAll("grpc_pass", "grpc_passes"));
  expect((await check(wrong)).stderr).toContain('unknown directive "grpc_passes"');
});

test.each(WIRES)("creates a user over $name", async (wire) => {
  const answer = await exchange(`https://${address}`, { ...wire.request(wire.encode({})), ca });
  expect(wire.read(answer)).toMatchObject({ code: "OK" });
});

test("shows errors of userlock with their reasons over gRPC, and streams events as they happen", async () => {
  const client = openGrpcClient(address, { token: ADMIN_TOKEN, credentials: credentials.createSsl(ca) });
  const id = "watched";
  const { createUser, lockUser } = UserService.method;
  expect(await client.call(createUser, { user: { userId: id } })).toMatchObject({ code: "OK" });
  const stream = client.stream(EventService.method.watchEvents, { userIds: [id], types: ["user.locked"] });
  // The first message is the place from which the stream begins.
  await stream.received(1);
  expect(await client.call(lockUser, { id, reason: "fraud" })).toMatchObject({ code: "OK" });
  expect(await client.call(lockUser, { id })).toMatchObject({ reason: "USER_ALREADY_LOCKED" });
  await stream.received(2);
  expect(stream.messages[1]?.event).toMatchObject({ type: "user.locked", userId: id });
  stream.cancel();
  client.close();
});

test("streams server-sent events as they happen", async () => {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const request = get(`https://${address}/resources/v3alpha/events/_watch`, { ca, headers });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const [first] = await once(response, "data");
  expect(String(first)).toMatch(/^id: /m);
  const json = { ...headers, "content-type": "application/json" };
  const body = JSON.stringify({ userId: "seen" });
  await exchange(`https://${address}`, { path: "/resources/v3alpha/users", headers: json, body, ca });
  let seen = "";
  while (!seen.includes('"seen"')) seen += (await once(response, "data"))[0];
  expect(seen).toContain('"user.created"');
  request.destroy();
});

test("takes a message as large as userlock takes, and lets userlock refuse a larger one", async () => {
  const send = (bytes: number) => {
    const userIds = Array.from({ length: 10_000 }, (_, index) => `${index}`.padStart(bytes / 10_000 - 3, "u"));
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
    const path = "/userlock.v3alpha.UserService/BatchLockUsers";
    return exchange(`https://${address}`, { path, headers, body: JSON.stringify({ ids: userIds }), ca });
  };
  const answer = await send(5 * 2 ** 20);
  expect(JSON.parse(answer.body.toString()).details[0].debug.reason).toBe("TOO_LARGE");
});

test("nginx ends a connection to userlock before userlock does", () => {
  const seconds = (name: string) =>
    [...text.matchAll(new RegExp(`${name} (\\d+)([sm]);`, "g"))].map(
      ([, count, unit]) => Number(count) * (unit === "m" ? 60 : 1),
    );
  expect(seconds("keepalive_timeout").map((time) => time * 1_000 < LIMITS.keepAliveMs)).toEqual([true, true]);
  // userlock ends a connection up to 10 % earlier.
  expect(seconds("keepalive_time").map((time) => time * 1_000 < 0.9 * LIMITS.connectionAgeMs)).toEqual([true, true]);
  const patience = [...seconds("proxy_read_timeout"), ...seconds("grpc_read_timeout")];
  expect(patience.map((time) => time * 1_000 > 2 * LIMITS.heartbeatMs && time * 1_000 > LIMITS.callMs)).toEqual([
    true,
    true,
  ]);
});
