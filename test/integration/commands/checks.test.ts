// Proves that types, format, lint, contract and generated code pass their checks.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
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

test("nothing that clients generate imports the copy of the published API", () => {
  const imports = (folder: string) =>
    Object.values(filesBelow(folder)).flatMap((text) =>
      [...text.matchAll(/^import "(.*)";$/gm)].map(([, file]) => file),
    );
  expect(imports("proto/userlock")).not.toContainEqual(expect.stringContaining("zitadel"));
  expect(imports("proto/zitadel")).toContainEqual(expect.stringContaining("userlock"));
});

describe("the check of a release", () => {
  /** A repository with the contract of this one, released as v1.0.0 where that is given. */
  function repository(tag?: string) {
    const folder = temporaryFolder();
    cpSync("proto", folder.file("proto"), { recursive: true });
    for (const name of ["buf.yaml", "dev", "package.json"]) cpSync(name, folder.file(name), { recursive: true });
    symlinkSync(resolve("node_modules"), folder.file("node_modules"));
    const git = (...args: string[]) => spawnSync("git", args, { cwd: folder.path });
    git("init", "--quiet");
    git("add", "buf.yaml", "proto");
    git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "A release");
    if (tag) git("tag", tag);
    const check = () => spawnSync(process.execPath, ["dev/check-release.ts"], { cwd: folder.path, encoding: "utf8" });
    return { ...folder, check };
  }

  test("passes a contract that is as released, and finds a field that lost its number", () => {
    const { check, file, remove } = repository("v1.0.0");
    try {
      expect(check()).toMatchObject({ status: 0, stdout: expect.stringContaining("v1.0.0") });
      const contract = file("proto/userlock/v3alpha/user_service.proto");
      writeFileSync(contract, readFileSync(contract, "utf8").replace("Details details = 1;", "Details details = 9;"));
      expect(check()).toMatchObject({ status: 1, stdout: expect.stringContaining('"details"') });
    } finally {
      remove();
    }
  });

  test("says that nothing was released yet", () => {
    const { check, remove } = repository();
    expect(check()).toMatchObject({ status: 0, stdout: expect.stringContaining("No release is tagged yet") });
    remove();
  });
});

test("the generated code is up to date", () => {
  const folder = temporaryFolder();
  try {
    expect(run("node", "dev/generate.ts", folder.path)).toMatchObject(GOOD);
    expect(filesBelow("gen")).toEqual(filesBelow(folder.file("gen")));
  } finally {
    folder.remove();
  }
});

function filesBelow(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const entries = names.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(entries.sort().map((file) => [file.slice(root.length), readFileSync(file, "latin1")]));
}
