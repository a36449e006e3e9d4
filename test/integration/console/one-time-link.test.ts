// Proves that the link of `userlock console` logs a browser in once, and that its session has a token of its own.
import { setTimeout as sleep } from "node:timers/promises";
import { tokenMaker } from "../../support/access.ts";
import { exchange } from "../../support/clients/http.ts";
import { askSession, CALL, cookieIn, outcomeOf, WHO_AM_I } from "../../support/console/session.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
const STORE = { USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}` };
let server: ServerProcess;
beforeAll(async () => {
  server = await startServer({ ...STORE, USERLOCK_LOG_LEVEL: "trace", USERLOCK_ACCESS_LOG: "all" });
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

/** Runs `userlock console` beside the server. Resolves with the code of its link. */
async function makeCode(...options: string[]): Promise<string> {
  const { code, stdout } = await runUserlock(["console", ...options], STORE);
  expect(code).toBe(0);
  return /^http:\/\/127\.0\.0\.1:8080\/console\/#code=([\w-]+)\n$/.exec(stdout)?.[1] as string;
}

const redeem = (code: string) => askSession(server.url, { body: JSON.stringify({ code }) });

const callWith = async (headers: Record<string, string>) =>
  outcomeOf(await exchange(server.url, { path: WHO_AM_I, headers: { ...CALL, ...headers }, body: "{}" }));

/** The tokens in the store that are not revoked, by their subject. */
async function tokensOf(subject: string): Promise<{ expires?: string }[]> {
  const path = `/resources/v3alpha/tokens?subject=${subject}`;
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const { result = [] } = (await (await fetch(server.url + path, { headers })).json()) as { result?: object[] };
  return result;
}

test("a link opens a session of 8 hours with its own token, and the code is used up", async () => {
  const code = await makeCode("--subject", "ada");
  expect(await tokensOf("ada")).toHaveLength(1);
  const answer = await redeem(code);
  expect(answer.status).toBe(204);
  expect(await callWith({ cookie: cookieIn(answer) })).toBe("ada");
  const [own, ...others] = await tokensOf("ada");
  expect(others).toEqual([]);
  const hours = (Date.parse(own?.expires as string) - Date.now()) / 3_600_000;
  expect(hours).toBeGreaterThan(7.9);
  expect(hours).toBeLessThanOrEqual(8);
  expect(answer.headers.get("set-cookie")).toMatch(/Max-Age=28800;/);

  const again = await redeem(code);
  expect({ status: again.status, reason: outcomeOf(again) }).toEqual({ status: 401, reason: "TOKEN_INVALID" });
  expect(await callWith({ authorization: `Bearer ${code}` })).toBe("TOKEN_INVALID");
  expect(server.stderr()).not.toContain(code);
});

test("of many exchanges of one code at the same time one wins, and the others leave no token", async () => {
  const code = await makeCode("--subject", "race");
  const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(code)));
  const outcomes = answers.map((answer) => (answer.status === 204 ? "in" : outcomeOf(answer)));
  expect(outcomes.sort()).toEqual([...Array(7).fill("TOKEN_INVALID"), "in"]);
  expect(await tokensOf("race")).toHaveLength(1);
});

test("logging out revokes the session's own token", async () => {
  const cookie = cookieIn(await redeem(await makeCode("--subject", "leaver")));
  const answer = await askSession(server.url, { verb: "DELETE", headers: { cookie } });
  expect(answer.status).toBe(204);
  expect(await callWith({ cookie })).toBe("TOKEN_INVALID");
  expect(await tokensOf("leaver")).toEqual([]);
  const twice = await askSession(server.url, { verb: "DELETE", headers: { cookie } });
  expect(twice.status).toBe(204);
});

test("a link that is opened in a browser with a session ends the token of that session", async () => {
  const cookie = cookieIn(await redeem(await makeCode("--subject", "first")));
  const body = JSON.stringify({ code: await makeCode("--subject", "second") });
  const answer = await askSession(server.url, { headers: { cookie }, body });
  expect(await callWith({ cookie: cookieIn(answer) })).toBe("second");
  expect(await tokensOf("first")).toEqual([]);
});

test("logging out leaves a token that was pasted", async () => {
  const { secret } = await tokenMaker(server.url, ADMIN_TOKEN).create("paster", ["INSTANCE_VIEWER"]);
  const cookie = cookieIn(await askSession(server.url, { body: JSON.stringify({ token: secret }) }));
  await askSession(server.url, { verb: "DELETE", headers: { cookie } });
  expect(await callWith({ authorization: `Bearer ${secret}` })).toBe("paster");
});

test("another site cannot log a browser in or out by a link", async () => {
  const code = await makeCode();
  const headers = { "sec-fetch-site": "cross-site", origin: "https://evil.example" };
  const body = JSON.stringify({ code });
  expect((await askSession(server.url, { headers, body })).status).toBe(403);
  expect((await redeem(code)).status).toBe(204);
});

test("a token that lives longer is no code, and stays", async () => {
  const tokens = tokenMaker(server.url, ADMIN_TOKEN);
  const { secret } = await tokens.create("lasting", ["INSTANCE_OWNER"]);
  const long = await tokens.createExpiring("long", 3_600_000);
  for (const code of [secret, long, "unknown-code-0123456789"]) {
    expect(outcomeOf(await redeem(code))).toBe("TOKEN_INVALID");
  }
  expect(await callWith({ authorization: `Bearer ${secret}` })).toBe("lasting");
});

test("a code of the last second is refused a moment later", async () => {
  const late = await tokenMaker(server.url, ADMIN_TOKEN).createExpiring("late", 1_000);
  await sleep(1_100);
  expect(outcomeOf(await redeem(late))).toBe("TOKEN_INVALID");
});

test("a key of idempotency does not make a code good twice", async () => {
  const body = JSON.stringify({ code: await makeCode() });
  const headers = { "idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324" };
  expect((await askSession(server.url, { headers, body })).status).toBe(204);
  expect((await askSession(server.url, { headers, body })).status).toBe(401);
});

test("a break-glass account opens the console, too", async () => {
  expect((await runUserlock(["admin", "create-user", "break-glass"], STORE)).code).toBe(0);
  const cookie = cookieIn(await redeem(await makeCode("--subject", "break-glass")));
  expect(await callWith({ cookie })).toBe("break-glass");
});

test.each<[what: string, options: string[], settings: Record<string, string>, address: string]>([
  ["--url", ["--url", "https://locks.example.com/"], {}, "https://locks.example.com"],
  ["the port", [], { USERLOCK_LISTEN: "0.0.0.0:9000" }, "http://127.0.0.1:9000"],
  ["IPv6", [], { USERLOCK_LISTEN: "[::]:9000" }, "http://[::1]:9000"],
  ["the admin listener", [], { USERLOCK_ADMIN_LISTEN: "127.0.0.1:9090" }, "http://127.0.0.1:9090"],
  [
    "the main port in any case",
    [],
    { USERLOCK_ADMIN_LISTEN: "127.0.0.1:9090", USERLOCK_CONSOLE: "public" },
    "http://127.0.0.1:8080",
  ],
])("the link names the server by %s", async (_, options, settings, address) => {
  const { stdout, stderr } = await runUserlock(["console", ...options], { ...STORE, ...settings });
  expect(stdout.split("#")[0]).toBe(`${address}/console/`);
  expect(stderr).toBe("The link works once, within 60 seconds.\n");
});

test("without a console there is no link", async () => {
  const { code, stdout } = await runUserlock(["console"], { ...STORE, USERLOCK_CONSOLE: "off" });
  expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
});
