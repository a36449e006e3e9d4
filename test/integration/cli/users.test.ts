// Proves that userlock user shows, lists, creates and deletes users of a running server.
import { writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const UNTIL = `${new Date().getUTCFullYear() + 5}-01-01T00:00:00Z`;

const folder = temporaryFolder();
let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

const userlock = (args: string[], input: string[] = [], terminal = {}, token = ADMIN_TOKEN) =>
  runUserlock(args, { USERLOCK_URL: server.url, USERLOCK_TOKEN: token }, { stdin: input, terminal });
const good = async (...args: string[]) => {
  const answer = await userlock(args);
  expect(answer).toMatchObject({ code: 0 });
  return answer;
};
/** The values that `user show` prints, by name. */
const factsOf = (stdout: string) =>
  Object.fromEntries(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => /^\s*(.+?)\s{2,}(.*)$/.exec(line)?.slice(1) as [string, string]),
  );

test("user create prints the id, and user show shows the given values", async () => {
  const made = await userlock(
    [
      ...["user", "create", "ann", "--organization", "acme", "--username", "ann", "--username", "Ann A"],
      ...["--email", "ann@example.com", "--email-verified", "--phone", "+41 44 668 18 00"],
      ...["--password-file", "-", "--schema-id", "employee", "--data", '{"department":"sales"}'],
    ],
    ["correct horse battery staple\n"],
  );
  expect(made).toEqual({ code: 0, stdout: "ann\n", stderr: "" });
  const client = createClient(SessionService, createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const login = { user: { case: "userId" as const, value: "ann" }, password: "correct horse battery staple" };
  await client.createSession(login, { headers });

  const { stdout } = await good("user", "show", "ann");
  expect(factsOf(stdout)).toMatchObject({
    id: "ann",
    lifecycle: "active",
    lock: "not locked",
    sessions: "1",
    organization: "acme",
    "user names": "ann, Ann A",
    email: "ann@example.com",
    phone: "+41 44 668 18 00 (not verified)",
    schema: "employee",
    data: '{"department":"sales"}',
    password: expect.stringMatching(/^set \d{4}-/),
  });
  const viewer = (await good("token", "create", "--subject", "v", "--role", "INSTANCE_VIEWER")).stdout.trim();
  expect(factsOf((await userlock(["user", "show", "ann"], [], {}, viewer)).stdout)).not.toHaveProperty("sessions");
});

test("user create without an id prints the generated one", async () => {
  expect((await good("user", "create")).stdout).toMatch(/^\d{24}\n$/);
  expect(JSON.parse((await good("user", "create", "--output", "json")).stdout)).toEqual({
    id: expect.stringMatching(/^\d{24}$/),
  });
});

test("user show shows both axes of a locked and inactive user, and its JSON is that of the API", async () => {
  await good("user", "create", "bob");
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  await fetch(`${server.url}/resources/v3alpha/users/bob/_deactivate`, { method: "POST", headers, body: "{}" });
  await good("user", "lock", "bob", "--reason", "fraud", "--note", "A\u001b[31mwave", "--until", UNTIL);
  const { stdout } = await good("user", "show", "bob");
  expect(factsOf(stdout)).toMatchObject({
    lifecycle: "inactive",
    lock: "locked, manual",
    reason: "fraud",
    note: "A [31mwave",
    "locked by": "admin",
    until: UNTIL.replace("Z", ".000Z"),
    organization: "none, the instance owns the user",
  });
  const json = await good("user", "show", "bob", "--output", "json");
  expect(JSON.parse(json.stdout)).toMatchObject({ state: "USER_STATE_LOCKED", lock: { reason: "fraud" } });
  await good("user", "unlock", "bob");
  expect(factsOf((await good("user", "show", "bob")).stdout)).toMatchObject({
    lifecycle: "inactive",
    lock: "not locked",
  });
});

test("user list prints a head and pages, filters by state and text, and reports when it stops early", async () => {
  const ids = Array.from({ length: 1_103 }, (_, index) => `m${String(index).padStart(4, "0")}`);
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  const users = `${server.url}/resources/v3alpha/users`;
  for (let at = 0; at < ids.length; at += 50) {
    await Promise.all(
      ids.slice(at, at + 50).map((userId) =>
        fetch(users, {
          method: "POST",
          headers,
          body: JSON.stringify({ userId, contact: { email: { address: `${userId}@many.example` } } }),
        }),
      ),
    );
  }
  const many = ["--email-contains", "@many.example"];
  const idsOf = (stdout: string) =>
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t")[0]);

  const first = await good("user", "list", ...many);
  expect(idsOf(first.stdout)).toEqual(["ID", ...ids.slice(0, 100)]);
  expect(first.stderr).toBe("100 of 1,103 users; --all lists the rest\n");
  expect(await good("user", "list", ...many, "--limit", "2")).toMatchObject({ stderr: "" });
  const all = await good("user", "list", ...many, "--all");
  expect(idsOf(all.stdout)).toEqual(["ID", ...ids]);
  expect(all.stderr).toBe("");

  await good("lock", "m0007", "m1100");
  expect(idsOf((await good("user", "list", ...many, "--state", "locked")).stdout)).toEqual(["ID", "m0007", "m1100"]);
  const json = await good("user", "list", ...many, "--state", "locked", "--output", "json");
  expect(
    json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).details.id),
  ).toEqual(["m0007", "m1100"]);
  const onTerminal = await userlock(["user", "list", ...many, "--limit", "1"], [], { isTTY: true, columns: 200 });
  expect(stripVTControlCharacters(onTerminal.stdout)).toMatch(
    /^ID {5}STATE {3}LIFECYCLE.*\nm0000 {2}active {2}active.*m0000@many\.example\n$/,
  );
  expect((await good("user", "list", "--email-contains", "@nowhere.example")).stdout).toMatch(/^ID\tSTATE\t.*\n$/);
});

test("JSON of a user with control characters in the data has them as escapes", async () => {
  const data = { nick: "\u009B31m\u202E" };
  await good("user", "create", "hostile", "--data", JSON.stringify(data));
  for (const command of [
    ["show", "hostile"],
    ["list", "--all"],
  ]) {
    const { stdout } = await good("user", ...command, "--output", "json");
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202E]/u);
    expect(stdout).toContain(String.raw`"nick":"\u009b31m\u202e"`);
  }
});

test("user delete asks on a terminal, needs --yes elsewhere, and deletes", async () => {
  await good("user", "create", "gone");
  expect(await userlock(["user", "delete", "gone"])).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("add --yes"),
  });
  await good("user", "show", "gone");
  const terminal = { isTTY: true };
  expect(await userlock(["user", "delete", "gone"], ["n\n"], terminal)).toEqual({
    code: 1,
    stdout: "",
    stderr: "Delete gone for good? [y/N] Nothing was changed.\n",
  });
  expect(await userlock(["user", "delete", "gone"], ["y\n"], terminal)).toMatchObject({ code: 0 });
  expect(await userlock(["user", "show", "gone"])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^userlock: USER_NOT_FOUND: /),
  });
  expect(await userlock(["user", "create", "gone"])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^userlock: USER_ALREADY_EXISTS: /),
  });
});

test.each([
  [["user", "list", "--all", "--limit", "3"], "give --limit or --all, not both"],
  [["user", "list", "--state", "frozen"], "--state must be one of active, inactive, locked"],
  [["user", "create", "x", "--data", "[]"], "--data must be a JSON object"],
  [["user", "create", "x", "--data", "{"], "--data must be a JSON object"],
  [["user", "create", "x", "--change-required"], "--change-required goes with --password-file"],
  [["user", "create", "x", "--password-file", folder.file("empty")], "no password in its first line"],
  [
    ["user", "create", "x", "--password-file", folder.file("nowhere")],
    "cannot be read: there is no such file or folder",
  ],
  [["user", "delete"], "ID is missing"],
])("%j is refused with: %s", async (args, says) => {
  writeFileSync(folder.file("empty"), "\n");
  const answer = await userlock(args);
  expect(answer).toMatchObject({ code: 64, stdout: "" });
  expect(answer.stderr).toContain(says);
});
