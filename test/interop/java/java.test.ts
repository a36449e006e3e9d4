// Proves that Java clients, and Spring Security's introspectors, work as the documentation shows them.
import { globSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SERVICE_CONFIG } from "../../support/docs.ts";
import { testClient } from "../../support/programs/client-checks.ts";
import { runDocumented } from "../../support/programs/documented.ts";
import { gatewayWithSession } from "../../support/programs/gateway.ts";
import { buildJava, SHORT_LIVED } from "../../support/programs/java.ts";
import { type Program, startProgram } from "../../support/programs/program.ts";
import { cacheFolder } from "../../support/programs/toolchain.ts";
import { runCommand } from "../../support/servers/command.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

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

test("Client.java locks a user, is refused a second lock, and watches", () =>
  runDocumented(join(PROJECT, "src/Client.java"), (text) => {
    const file = join(FOLDER, "Documented.java");
    // A source that is run without a build must not have the name of a built class.
    writeFileSync(file, text.replace("class Client {", "class Documented {"));
    return { command: "java", args: [SHORT_LIVED, "-cp", classPath, file], cwd: FOLDER };
  }));

test("buf generates the same classes as Maven", async () => {
  const place = temporaryFolder();
  try {
    symlinkSync(resolve("."), place.file("userlock"));
    for (const folder of ["app", "bin"]) mkdirSync(place.file(folder));
    const plugins = join(FOLDER, "protoc-plugins");
    for (const name of ["protoc-gen-grpc-java", "protoc"])
      symlinkSync(globSync(`${plugins}/${name}-[0-9]*.exe`)[0] as string, place.file(`bin/${name}`));
    const env = { ...process.env, PATH: `${place.file("bin")}:${process.env.PATH}` };
    const args = ["generate", "--template", join(PROJECT, "buf.gen.yaml")];
    const done = await runCommand(resolve("node_modules/.bin/buf"), args, [], { cwd: place.file("app"), env });
    expect(done).toMatchObject({ code: 0, stderr: "" });
    const classesOf = (folder: string) => globSync("**/*.java", { cwd: folder });
    const generated = classesOf(place.file("app/src/main/java"));
    expect(generated).toContain("com/userlock/v3alpha/UserServiceGrpc.java");
    const byMaven = ["java", "grpc-java"].flatMap((name) =>
      classesOf(join(FOLDER, "generated-sources/protobuf", name)),
    );
    expect(generated.sort()).toEqual(byMaven.sort());
  } finally {
    place.remove();
  }
});

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
