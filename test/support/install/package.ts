import { join } from "node:path";
import { runCommand } from "../servers/command.ts";
import { withoutSettings } from "../servers/server-process.ts";

const FOLDER = "node_modules/.cache/userlock";

/** Compiles and packs userlock, as `npm pack` does. Resolves with the path of the package. */
export async function packUserlock(): Promise<string> {
  const env = { ...withoutSettings(process.env), npm_config_loglevel: "error" };
  const { code, stdout, stderr } = await runCommand("npm", ["pack", "--silent", "--pack-destination", FOLDER], [], {
    env,
  });
  if (code !== 0) throw new Error(`npm pack ended with ${code}: ${stderr}`);
  return join(process.cwd(), FOLDER, stdout.trim().split("\n").at(-1) as string);
}

/** The package of this run. Jest's main process makes it for the first test file that needs it. */
export async function sharedPackage(): Promise<string> {
  const response = await fetch(process.env.SHARED_PACKAGE as string);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}
