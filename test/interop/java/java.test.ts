// Proves that Java clients, and Spring Security's introspectors, work as the documentation shows them.
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SERVICE_CONFIG } from "../../support/docs.ts";
import { testClient } from "../../support/programs/client-checks.ts";
import { gatewayWithSession } from "../../support/programs/gateway.ts";
import { buildJava, SHORT_LIVED } from "../../support/programs/java.ts";
import { type Program, startProgram } from "../../support/programs/program.ts";
import { cacheFolder } from "../../support/programs/toolchain.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const PROJECT = resolve("test/interop/java");
const FOLDER = cacheFolder("java");

let classPath: string;

beforeAll(async () => {
  classPath = await buildJava(join(PROJECT, "pom.xml"));
  writeFileSync(join(FOLDER, "service-config.json"), SERVICE_CONFIG);
});

const run = (program: string, environment: Record<string, string>, args: string[] = []) =>
  startProgram("java", [SHORT_LIVED, "-cp", classPath, program, ...args], {
    cwd: FOLDER,
    env: { ...process.env, ...environment },
  });

const PROGRAMS = { checks: "Checks", restart: "RestartChecks" };
testClient("a Java client", (mode, environment) => run(PROGRAMS[mode], environment), { pingsAtLeast: 5 });

describe("Spring's introspector", () => {
  let server: ServerProcess;
  let program: Program;

  beforeAll(async () => {
    server = await startServer();
    const environment = await gatewayWithSession(server.url);
    const variables = { ...environment, USERLOCK_TOKEN: environment.CLIENT_SECRET };
    program = run("IntrospectionChecks", variables, [join(PROJECT, "application.properties")]);
  });

  afterAll(async () => {
    await program?.stop();
    await server?.stop();
  });

  test.each([
    "introspects a session with the token's subject as client id",
    "introspects a session with the token's id as client id",
    "introspects a session with a client id and a secret that it encodes",
    "introspects a session with the properties of Spring Boot",
  ])("Spring's introspector %s", (check) => program.passed(check));
});
