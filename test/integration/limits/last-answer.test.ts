// Proves that an HTTP/1.1 connection ends with an announced answer, and that no request after it is carried out.
import { once } from "node:events";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { openGrpcClient } from "../../support/clients/grpc-client.ts";
import { openRaw } from "../../support/clients/http.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { usersOf } from "../../support/users.ts";

const { getUser } = UserService.method;
/** Milliseconds. */
const AGE = 800;
/** The time of a failed login, which is longer than the age. */
const SLOW = 1_200;

let server: ServerProcess;
let users: ReturnType<typeof usersOf>;
beforeAll(async () => {
  server = await startServer({}, { connectionAgeMs: AGE, callMs: 3_000, loginSlotMs: SLOW });
  users = usersOf(server.url);
});
afterAll(async () => {
  expect(await server?.stop()).toBe(0);
});

const post = (path: string, body: string, more = "") =>
  `POST /resources/v3alpha${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n` +
  `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
const lock = (id: string) => post(`/users/${id}/_lock`, "{}");
const slowLogin = () => post("/sessions", '{"userId":"nobody","password":"wrong"}');
const HEALTHY = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

const answers = (received: Buffer) => received.toString().match(/^HTTP\/1\.1 \d+/gm)?.length ?? 0;
const closes = (received: Buffer) => received.toString().match(/^connection: close/gim)?.length ?? 0;

async function isLocked(id: string): Promise<boolean> {
  const client = openGrpcClient(new URL(server.url).host, { token: ADMIN_TOKEN });
  const { response } = await client.call(getUser, { id });
  client.close();
  return response?.user?.lock !== undefined;
}

test("an answer that began before the age and ends after it says so, and it is the last one", async () => {
  const id = await users.add();
  const { write, received, closed } = await openRaw(server.url);
  await sleep(AGE / 2);
  write(slowLogin());
  while (answers(received()) === 0) await sleep(5);
  write(lock(id));
  const all = await closed();
  expect([answers(all), closes(all), await isLocked(id)]).toEqual([1, 1, false]);
});

test("requests in one packet behind the last answer are not carried out", async () => {
  const [first, second] = [await users.add(), await users.add()];
  const { write, closed } = await openRaw(server.url);
  write(HEALTHY);
  await sleep(AGE * 1.4);
  write(HEALTHY + lock(first) + lock(second));
  const all = await closed();
  // The first of the three requests was the latest when it was answered, or the answer came after all three.
  const done = answers(all) - 2;
  expect(closes(all)).toBe(1);
  expect([await isLocked(first), await isLocked(second)]).toEqual([done > 0, done > 1]);
});

test("pipelined requests that run at the age are all answered, and the next answer is the last one", async () => {
  const id = await users.add();
  const { write, received, closed } = await openRaw(server.url);
  await sleep(AGE / 2);
  write(slowLogin() + lock(id) + HEALTHY);
  while (answers(received()) < 3) await sleep(5);
  write(HEALTHY);
  const all = await closed();
  expect([answers(all), closes(all), await isLocked(id)]).toEqual([4, 1, true]);
});

test("a request to upgrade is answered and the last one, so its packet cannot smuggle another request", async () => {
  const smuggled = HEALTHY;
  const head = post("/users", smuggled).slice(0, -smuggled.length);
  const { write, closed } = await openRaw(server.url);
  write(`GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${head}`);
  await sleep(100);
  write(smuggled);
  const all = await closed();
  expect([answers(all), closes(all)]).toEqual([1, 1]);
});

test("no call of a keep-alive agent fails or stays unanswered while its connections change", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const outcomes = new Set<string>();
  const sockets = new Set<unknown>();
  const end = Date.now() + 4 * AGE;
  const work = async () => {
    while (Date.now() < end) {
      try {
        const sent = request(`${server.url}/resources/v3alpha/users`, {
          method: "POST",
          agent,
          headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
        });
        sent.end("{}");
        const [response] = await once(sent, "response");
        sockets.add(sent.socket);
        outcomes.add(String(response.statusCode));
        await once(response.resume(), "end");
      } catch (error) {
        outcomes.add(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  agent.destroy();
  expect([...outcomes]).toEqual(["201"]);
  expect(sockets.size).toBeGreaterThan(8);
});

test("a stream of health ends with CONNECTION_AGED at the age of its connection", async () => {
  const client = openGrpcClient(new URL(server.url).host);
  const watched = client.stream(Health.method.watch, {});
  expect(await watched.ended).toEqual({ code: "UNAVAILABLE", reason: "CONNECTION_AGED" });
  client.close();
});
