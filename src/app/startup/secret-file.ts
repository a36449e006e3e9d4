import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The files beside a store with secrets that must not be in it. */
export const KEY_FILE = "instance.key";
export const TOKEN_FILE = "admin.token";

/**
 * Reads the secret from the file, or creates one with mode 0600. The file exists before the secret is used, so that a
 * crash cannot lose it. Processes that start together agree on one secret.
 */
export function secretInFile(file: string, make: () => string): { secret: string; isNew: boolean } {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let isNew = true;
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, `${make()}\n`, { mode: 0o600, flush: true, flag: "wx" });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    isNew = false;
  } finally {
    rmSync(draft);
  }
  return { secret: readFileSync(file, "utf8").trim(), isNew };
}

/** Reads the secret from the file; undefined if the file cannot be read. */
export function readSecret(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}

/**
 * Throws if the group or others can read or write a database file or a secret file. The message names the fix. Windows
 * has no such modes.
 */
export function refuseOpenFiles({ folder, database }: { folder: string; database: readonly string[] }): void {
  if (process.platform === "win32") return;
  for (const file of [...database, join(folder, KEY_FILE), join(folder, TOKEN_FILE)]) {
    const mode = modeOf(file);
    if ((mode & 0o077) === 0) continue;
    throw new Error(
      `Others can read or write ${file}, whose mode is 0${mode.toString(8)}. Run "chmod 600 ${file}", ` +
        "or allow it with USERLOCK_INSECURE_FILES=allow.",
    );
  }
}

/** 0 for a missing file, or one that cannot be inspected: opening it gives the error. */
function modeOf(file: string): number {
  try {
    return statSync(file).mode & 0o777;
  } catch {
    return 0;
  }
}
