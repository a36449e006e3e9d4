// Proves that the package of the client installs in an empty folder, has types, and does what its README shows.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createUserlock, type Userlock } from "../../../packages/client/src/index.ts";
import { eventually } from "../../support/client/eventually.ts";
import { PASSWORD } from "../../support/logins.ts";
import { runCommand } from "../../support/servers/command.ts";
import { freePort } from "../../support/servers/free-port.ts";
import {
  ADMIN_TOKEN,
  type ServerProcess,
  startServer,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";

const README = readFileSync("packages/client/README.md", "utf8");
const examples = [...README.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code as string);
const { exports: entries } = JSON.parse(readFileSync("packages/client/package.json", "utf8"));

const folder = temporaryFolder();
const home = folder.file("node_modules/@userlock/client");
const env = { ...withoutSettings(process.env), npm_config_loglevel: "error" };
let server: ServerProcess;
let userlock: Userlock;

beforeAll(async () => {
  server = await startServer();
  userlock = createUserlock({ url: server.url, token: ADMIN_TOKEN });
  const pack = ["pack", "--silent", "--pack-destination", folder.path];
  const packed = await runCommand("npm", pack, [], { env, cwd: "packages/client" });
  expect(packed).toMatchObject({ code: 0 });
  const tarball = folder.file(packed.stdout.trim().split("\n").at(-1) as string);
  writeFileSync(folder.file("package.json"), JSON.stringify({ private: true, type: "module" }));
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const install = [
    "install",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    tarball,
    `express@${devDependencies.express}`,
  ];
  expect(await runCommand("npm", install, [], { env, cwd: folder.path })).toMatchObject({ code: 0, stderr: "" });
});
afterAll(async () => {
  userlock.close();
  await server.stop();
  folder.remove();
});

/** The environment of an example. */
const settings = () => ({ ...env, USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN });

test("the package has the compiled code, the README and the license, and nothing of the server", () => {
  expect(readdirSync(home).sort()).toEqual(["LICENSE", "README.md", "dist", "package.json"]);
  const files = readdirSync(join(home, "dist"), { recursive: true, encoding: "utf8" });
  expect(files).toContain("packages/client/src/guard/guard.js");
  expect(files.filter((name) => /^src|\.test\.|(?<!\.d)\.ts$/.test(name))).toEqual([]);
  const installed = readdirSync(folder.file("node_modules"));
  expect(installed).toContain("jose");
  expect(readdirSync(folder.file("node_modules/@connectrpc"))).toEqual(["connect"]);
  for (const optional of ["fastify", "hono", "@grpc"]) expect(installed).not.toContain(optional);
});

test("every sub-path can be imported, and has types without an error of any declaration", async () => {
  const names = Object.keys(entries).filter((name) => name !== "./package.json");
  const imports = names.map((name, number) => `import * as m${number} from "@userlock/client${name.slice(1)}";`);
  const uses = names.map((_, number) => `console.log(Object.keys(m${number}).length > 0);`);
  // The declarations of the other frameworks take seconds to check.
  const checked = imports.filter((line) => !/fastify|hono|grpc/.test(line));
  const typed = `const guard: import("@userlock/client/guard").Guard = (await import("@userlock/client/testing")).createFakeGuard();
const verdict = await guard.check("alice");
if (verdict.ok) { const subject: string = verdict.identity.subject; console.log(subject); }
// @ts-expect-error: it is no number.
const wrong: number = verdict;`;
  writeFileSync(folder.file("all.ts"), [...checked, typed].join("\n"));
  // The frameworks and the types of Node, of this checkout.
  mkdirSync(folder.file("node_modules/@types"), { recursive: true });
  mkdirSync(folder.file("node_modules/@grpc"), { recursive: true });
  for (const name of ["fastify", "hono", "@grpc/grpc-js", "@types/node"]) {
    symlinkSync(resolve("node_modules", name), folder.file(`node_modules/${name}`));
  }
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  const compiled = await runCommand(resolve("node_modules/.bin/tsc"), [...options, "all.ts"], [], { cwd: folder.path });
  // Others may have errors in their declarations.
  expect(
    compiled.stdout.split("\n").filter((line) => line !== "" && !/^(node_modules\/(?!@userlock)|\.\.)/.test(line)),
  ).toEqual([]);
  writeFileSync(folder.file("all.js"), [...imports, ...uses].join("\n"));
  const { stdout, stderr, status } = spawnSync(process.execPath, ["all.js"], { cwd: folder.path, encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout.trim().split("\n")).toEqual(names.map(() => "true"));
});

test("the app of the README answers a session's user, and refuses the user once locked", async () => {
  const [code] = examples as [string];
  // Ten lines with the empty one.
  expect(code.split("\n").filter((line) => line !== "")).toHaveLength(9);
  const port = await freePort();
  writeFileSync(folder.file("app.js"), code.replace("3000", String(port)));
  const app = spawn(process.execPath, ["app.js"], {
    cwd: folder.path,
    env: settings(),
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    const authenticators = { password: { type: { case: "password" as const, value: PASSWORD } } };
    await userlock.users.createUser({ user: { userId: "alice", authenticators } });
    const { sessionToken } = await userlock.sessions.createSession({
      user: { case: "userId", value: "alice" },
      password: PASSWORD,
    });
    const headers = { authorization: `Bearer ${sessionToken}` };
    const call = () => fetch(`http://127.0.0.1:${port}/me`, { headers }).catch(() => undefined);
    await eventually(async () => (await call())?.status === 200);
    expect(await (await call())?.json()).toEqual({ user: "alice" });
    await userlock.users.lockUser({ id: "alice", reason: "fraud" });
    await eventually(async () => (await call())?.status === 401);
  } finally {
    await ended(app);
  }
});

test("the other examples of the README run to their end", () => {
  const [, ...others] = examples;
  const outputs = others.map((code, number) => {
    writeFileSync(folder.file(`example-${number}.js`), code);
    const options = { cwd: folder.path, env: settings(), encoding: "utf8" as const, timeout: 30_000 };
    const { status, stdout, stderr } = spawnSync(process.execPath, [`example-${number}.js`], options);
    return { status, stdout, stderr };
  });
  expect(outputs).toEqual([
    { status: 0, stdout: "USER_ALREADY_LOCKED mallory\n", stderr: "" },
    { status: 0, stdout: "", stderr: "" },
  ]);
});

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill();
  await exit;
}
