// Proves that userlock user import creates the users of a table or of NDJSON, and goes on where it stopped.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { hashSync } from "@node-rs/bcrypt";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
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
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

const env = () => ({ USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN });
const imported = (args: string[], input: string[] = []) =>
  runUserlock(["user", "import", ...args], env(), { stdin: input });
const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
const transport = () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" });
const userOf = async (id: string) => (await createClient(UserService, transport()).getUser({ id }, { headers })).user;
let files = 0;
function fileOf(text: string, extension = "csv"): string {
  const file = folder.file(`${++files}.${extension}`);
  writeFileSync(file, text);
  return file;
}

test("a table with a head: mapped columns, hashes, data, and failures that name line and reason", async () => {
  const hash = hashSync("correct horse", 4);
  const file = fileOf(
    [
      "login;id;email;emailVerified;bcrypt;dept;data.level;organization",
      `ann;ann;ann@example.com;yes;${hash};sales;"3;4";`,
      "bob;bob;bob@example.com;;;;;acme",
      "cat;cat x;;;;;;",
      "dan;dan;dan@example.com;perhaps;;;;",
      "ann;eve;;;;;;",
      ";fay;no-address;;;;;",
    ].join("\n"),
  );
  const map = ["--map", "username=login", "--map", "passwordHash=bcrypt", "--map", "data.department=dept"];
  const dry = await imported([file, ...map, "--dry-run"]);
  expect(dry.code).toBe(1);
  expect(dry.stdout.split("\n").map((line) => line.split("\t").slice(0, 2))).toEqual([
    ['"cat x"', "INVALID_REQUEST"],
    ["dan", "INVALID_REQUEST"],
    [""],
  ]);
  expect(dry.stderr).toMatch(/^dry run: would create 4; failed 2 \(INVALID_REQUEST 2\) in /);
  await expect(userOf("ann")).rejects.toThrow();

  const { code, stdout, stderr } = await imported([file, ...map]);
  expect(code).toBe(1);
  const failures = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  expect(failures.map(([id, reason]) => [id, reason])).toEqual([
    ['"cat x"', "INVALID_REQUEST"],
    ["dan", "INVALID_REQUEST"],
    ["eve", "USERNAME_TAKEN"],
    ["fay", "INVALID_REQUEST"],
  ]);
  expect(failures[1]?.[2]).toBe("line 5: emailVerified must be true or false");
  expect(failures[3]?.[2]).toMatch(/^line 7: /);
  expect(stderr).toMatch(/^created 2; existed before 0; failed 4 \(INVALID_REQUEST 3, USERNAME_TAKEN 1\) in /);
  expect(await userOf("ann")).toMatchObject({
    contact: { email: { address: "ann@example.com", isVerified: true } },
    authenticators: { usernames: [{ username: "ann" }] },
    data: { department: "sales", level: "3;4" },
  });
  expect(await userOf("bob")).toMatchObject({ details: { owner: { id: "acme" } } });
  const login = { user: { case: "loginName" as const, value: "ann" }, password: "correct horse" };
  expect(await createClient(SessionService, transport()).createSession(login, { headers })).toMatchObject({
    changeRequired: false,
  });

  const again = await imported([file, ...map]);
  expect(again.stderr).toMatch(/^created 0; existed before 2; failed 4 /);
});

test("NDJSON from stdin: lists of names, data as an object, and JSON failures", async () => {
  const rows = [
    {
      id: "n1",
      username: ["n-one", "N One"],
      data: { tags: ["a", 1] },
      password: "correct horse battery",
      phone: "+41 44 668 18 00",
    },
    { id: 17, changeRequired: "maybe" },
  ];
  const input = rows.map((row) => `${JSON.stringify(row)}\n`);
  const args = ["-", "--format", "ndjson", "--organization", "acme", "--change-required", "--output", "json"];
  const { code, stdout, stderr } = await imported(args, input);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    id: "17",
    reason: "INVALID_REQUEST",
    message: "line 2: changeRequired must be true or false",
  });
  expect(stderr).toMatch(/^created 1; existed before 0; failed 1 /);
  const user = await userOf("n1");
  expect(user?.authenticators?.usernames.map(({ username }) => username)).toEqual(["n-one", "N One"]);
  expect(user).toMatchObject({ data: { tags: ["a", 1] }, details: { owner: { id: "acme" } } });
  const login = { user: { case: "userId" as const, value: "n1" }, password: "correct horse battery" };
  expect(await createClient(SessionService, transport()).createSession(login, { headers })).toMatchObject({
    changeRequired: true,
  });
});

test.each<[text: string, extension: string, args: string[], says: string]>([
  ["id,colour\na,red\n", "csv", [], "the header has unknown columns: colour"],
  ["id,id\na,b\n", "csv", [], "has the column id twice"],
  ["id\na,b\n", "csv", [], "line 2: there are 2 values and 1 columns"],
  ['id\n"a\n', "csv", [], "line 2: a quote is opened and not closed"],
  ["id\n", "csv", [], "the file has no users"],
  ["{}\n[1]\n", "ndjson", [], "line 2: must be a JSON object"],
  ["{}\n{\n", "jsonl", [], "line 2: must be a JSON object"],
  ["id\na\n", "csv", ["--map", "email=mail"], "--map: there is no column mail"],
  ["id\na\n", "csv", ["--map", "mail=id"], "--map: there is no field mail; did you mean email?"],
  ["id\na\n", "csv", ["--map", "email"], "--map must be FIELD=COLUMN, not email"],
  ["id\na\n", "csv", ["--map", "email=id", "--map", "phone=id"], "the column id is mapped twice"],
])("%j as %s with %j is refused with: %s", async (text, extension, args, says) => {
  const answer = await imported([fileOf(text, extension), ...args]);
  expect(answer).toMatchObject({ code: 64, stdout: "" });
  expect(answer.stderr).toContain(says);
});

test("other columns are left out when that is asked for", async () => {
  expect(await imported([fileOf("id,colour\nleft,red\n"), "--ignore-other-columns"])).toMatchObject({ code: 0 });
});

test("a bad token ends the import instead of failing each row", async () => {
  const file = fileOf("id\nnever1\nnever2\n");
  const answer = await runUserlock(["user", "import", file], { ...env(), USERLOCK_TOKEN: "wrong-token-altogether" });
  expect(answer).toMatchObject({ code: 77, stdout: "", stderr: expect.stringContaining("TOKEN_INVALID") });
});

test("--resume goes on after a SIGKILL, and each user is created once", async () => {
  const ids = Array.from({ length: 3_000 }, (_, index) => `r${String(index).padStart(4, "0")}`);
  const file = fileOf(`id\n${ids.join("\n")}\n`);
  const place = folder.file("place");
  const child: ChildProcess = spawn(process.execPath, ["src/main.ts", "user", "import", file, "--resume", place], {
    env: { ...withoutSettings(process.env), ...env() },
    stdio: "ignore",
  });
  await until(() => existsSync(place));
  child.kill("SIGKILL");
  await once(child, "exit");
  const { done } = JSON.parse(readFileSync(place, "utf8")) as { done: number };
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(3_000);
  const other = await imported([fileOf(`id\n${[...ids].reverse().join("\n")}\n`), "--resume", place]);
  expect(other).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("the file differs from that of the earlier run"),
  });

  const { code, stderr } = await imported([file, "--resume", place]);
  expect(code).toBe(0);
  expect(stderr).toContain(`continuing after ${done.toLocaleString("en")} rows\n`);
  // A call that was cut off is known by its key, and counts as created.
  expect(stderr).toMatch(/^created 3,000; existed before 0; failed 0 in /m);
  expect(existsSync(place)).toBe(false);
});
