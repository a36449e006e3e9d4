// Proves that Go clients work as the documentation shows them.
import { readFileSync } from "node:fs";
import { clientSamples } from "../../support/docs.ts";
import { testClient } from "../../support/programs/client-checks.ts";
import { gatewayWithSession } from "../../support/programs/gateway.ts";
import type { Program } from "../../support/programs/program.ts";
import { type ClientServers, startRestarting, startServers } from "../../support/programs/servers.ts";
import { requireCommand } from "../../support/programs/toolchain.ts";
import { runCommand } from "../../support/servers/command.ts";
import { usersOf } from "../../support/users.ts";
import { type App, buildApp } from "./app.ts";

let app: App;
let servers: ClientServers;
/** The commands of the page. */
const COMMANDS = clientSamples("bash").flatMap((block) => block.trimEnd().split(/(?<!\\)\n/));
/** The user that the programs of the page lock. */
let user: string;

beforeAll(async () => {
  servers = await startServers();
  user = await usersOf(servers.environment.URL).add();
  app = await buildApp({ "127.0.0.1:8080": servers.environment.ADDRESS, alice: user });
});

afterAll(async () => {
  await servers?.stop();
  app?.remove();
});

testClient("a grpc-go client", (mode, environment) => app.start("grpc.test", { ...environment, MODE: mode }), {
  pingsAtLeast: 5,
});

describe("a connect-go client", () => {
  const WIRES = [
    "Connect over HTTP/1.1",
    "Connect with JSON over HTTP/1.1",
    "Connect over h2c",
    "Connect over TLS",
    "gRPC over h2c",
    "gRPC over TLS",
    "gRPC-Web over HTTP/1.1",
  ];
  const CHECKS = [
    "locks a user, and reads from ErrorInfo why a second lock is refused",
    "gets each lock once from a stream that resumes after a cursor",
    "ends a stream at its deadline, and makes no call after it",
    "sends and reads messages in gzip",
    "reads from ErrorInfo that a message is too large, and calls again",
    "makes 200 calls at once",
  ];
  let program: Program;

  beforeAll(() => {
    program = app.start("connect.test", servers.environment);
  });
  afterAll(() => program?.stop());

  describe.each(WIRES)("with %s", (wire) => {
    test.each(CHECKS)("%s", (check) => program.passed(`${wire}: ${check}`));
  });

  test("ends with 0, and reports nothing else", async () => {
    const all = WIRES.flatMap((wire) => CHECKS.map((check) => `${wire}: ${check}`));
    expect((await program.ended()).sort()).toEqual(all.sort());
  });

  test("has no error while the server restarts", async () => {
    const server = await startRestarting();
    const restarted = app.start("connect.test", { ...server.environment, MODE: "restart" });
    try {
      await restarted.ready("restart");
      await server.restart(2_000);
      restarted.endInput();
      await restarted.passed("has no error while the server restarts");
    } finally {
      await restarted.stop();
      await server.stop();
    }
  });
});

describe("zitadel/oidc", () => {
  let program: Program;

  beforeAll(async () => {
    program = app.start("introspect", await gatewayWithSession(servers.environment.URL));
  });
  afterAll(() => program?.stop());

  test.each([
    "introspects an open session with the token's subject as client id",
    "introspects an open session with the token's id as client id",
    "introspects the session of a locked user with the token's subject as client id",
    "introspects the session of a locked user with the token's id as client id",
  ])("%s", (check) => program.passed(check));
});

test("a program with userlock's code and another copy of the published API starts, and calls both", async () => {
  const program = app.start("linked", servers.environment);
  try {
    await program.passed("starts, and calls both services");
    await program.ended();
  } finally {
    await program.stop();
  }
});

describe("the programs of the page", () => {
  /** Runs a program for a while: it follows events until it is ended. */
  const run = (name: string) =>
    runCommand(app.program(name), [], [], { env: { TOKEN: servers.environment.TOKEN }, timeoutMs: 5_000 });

  test("lock a user, print why a second lock is refused, and print the lock", async () => {
    const printed = new RegExp(`^${user} was locked at \\d{4}-.*$`, "m");
    const { stdout: first } = await run("grpc");
    expect(first).toMatch(/^locked at \d{4}-/);
    expect(first).toMatch(printed);
    const { stdout: second } = await run("connect");
    expect(second).toMatch(/^refused: USER_ALREADY_LOCKED /);
    expect(second).toMatch(printed);
  });
});

describe("the documented command", () => {
  /** Runs the command of the page with this tool and text, about a user of the test. */
  async function documented(tool: string, text: string, about: string) {
    const command = COMMANDS.find((one) => one.startsWith(tool) && one.includes(text)) as string;
    const here = command.replaceAll("127.0.0.1:8080", servers.environment.ADDRESS).replaceAll('"alice"', `"${about}"`);
    const env = { ...app.environment, TOKEN: servers.environment.TOKEN };
    return runCommand("bash", ["-c", here], [], { env, timeoutMs: 60_000 });
  }
  let alice: string;

  test.each([
    ["Kotlin", "--kotlin_out", "com/userlock/v3alpha/LockUserRequestKt.kt", "package com.userlock.v3alpha"],
    ["C#", "--csharp_out", "UserService.cs", "namespace Userlock.V3alpha"],
  ])("of protoc generates %s", async (_language, option, file, line) => {
    requireCommand("protoc", "protoc", "protobuf-compiler");
    const command = COMMANDS.find((one) => one.startsWith("protoc") && one.includes(option)) as string;
    const { code, stderr } = await runCommand("bash", ["-c", command], [], { cwd: app.folder, timeoutMs: 60_000 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(readFileSync(`${app.folder}/gen/${file}`, "utf8")).toContain(line);
  });
  beforeEach(async () => {
    alice = await usersOf(servers.environment.URL).add();
  });

  test("of grpcurl locks a user, and prints why a second lock is refused", async () => {
    expect(await documented("grpcurl", "LockUser", alice)).toMatchObject({ code: 0 });
    const { code, stderr } = await documented("grpcurl", "LockUser", alice);
    // grpcurl adds 64 to the code.
    expect(code).toBe(64 + 9);
    expect(stderr).toMatch(
      /google\.rpc\.ErrorInfo".*"reason": "USER_ALREADY_LOCKED".*google\.rpc\.PreconditionFailure"/s,
    );
  });

  test("of grpcurl follows events until its time is over", async () => {
    await documented("grpcurl", "LockUser", alice);
    const { code, stdout } = await documented("grpcurl", "WatchEvents", alice);
    expect(stdout).toContain(`"userId": "${alice}"`);
    expect(code).toBe(64 + 4);
  });

  test("of buf curl reads a user", async () => {
    const { code, stdout } = await documented("npx buf curl", "GetUser", alice);
    expect({ code, ...JSON.parse(stdout).user }).toMatchObject({ code: 0, details: { id: alice } });
  });

  test("of ghz gets an answer to each call", async () => {
    const { code, stdout } = await documented("ghz", "GetUser", alice);
    expect({ code, ok: /\[OK\]\s+1000 responses/.test(stdout), stdout }).toMatchObject({ code: 0, ok: true });
  });

  test("of grpc-health-probe finds that the service is up", async () => {
    const { code, stderr } = await documented("grpc-health-probe", "UserService", alice);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("SERVING") });
  });
});
