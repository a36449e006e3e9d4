// Proves that types, format, lint, contract and generated code pass their checks.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../support/servers/server-process.ts";

/** Runs a tool of the project. Its output is part of a failure. */
function run(command: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(join("node_modules/.bin", command), args, { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

const GOOD = { status: 0 };

test("the types pass tsc", () => {
  expect(run("tsc")).toEqual({ ...GOOD, output: "" });
});

test("format and lint pass biome", () => {
  expect(run("biome", "ci", "--error-on-warnings")).toMatchObject(GOOD);
});

test("the contract passes buf lint", () => {
  expect(run("buf", "lint")).toEqual({ ...GOOD, output: "" });
});

test("the contract has buf's format", () => {
  const own = ["--path", "proto/userlock", "--path", "proto/zitadel"];
  expect(run("buf", "format", "--diff", "--exit-code", ...own)).toEqual({ ...GOOD, output: "" });
});

test("the contract has no breaking change against main", () => {
  expect(run("buf", "breaking", "--against", ".git#branch=main")).toEqual({ ...GOOD, output: "" });
});

test("the generated code is up to date", () => {
  const folder = temporaryFolder();
  try {
    expect(run("buf", "generate", "--output", folder.path)).toMatchObject(GOOD);
    expect(filesBelow("gen")).toEqual(filesBelow(folder.file("gen")));
  } finally {
    folder.remove();
  }
});

function filesBelow(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const entries = names.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(entries.sort().map((file) => [file.slice(root.length), readFileSync(file, "utf8")]));
}
