// Proves that Python clients work as the documentation shows them.
import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { clientSamples, SERVICE_CONFIG } from "../../support/docs.ts";
import { type StartClient, testClient } from "../../support/programs/client-checks.ts";
import { runDocumented } from "../../support/programs/documented.ts";
import { gatewayWithSession } from "../../support/programs/gateway.ts";
import { type Program, startProgram } from "../../support/programs/program.ts";
import { findPython } from "../../support/programs/python.ts";
import { cacheFolder } from "../../support/programs/toolchain.ts";
import { runCommand } from "../../support/servers/command.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const PROGRAMS = resolve("test/interop/python");
const GENERATED = cacheFolder("python-generated");

/** The documented command, with this checkout for `../userlock`. */
const [GENERATE = ""] = clientSamples("bash").flatMap(
  (code) => /^python -m grpc_tools\.protoc .*\\\n.*$/m.exec(code)?.[0].replaceAll("../userlock", resolve(".")) ?? [],
);

let python: string;

beforeAll(async () => {
  python = await findPython(join(PROGRAMS, "requirements.txt"));
  const env = { ...process.env, PATH: `${dirname(python)}:${process.env.PATH}` };
  const { code, stdout, stderr } = await runCommand("bash", ["-c", GENERATE], [], { cwd: GENERATED, env });
  if (code !== 0) throw new Error(`the generation ended with ${code}:\n${stdout}${stderr}`);
  writeFileSync(join(GENERATED, "service-config.json"), SERVICE_CONFIG);
});

const PYTHON = { PYTHONPATH: `${GENERATED}:${PROGRAMS}`, PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" };
const run = (program: string, args: string[], environment: Record<string, string>) =>
  startProgram(python, [join(PROGRAMS, program), ...args], {
    cwd: GENERATED,
    env: { ...process.env, ...environment, ...PYTHON },
  });

const checksBy =
  (program: string): StartClient =>
  (mode, environment) =>
    run(program, mode === "restart" ? [mode] : [], environment);

testClient("a Python client", checksBy("checks.py"), { pingsAtLeast: 50 });
testClient("a Python client with asyncio", checksBy("checks_aio.py"), { pingsAtLeast: 50 });

test.each(["client.py", "client_aio.py"])("%s locks a user, is refused a second lock, and watches", (program) =>
  runDocumented(join(PROGRAMS, program), (text) => {
    const file = join(GENERATED, `documented_${program}`);
    writeFileSync(file, text);
    return { command: python, args: [file], cwd: GENERATED, env: PYTHON };
  }),
);

describe("authlib", () => {
  let server: ServerProcess;
  let program: Program;

  beforeAll(async () => {
    server = await startServer();
    program = run("introspect.py", [], await gatewayWithSession(server.url));
  });

  afterAll(async () => {
    await program?.stop();
    await server?.stop();
  });

  test.each([
    "introspects a session by client_secret_basic with the token's subject as client id",
    "introspects a session by client_secret_basic with the token's id as client id",
    "introspects a session by client_secret_post with the token's subject as client id",
    "introspects a session by client_secret_post with the token's id as client id",
  ])("authlib %s", (check) => program.passed(check));
});
