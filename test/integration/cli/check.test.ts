// Proves that userlock check and userlock config tell an operator about the server of their settings.

import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

test("check ends with 0 for a ready server, without and with TLS, and for a server that listens everywhere", async () => {
  const tls = (await makeCertificate(folder)).settings;
  const cases: Record<string, string>[] = [{}, tls, { USERLOCK_LISTEN: "0.0.0.0:0" }];
  for (const settings of cases) {
    const server = await startServer(settings);
    const { host, port } = new URL(server.url);
    const USERLOCK_LISTEN = settings.USERLOCK_LISTEN ? `0.0.0.0:${port}` : host;
    const { code, stdout, stderr } = await runUserlock(["check"], { ...settings, USERLOCK_LISTEN });
    await server.stop();
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${USERLOCK_LISTEN} is ready\n`, stderr: "" });
  }
});

test("check ends with 69 if nothing listens, and says so", async () => {
  const USERLOCK_LISTEN = `127.0.0.1:${await freePort()}`;
  const { code, stderr } = await runUserlock(["check"], { USERLOCK_LISTEN });
  expect(code).toBe(69);
  expect(stderr).toBe(`userlock: ${USERLOCK_LISTEN} is not ready: nothing listens there\n`);
});

test("check --wait waits for a server that starts later, and no longer than that", async () => {
  const USERLOCK_LISTEN = `127.0.0.1:${await freePort()}`;
  const checked = runUserlock(["check", "--wait", "60s"], { USERLOCK_LISTEN });
  const server = await startServer({ USERLOCK_LISTEN });
  expect((await checked).code).toBe(0);
  await server.stop();
  const start = performance.now();
  expect((await runUserlock(["check", "--wait", "1s"], { USERLOCK_LISTEN })).code).toBe(69);
  expect(performance.now() - start).toBeGreaterThan(800);
});

test("check gives up on something else that answers slowly on the port", async () => {
  const slow = createServer((socket) => {
    const drip = setInterval(() => socket.write("x"), 200);
    socket.on("error", () => {}).on("close", () => clearInterval(drip));
  });
  await once(slow.listen(0, "127.0.0.1"), "listening");
  const USERLOCK_LISTEN = `127.0.0.1:${(slow.address() as AddressInfo).port}`;
  const start = performance.now();
  expect((await runUserlock(["check"], { USERLOCK_LISTEN })).code).toBe(69);
  expect(performance.now() - start).toBeLessThan(10_000);
  slow.close();
});

test("config prints every setting with its source, and no secret", async () => {
  const environment = { USERLOCK_ADMIN_TOKEN: "0123456789abcdef", USERLOCK_LOG_LEVEL: "warn" };
  const { code, stdout } = await runUserlock(["config"], environment);
  expect(code).toBe(0);
  expect(stdout).toContain("USERLOCK_LOG_LEVEL\twarn\tenvironment\n");
  expect(stdout).toContain("USERLOCK_ADMIN_TOKEN\t(hidden)\tenvironment\n");
  expect(stdout).not.toContain(environment.USERLOCK_ADMIN_TOKEN);
  const json = await runUserlock(["config", "--output", "json"], environment);
  expect(JSON.parse(json.stdout.split("\n")[0] as string)).toEqual({
    name: "USERLOCK_LISTEN",
    value: "127.0.0.1:8080",
    from: "default",
  });
});

test("config ends with 78 for a bad setting", async () => {
  const { code, stderr } = await runUserlock(["config"], { USERLOCK_LISTEN: "8080" });
  expect(code).toBe(78);
  expect(stderr).toContain("USERLOCK_LISTEN: must be host:port");
});
