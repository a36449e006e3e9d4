import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../servers/command.ts";
import { cacheFolder, requireCommand } from "./toolchain.ts";

/** The Python of a virtual environment with the packages of a requirements file. It stays in the cache for the next run. */
export async function findPython(requirements: string): Promise<string> {
  requireCommand("python3", "Python 3.10 or newer", "python3-venv");
  const folder = cacheFolder("python");
  const python = join(folder, "bin/python");
  const made = join(folder, "made-from");
  const wanted = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  if (existsSync(made) && readFileSync(made, "utf8") === wanted) return python;
  await run("python3", ["-m", "venv", "--clear", folder]);
  const pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", requirements];
  await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...pinned]);
  writeFileSync(made, wanted);
  return python;
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runCommand(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
}
