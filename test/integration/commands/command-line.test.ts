// Proves that commands do their work, report mistakes, and exit with the right code.
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { runUserlockProcess, runUserlock as userlock } from "../../support/servers/run-userlock.ts";
import { type ServerProcess, startUserlock, temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

/** A server that creates its first token. */
const startFresh = (name: string) =>
  startUserlock({ USERLOCK_STORE: `sqlite:${folder.file(`${name}/userlock.db`)}`, USERLOCK_ADMIN_TOKEN: "" });
const tokenOf = (name: string) => readFileSync(folder.file(`${name}/admin.token`), "utf8").trim();
const users = (server: ServerProcess, token: string) =>
  fetch(`${server.url}/resources/v3alpha/users/_search`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: "[]",
  });

describe("the first token of a store", () => {
  test("is created with the folder and the file, all private, and is not printed", async () => {
    const server = await startFresh("first");
    try {
      const token = tokenOf("first");
      expect(token).toMatch(/^userlock_[\w-]{43}$/);
      expect(statSync(folder.file("first/admin.token")).mode & 0o777).toBe(0o600);
      expect(statSync(folder.file("first/userlock.db")).mode & 0o777).toBe(0o600);
      expect(statSync(folder.file("first")).mode & 0o777).toBe(0o700);
      expect((await users(server, token)).status).toBe(200);
      await server.stop();
      expect(server.stdout() + server.stderr()).not.toContain(token);
    } finally {
      await server.stop();
    }
  });

  test("is kept by a second start", async () => {
    const first = await startFresh("second");
    await first.stop();
    const token = tokenOf("second");
    const second = await startFresh("second");
    try {
      expect((await users(second, token)).status).toBe(200);
      expect(tokenOf("second")).toBe(token);
    } finally {
      await second.stop();
    }
  });

  test("works at the next start after a crash between its file and the store", async () => {
    mkdirSync(folder.file("crashed"));
    writeFileSync(folder.file("crashed/admin.token"), "userlock_written-before-the-crash\n", { mode: 0o600 });
    const server = await startFresh("crashed");
    try {
      expect((await users(server, "userlock_written-before-the-crash")).status).toBe(200);
    } finally {
      await server.stop();
    }
  });

  test("is the same for servers that start together on an empty store", async () => {
    const servers = await Promise.all(Array.from({ length: 4 }, () => startFresh("together")));
    try {
      const token = tokenOf("together");
      for (const server of servers) expect((await users(server, token)).status).toBe(200);
      const response = await fetch(`${servers[0]!.url}/resources/v3alpha/tokens`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(await response.json()).toMatchObject({ result: [{ subject: "admin" }] });
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
  });
});

describe("userlock token", () => {
  let server: ServerProcess;
  let environment: Record<string, string>;
  beforeAll(async () => {
    server = await startFresh("cli");
    environment = { USERLOCK_URL: server.url, USERLOCK_TOKEN: tokenOf("cli") };
  });
  afterAll(() => server?.stop());

  test("create prints only a working secret, list shows the token, and revoke ends it", async () => {
    const made = await userlock(
      ["token", "create", "--subject", "ci", "--role", "ORG_VIEWER", "--organization", "a", "--expires", "30d"],
      environment,
    );
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toMatch(/^userlock_[\w-]{43}\n$/);
    const token = made.stdout.trim();
    expect((await users(server, token)).status).toBe(200);

    const listed = await userlock(["token", "list"], environment);
    const line = listed.stdout.split("\n").find((row) => row.includes("\tci\t")) as string;
    const [id, subject, roles, expires] = line.split("\t");
    expect([subject, roles]).toEqual(["ci", "ORG_VIEWER@a"]);
    const end = Date.parse(expires as string);
    expect(listed.stdout).toMatch(/^ID\tSUBJECT\tGRANTS\tEXPIRES\n/);
    expect(Math.abs(end - Date.now() - 30 * 86_400_000)).toBeLessThan(60_000);

    expect(await userlock(["token", "revoke", id as string], environment)).toMatchObject({ code: 0, stdout: "" });
    expect((await users(server, token)).status).toBe(401);
  });

  test("create applies --expires", async () => {
    const made = await userlock(
      ["token", "create", "--subject", "x", "--role", "INSTANCE_VIEWER", "--expires", "1s"],
      environment,
    );
    await sleep(1_100);
    expect((await users(server, made.stdout.trim())).status).toBe(401);
  });

  test.each<[args: string[], environment: Record<string, string>, code: number, reason: string]>([
    [["create", "--role", "GATEWAY"], {}, 64, "--subject"],
    [["create", "--subject", "s"], {}, 64, "--role"],
    [["create", "--subject", "s", "--role", "ROOT"], {}, 64, "INSTANCE_OWNER"],
    [["create", "--subject", "s", "--role", "GATEWAY", "--expires", "soon"], {}, 64, "--expires"],
    [["create", "--subject", "s", "--role", "GATEWAY", "--colour", "red"], {}, 64, "--colour"],
    [["create", "--subject", "s s", "--role", "GATEWAY"], {}, 1, "INVALID_REQUEST"],
    [["create", "--subject", "s", "--role", "ORG_OWNER"], {}, 1, "INVALID_REQUEST"],
    [["revoke"], {}, 64, "TOKEN_ID is missing"],
    [["revoke", "nothing"], {}, 1, "TOKEN_NOT_FOUND"],
    [["freeze"], {}, 64, "create, list, revoke"],
    [["list"], { USERLOCK_TOKEN: "wrong-token-altogether" }, 77, "TOKEN_INVALID"],
    [["list"], { USERLOCK_TOKEN: "" }, 64, "USERLOCK_TOKEN"],
    [["list"], { USERLOCK_URL: "nowhere" }, 64, "such as http://nowhere"],
    [
      ["list"],
      { USERLOCK_URL: "localhost:8080" },
      64,
      "begin it with http:// or https://, such as http://localhost:8080",
    ],
    [["list"], { USERLOCK_URL: "http://127.0.0.1:1" }, 69, "does not answer: nothing listens at USERLOCK_URL"],
  ])("%j with %j exits with %i and the text %s", async (args, more, code, reason) => {
    const answer = await userlock(["token", ...args], { ...environment, ...more });
    expect(answer).toMatchObject({ code, stdout: "" });
    expect(answer.stderr).toContain(reason);
    expect(answer.stderr).not.toMatch(/\n\s+at /);
  });
});

test("all invalid settings are reported at once with exit code 78", async () => {
  const { code, stdout, stderr } = await userlock(["serve"], {
    USERLOCK_STORE: "mysql://localhost/userlock",
    USERLOCK_LISTEN: "nowhere",
    USERLOCK_COLOUR: "red",
  });
  expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
  for (const name of ["USERLOCK_STORE", "USERLOCK_LISTEN", "USERLOCK_COLOUR"]) expect(stderr).toContain(name);
});

test.each<[what: string, environment: () => Record<string, string>]>([
  [
    "a used port",
    () => ({ USERLOCK_LISTEN: new URL(taken.url).host, USERLOCK_STORE: `sqlite:${folder.file("p.db")}` }),
  ],
  ["a file that is not a store", () => ({ USERLOCK_STORE: `sqlite:${folder.file("text.db")}` })],
  ["a store in a folder that is a file", () => ({ USERLOCK_STORE: `sqlite:${folder.file("text.db/x.db")}` })],
  [
    "an invalid certificate",
    () => ({
      USERLOCK_TLS_CERT: folder.file("text.db"),
      USERLOCK_TLS_KEY: folder.file("text.db"),
      USERLOCK_STORE: `sqlite:${folder.file("t.db")}`,
    }),
  ],
])("%s stops the start with a sentence and exit code 69", async (_what, environment) => {
  writeFileSync(folder.file("text.db"), "This is a text, and not a database.".repeat(100), { mode: 0o600 });
  const answer = await userlock(["serve"], environment());
  expect(answer).toMatchObject({ code: 69, stdout: "" });
  expect(answer.stderr).toContain("userlock does not start: ");
  expect(answer.stderr).not.toMatch(/\n\s+at /);
});

let taken: ServerProcess;
beforeAll(async () => {
  taken = await startUserlock();
});
afterAll(() => taken?.stop());

test("the demo shows each protocol and the error of a second lock, and exits with 0", async () => {
  const { code, stdout, stderr } = await userlock(["demo"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const protocol of ["REST", "Connect, JSON", "gRPC, with @grpc/grpc-js", "gRPC-Web"])
    expect(stdout).toContain(protocol);
  expect(stdout.match(/USER_ALREADY_LOCKED/g)?.length).toBeGreaterThanOrEqual(4);
});

describe("a process prints to its streams and has the exit code of its command:", () => {
  test.each<[args: string[], settings: Record<string, string>, code: number, stdout: RegExp, stderr: RegExp]>([
    [["help"], {}, 0, /^Usage:/m, /^$/],
    [["freeze"], {}, 64, /^$/, /there is no command freeze/],
    [["serve"], { USERLOCK_STORE: "nowhere" }, 78, /^$/, /USERLOCK_STORE/],
  ])("%j with %j exits with %i", async (args, settings, code, stdout, stderr) => {
    expect(await runUserlockProcess(args, settings)).toEqual({
      code,
      stdout: expect.stringMatching(stdout),
      stderr: expect.stringMatching(stderr),
    });
  });
});
