import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Below the checkout, and not committed: tools that suites install, and code that they generate. */
export const CACHE = resolve("node_modules/.cache/userlock");

/** A folder in the cache. */
export function cacheFolder(name: string): string {
  const folder = join(CACHE, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Fails with one sentence if a toolchain is missing. `packages` are those of Debian. */
export function requireCommand(command: string, toolchain: string, packages: string): void {
  const { error } = spawnSync(command, ["--version"]);
  if (error)
    throw new Error(`these tests need ${toolchain} (Debian: ${packages}), and there is no command "${command}"`);
}
