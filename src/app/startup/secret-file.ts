import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The files beside a store that hold what must not be in it. */
export const KEY_FILE = "instance.key";
export const TOKEN_FILE = "admin.token";

/**
 * The secret in the file; if there is none, a new one, written with mode 0600. The file is there before the secret is
 * used, and processes that start together agree on one, so that no crash loses the secret of something stored.
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

/** The secret in the file; undefined if the file cannot be read. */
export function readSecret(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}

/**
 * Throws, with how to mend it, if a file of the database or a secret's file in the folder can be read or written by
 * others than its owner: its group, too. Windows has no such modes.
 */
export function refuseOpenFiles({ folder, database }: { folder: string; database: readonly string[] }): void {
  if (process.platform === "win32") return;
  for (const file of [...database, join(folder, KEY_FILE), join(folder, TOKEN_FILE)]) {
    const mode = modeOf(file);
    if ((mode & 0o077) === 0) continue;
    throw new Error(
      `Others can read or write ${file}, whose mode is 0${mode.toString(8)}: run "chmod 600 ${file}", ` +
        "or allow it with USERLOCK_INSECURE_FILES=allow.",
    );
  }
}

/** 0 for a file that is not there or cannot be looked at: opening it gives the error. */
function modeOf(file: string): number {
  try {
    return statSync(file).mode & 0o777;
  } catch {
    return 0;
  }
}
