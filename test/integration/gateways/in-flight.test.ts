// Proves that nginx, Caddy and HAProxy admit no request after the answer of LockUser, whatever was in flight.
import type { ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { startApp } from "../../support/gateways/app.ts";
import { KINDS, startGateway } from "../../support/gateways/gateways.ts";
import { openVisitor, visitHttp2 } from "../../support/gateways/visit.ts";
import { addUser, asOwner, ok, openSession } from "../../support/logins.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const AT_ONCE = 1_000;
const LATE = 200;
const SESSIONS = 10;

const folder = temporaryFolder();
let app: Awaited<ReturnType<typeof startApp>>;
let server: ServerProcess;
let doors: Door[] = [];
let door: Door;
let cert: Awaited<ReturnType<typeof makeCertificate>>;

beforeAll(async () => {
  [app, server, cert] = await Promise.all([
    startApp(),
    // With the usual limit of time, a busy host would refuse requests for another reason than the lock.
    startServer(
      {
        USERLOCK_CONNECTIONS_PER_ADDRESS: "0",
        USERLOCK_ACCESS_LOG: "all",
        USERLOCK_LOGIN_ORIGINS: "https://login.example.com",
      },
      { authzMs: 30_000 },
    ),
    makeCertificate(folder),
  ]);
  doors = openDoors(server.url);
  door = doors.find(({ name }) => name === "REST") as Door;
});

afterAll(async () => {
  for (const each of doors) each.close();
  await server?.stop("SIGKILL");
  await app?.stop();
  folder.remove();
});

test.each(Object.keys(KINDS))(
  "%s admits no request after the answer of LockUser, with 1,000 in flight",
  async (name) => {
    const gateway = await startGateway(name, folder.file(name), {
      userlock: new URL(server.url).host,
      app: app.address,
      cert: cert.certFile,
      key: cert.settings.USERLOCK_TLS_KEY,
      token: "no-token-is-needed",
      isPatient: true,
    });
    const visitor = openVisitor(gateway.port, cert.cert);
    const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => visitor.http2()));
    try {
      const user = await addUser(door, { id: name });
      const { sessionToken } = await openSession(door, user);
      const statuses: number[] = [];
      let [sent, lockedAt] = [0, Number.POSITIVE_INFINITY];
      const visit = async () => {
        const id = `${name}-${sent++}`;
        const headers = { authorization: `Bearer ${sessionToken}`, "x-request-id": id };
        return { id, ...(await visitHttp2(sessions[sent % SESSIONS] as ClientHttp2Session, "/", headers)) };
      };
      const first = Promise.withResolvers<void>();
      /** Keeps a request in flight until the lock is answered. */
      const keepVisiting = async () => {
        while (performance.now() < lockedAt) {
          statuses.push((await visit()).status);
          first.resolve();
        }
      };
      const early = Promise.all(Array.from({ length: AT_ONCE }, keepVisiting));
      await Promise.race([first.promise, early]);
      ok(await door.call(UserService.method.lockUser, { id: user }, asOwner));
      lockedAt = performance.now();
      // By the clock of the log, from which the monotonic one drifts.
      const lockedTime = Date.now();
      expect(sent - statuses.length).toBe(AT_ONCE);
      const late = await Promise.all(Array.from({ length: LATE }, visit));
      await early;

      // On a busy host a gateway may not connect to userlock in time. Its answer is then 503, which admits nobody.
      expect(new Set([...statuses, 503])).toEqual(new Set([200, 401, 503]));
      // Whatever a client sent after the answer is refused, and never reaches the app.
      expect(new Set([...late.map(({ status }) => status), 503])).toEqual(new Set([401, 503]));
      const arrived = new Map(app.arrivals.map(({ at, headers }) => [headers["x-request-id"] as string, at]));
      expect(late.filter(({ id }) => arrived.has(id))).toEqual([]);
      // What reached the app after the answer was asked about before it. The log rounds to milliseconds.
      const after = [...arrived].filter(([id, at]) => id.startsWith(name) && at > lockedAt);
      const checks = await checksOf(after.map(([id]) => id));
      expect(checks.filter(([, time]) => time > lockedTime + 1)).toEqual([]);
    } finally {
      for (const session of sessions) session.destroy();
      visitor.close();
      await gateway.stop();
    }
  },
  60_000,
);

/** When the server began the check of each request, in milliseconds since the Unix epoch, by its access log. */
async function checksOf(ids: readonly string[]): Promise<[id: string, time: number][]> {
  let missing: string[] = [];
  for (let waited = 0; waited < 5_000; waited += 50) {
    const lines = server
      .stderr()
      .split("\n")
      .filter((line) => line.includes("AuthzService/Authorize") && line.endsWith("}"));
    const times = new Map(
      lines.map((line) => {
        const { requestId, time, durationMs } = JSON.parse(line);
        return [requestId as string, new Date(time).getTime() - durationMs];
      }),
    );
    missing = ids.filter((id) => !times.has(id));
    if (missing.length === 0) return ids.map((id) => [id, times.get(id) as number]);
    await sleep(50);
  }
  throw new Error(`the log has no check of ${missing.join(", ")}, of ${ids.length} requests`);
}
