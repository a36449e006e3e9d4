/**
 * Prints the bill of materials (CycloneDX) of what runs in production: `npm run sbom`. `npm sbom --omit dev` also leaves
 * out every package that a development dependency shares, so npm sees a copy without those, and without
 * the workspace of the client.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const parent = mkdtempSync(join(tmpdir(), "userlock-sbom-"));
// npm names the root by its folder.
const folder = join(parent, "userlock");
try {
  mkdirSync(folder);
  const {
    devDependencies: _,
    scripts: __,
    workspaces: ___,
    ...rest
  } = JSON.parse(readFileSync("package.json", "utf8"));
  writeFileSync(join(folder, "package.json"), JSON.stringify(rest));
  copyFileSync("package-lock.json", join(folder, "package-lock.json"));
  npm("install", "--package-lock-only", "--ignore-scripts", "--prefer-offline", "--no-audit", "--silent");
  process.stdout.write(npm("sbom", "--package-lock-only", "--sbom-format", "cyclonedx"));
} finally {
  rmSync(parent, { recursive: true, force: true });
}

function npm(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`npm ${args[0]} ended with ${status}: ${stderr}`);
  return stdout;
}
