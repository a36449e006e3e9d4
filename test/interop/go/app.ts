import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { SERVICE_CONFIG } from "../../support/docs.ts";
import { findGo } from "../../support/programs/go.ts";
import { type Program, startProgram } from "../../support/programs/program.ts";
import { runCommand } from "../../support/servers/command.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

/** The programs, compiled from a copy of this folder beside a checkout of userlock, as the documentation has it. */
export interface App {
  /** Starts a program. Its name is that of its folder. */
  start(name: string, environment: Record<string, string>): Program;
  /** The path of a program. */
  program(name: string): string;
  /** The environment for the tools that go.mod pins: they are on its PATH, and buf too. */
  environment: NodeJS.ProcessEnv;
  /** The folder of the programs. */
  folder: string;
  remove(): void;
}

/**
 * Installs the tools, generates the code and compiles the programs. Texts of the documented programs, such as the
 * address, are replaced by those of the test.
 */
export async function buildApp(replaced: Record<string, string>): Promise<App> {
  const go = await findGo();
  const place = temporaryFolder();
  const folder = place.file("app");
  symlinkSync(resolve("."), place.file("userlock"));
  cpSync("test/interop/go", folder, { recursive: true });
  writeFileSync(`${folder}/grpc/service-config.json`, SERVICE_CONFIG);
  for (const main of ["grpc/main.go", "connect/main.go"]) {
    let text = readFileSync(`${folder}/${main}`, "utf8");
    for (const [written, here] of Object.entries(replaced)) text = text.replaceAll(written, here);
    writeFileSync(`${folder}/${main}`, text);
  }
  const environment = { ...go.environment, PATH: `${go.environment.PATH}:${resolve("node_modules/.bin")}` };

  await go.run(["install", "tool"], folder);
  for (const template of ["buf.gen.yaml", "buf.gen.published.yaml"]) {
    const { code, stderr } = await runCommand("buf", ["generate", "--template", template], [], {
      env: environment,
      cwd: folder,
    });
    if (code !== 0) throw new Error(`buf generate ended with ${code}:\n${stderr}`);
  }
  await go.run(["build", "-o", "bin/", "./..."], folder);
  await go.run(["test", "-c", "-o", "bin/", "./grpc", "./connect"], folder);
  const program = (name: string) => `${folder}/bin/${name}`;
  return {
    start: (name, more) => startProgram(program(name), [], { cwd: folder, env: { ...process.env, ...more } }),
    program,
    environment,
    folder,
    remove: place.remove,
  };
}
