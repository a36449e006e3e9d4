// Proves that Go clients work as the documentation shows them.
import { testClient } from "../../support/programs/client-checks.ts";
import { gatewayWithSession } from "../../support/programs/gateway.ts";
import type { Program } from "../../support/programs/program.ts";
import { type ClientServers, startRestarting, startServers } from "../../support/programs/servers.ts";
import { type App, buildApp } from "./app.ts";

let app: App;
let servers: ClientServers;

beforeAll(async () => {
  [app, servers] = await Promise.all([buildApp(), startServers()]);
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
