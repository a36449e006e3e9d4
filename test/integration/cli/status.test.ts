// Proves that userlock status shows an operator whether the server answers, and their own permissions.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { VERSION } from "../../../src/version.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

const status = (token: string, args: string[] = [], url = server.url) =>
  runUserlock(["status", ...args], { USERLOCK_URL: url, USERLOCK_TOKEN: token });

test("status shows address, readiness, version, store, instance, grants and permissions", async () => {
  const { code, stdout, stderr } = await status(ADMIN_TOKEN);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const facts = stdout.split("\n").map((line) => line.split(/ {2,}/));
  expect(facts).toEqual(
    expect.arrayContaining([
      ["address", server.url],
      ["server", "ready"],
      ["version", VERSION],
      ["store", "memory"],
      ["instance", "default"],
      ["you are", "admin"],
      ["by", "access token admin"],
      ["expires", "never"],
      ["grants", "INSTANCE_OWNER"],
      ["permissions", "user.read everywhere"],
      ["", "access.write everywhere"],
    ]),
  );
});

test("status shows the reach of a narrower token's permissions, and prints JSON", async () => {
  const made = await runUserlock(
    ["token", "create", "--subject", "s", "--role", "ORG_VIEWER", "--organization", "acme", "--expires", "1h"],
    { USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN },
  );
  const token = made.stdout.trim();
  expect((await status(token)).stdout).toMatch(/^permissions {2}user\.read in acme$/m);
  const { stdout } = await status(token, ["--output", "json"]);
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ url: server.url, alive: true, ready: true, subject: "s" },
    permissions: [{ permission: "user.read", organizationIds: ["acme"] }],
    server: { version: VERSION, store: "memory" },
  });
});

test("status shows that the server answers a caller without a valid token, and exits with 77 or 64", async () => {
  const wrong = await status("wrong-token-altogether");
  expect(wrong).toMatchObject({ code: 77, stderr: expect.stringMatching(/^userlock: TOKEN_INVALID: /) });
  expect(wrong.stdout).toMatch(/^server +ready$/m);
  const without = await status("");
  expect(without).toMatchObject({ code: 64, stderr: expect.stringMatching(/USERLOCK_TOKEN is not set/) });
  expect(without.stdout).toMatch(/^server +ready$/m);
});

test("status exits with 69 if no server answers or the server is not ready", async () => {
  const nobody = await status(ADMIN_TOKEN, [], "http://127.0.0.1:1");
  expect(nobody).toMatchObject({ code: 69, stderr: "userlock: no userlock answers at http://127.0.0.1:1\n" });
  expect(nobody.stdout).toMatch(/^server +does not answer$/m);

  const unready = createServer(({ url }, response) => {
    if (url === "/healthz") response.end("ok\n");
    else if (url === "/readyz") response.writeHead(503).end("not ready\n");
    else response.writeHead(200, { "content-type": "application/proto" }).end();
  }).listen(0, "127.0.0.1");
  await once(unready, "listening");
  try {
    const answer = await status(ADMIN_TOKEN, [], `http://127.0.0.1:${(unready.address() as AddressInfo).port}`);
    expect(answer.code).toBe(69);
    expect(answer.stdout).toMatch(/^server +not ready/m);
  } finally {
    unready.closeAllConnections();
    unready.close();
  }
});
