import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * The secret in the file; if there is none, a new one, written with mode 0600. The file is there before the secret is
 * used, and processes that start together agree on one, so that no crash leaves something whose secret nobody has.
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

/** The secret in the file; undefined if there is none that can be read. */
export function readSecret(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}
