// Proves that userlock events lists the log and follows it across a restart of the server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { followEvents } from "../../../src/cli/event/follow.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import {
  ADMIN_TOKEN,
  type ServerProcess,
  startServer,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";
import { until } from "../../support/stores/appends.ts";

const folder = temporaryFolder();
let server: ServerProcess;
let listen: string;
const start = () => startServer({ USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}`, USERLOCK_LISTEN: listen });
beforeAll(async () => {
  listen = `127.0.0.1:${await freePort()}`;
  server = await start();
  for (const id of ["ann", "bob"]) await good("user", "create", id);
  await good("lock", "ann", "--reason", "fraud", "--note", "Reported.", "--duration", "1h");
  await good("lock", "bob");
  await good("unlock", "ann");
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

const env = () => ({ USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN });
const userlock = (...args: string[]) => runUserlock(args, env());
const good = async (...args: string[]) => {
  const answer = await userlock(...args);
  expect(answer).toMatchObject({ code: 0 });
  return answer;
};
const rowsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));

test("events lists events newest first, filtered by flags, with the lock in the details", async () => {
  const [head, ...rows] = rowsOf((await good("events", "--type", "user.locked", "--type", "user.unlocked")).stdout);
  expect(head).toEqual(["TIME", "TYPE", "USER", "ACTOR", "ADDRESS", "DETAILS", "CURSOR"]);
  expect(rows.map(([, type, user, actor, , details]) => [type, user, actor, details])).toEqual([
    ["user.unlocked", "ann", "admin", "manual"],
    ["user.locked", "bob", "admin", "manual"],
    ["user.locked", "ann", "admin", expect.stringMatching(/^fraud, Reported\., until \d{4}-/)],
  ]);
  const typesOf = async (...args: string[]) =>
    rowsOf((await good("events", "--user", "ann", ...args)).stdout)
      .slice(1)
      .map(([, type]) => type);
  expect(await typesOf("--oldest-first")).toEqual(["user.created", "user.locked", "user.unlocked"]);
  expect(await typesOf("--since", "1h")).toEqual(["user.unlocked", "user.locked", "user.created"]);
  expect(await typesOf("--before", "1h")).toEqual([]);
  expect(await typesOf("--since", "2020-01-01T00:00:00Z", "--actor", "nobody")).toEqual([]);
});

test("events with --limit, --after and --all reads the log in parts", async () => {
  const first = await good("events", "--oldest-first", "--limit", "2", "--output", "json");
  const lines = first.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(first.stderr).toBe("");
  expect(lines).toHaveLength(2);
  const rest = await good("events", "--oldest-first", "--all", "--after", lines[1].cursor, "--output", "json");
  const all = await good("events", "--oldest-first", "--all", "--output", "json");
  expect(first.stdout + rest.stdout).toBe(all.stdout);
});

test.each([
  [["--follow", "--actor", "admin"], "--actor does not go with --follow"],
  [["--follow", "--since", "1h"], "--since does not go with --follow"],
  [["--all", "--limit", "2"], "give --limit or --all, not both"],
  [["--since", "yesterday"], "--since must be a time with its zone"],
])("events %j is refused with: %s", async (args, says) => {
  const answer = await userlock("events", ...args);
  expect(answer).toMatchObject({ code: 64, stdout: "" });
  expect(answer.stderr).toContain(says);
});

test("events --follow prints each event once, also across a restart of the server, and exits with 0 on Ctrl-C", async () => {
  const args = ["src/main.ts", "events", "--follow", "--after", "0", "--type", "user.locked", "--output", "json"];
  const child = spawn(process.execPath, args, {
    env: { ...withoutSettings(process.env), ...env() },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const users = () =>
    stdout
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line).userId);
  try {
    await until(() => users().length === 2);
    await server.stop("SIGKILL");
    await until(() => stderr.includes("connecting again after "));
    server = await start();
    await good("lock", "ann");
    await until(() => users().length === 3);
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    expect(code).toBe(0);
    expect(users()).toEqual(["ann", "bob", "ann"]);
    expect(stderr).toMatch(/stopped; --after \w+ goes on from here\n$/);
  } finally {
    child.kill("SIGKILL");
  }
});

test("events --follow ends with the server's refusal, and soon if no server answers", async () => {
  const answer = await runUserlock(["events", "--follow"], { ...env(), USERLOCK_TOKEN: "wrong-token-altogether" });
  expect(answer).toMatchObject({ code: 77, stdout: "", stderr: expect.stringMatching(/^userlock: TOKEN_INVALID: /) });
  const nobody = await runUserlock(["events", "--follow"], { ...env(), USERLOCK_URL: "http://127.0.0.1:1" });
  expect(nobody).toMatchObject({ code: 69, stderr: expect.stringContaining("nothing listens at USERLOCK_URL") });
}, 60_000);

test("events --follow replaces a silent connection", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const baseUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const client = createClient(EventService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  const stop = new AbortController();
  const written: string[] = [];
  const screen = { write: (text: string) => written.push(text) };
  const around = { stdout: screen, stderr: screen, env: {} };
  const following = followEvents(client, {}, undefined, around, stop.signal, 200);
  try {
    await until(() => written.length >= 2);
    expect(written[0]).toBe("the connection is silent; connecting again\n");
    stop.abort();
    await following;
  } finally {
    silent.close();
    await sleep(0);
  }
});
