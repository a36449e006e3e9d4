import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where a file of this name can be, in a folder that goes with this process. */
export function temporaryFile(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "userlock-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, name);
}
