// Proves that the npm package installs, serves and stops, and has what its users need and no more.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { sharedPackage } from "../../support/install/package.ts";
import { runCommand } from "../../support/servers/command.ts";
import { temporaryFolder, withoutSettings } from "../../support/servers/server-process.ts";
import { lockOverRest } from "../../support/users.ts";

const folder = temporaryFolder();
const prefix = folder.file("prefix");
const home = join(prefix, "lib/node_modules/userlock");
const env = { ...withoutSettings(process.env), npm_config_loglevel: "error" };
let tarball: string;

beforeAll(async () => {
  mkdirSync(prefix);
  tarball = await sharedPackage();
  const install = ["install", "--global", "--prefix", prefix, "--prefer-offline", "--no-audit", "--no-fund", tarball];
  expect(await runCommand("npm", install, [], { env })).toMatchObject({ code: 0, stderr: "" });
});
afterAll(folder.remove);

test("the package has the compiled program, the contract and the documentation, and no sources or tests", () => {
  expect(readdirSync(home).sort()).toEqual(
    [
      ...["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "package.json"],
      ...["bin", "deploy", "dist", "docs", "gen", "node_modules", "proto"],
    ].sort(),
  );
  const files = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) => !/node_modules/.test(name));
  expect(files.filter((name) => /\.ts$|\.test\./.test(name))).toEqual([]);
  expect(readdirSync(join(home, "proto"))).toEqual(["userlock"]);
  expect(statSync(tarball).size).toBeLessThan(2 ** 20);
});

test("the installed command has the version of the package", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const { code, stdout } = await runCommand(join(prefix, "bin/userlock"), ["--version"], [], { env });
  expect({ code, stdout }).toEqual({ code: 0, stdout: `userlock ${version}\n` });
});

test("npx runs the package in an empty folder", async () => {
  const cwd = folder.file("empty");
  mkdirSync(cwd);
  const args = ["--yes", "--prefer-offline", "--package", tarball, "userlock", "config"];
  const { code, stdout } = await runCommand("npx", args, [], { env, cwd });
  expect(code).toBe(0);
  expect(stdout).toContain("USERLOCK_LISTEN\t127.0.0.1:8080\tdefault\n");
});

test("the installed server locks a user in a new store, refuses a second lock, and stops", async () => {
  const cwd = folder.file("work");
  mkdirSync(cwd);
  const server = spawn(join(prefix, "bin/userlock"), ["serve"], {
    cwd,
    env: { ...env, USERLOCK_LISTEN: "127.0.0.1:0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await addressOf(server);
    const token = readFileSync(join(cwd, "data/admin.token"), "utf8").trim();
    await lockOverRest(url, token);
  } finally {
    server.kill();
    expect(await once(server, "exit")).toEqual([0, null]);
  }
});

test("the bill of materials names the packages that the server runs, and no other", async () => {
  const { code, stdout } = await runCommand("npm", ["run", "--silent", "sbom"], [], { env });
  expect(code).toBe(0);
  const { bomFormat, metadata, components } = JSON.parse(stdout);
  expect([bomFormat, metadata.component.name]).toEqual(["CycloneDX", "userlock"]);
  const names = components.map(({ name }: { name: string }) => name);
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(names).toEqual(expect.arrayContaining(Object.keys(dependencies)));
  for (const tool of ["jest", "typescript", "esbuild", "node", "@bufbuild/buf"]) expect(names).not.toContain(tool);
});

/** Resolves with the address that the server prints. */
function addressOf(server: ChildProcess): Promise<string> {
  let printed = "";
  return new Promise((resolve, reject) => {
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${printed}`)));
    server.stdout?.setEncoding("utf8").on("data", (chunk) => {
      printed += chunk;
      const url = /^userlock listening on (\S+)$/m.exec(printed)?.[1];
      if (url) resolve(url);
    });
  });
}
