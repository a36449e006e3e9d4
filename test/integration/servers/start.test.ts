// Proves that a start that cannot succeed names its reason in one line, and that a start shows what operators need.
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { runCommand } from "../../support/servers/command.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, startUserlock, temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

/** Runs the entry as another version of Node. */
const onNode = (version: string, ...args: string[]) => {
  const pretence = `Object.defineProperty(process, "version", { value: "v${version}" })`;
  const flags = ["--import", `data:text/javascript,${encodeURIComponent(pretence)}`];
  return runCommand(process.execPath, [...flags, "bin/userlock.js", ...args]);
};

test.each(["18.0.0", "20.20.2", "23.11.1"])("Node %s is refused in one sentence with exit code 78", async (version) => {
  expect(await onNode(version, "serve")).toEqual({
    code: 78,
    stdout: "",
    stderr: `userlock needs Node 24 or newer; this is ${version}. In this checkout: npx node bin/userlock.js\n`,
  });
});

test("the entry runs the command line on Node 24", async () => {
  const { code, stderr } = await onNode("24.0.0", "help");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(statSync("bin/userlock.js").mode & 0o111).toBe(0o111);
});

test("npm start, npm run demo and npm run userlock use the entry, and Node 24 comes with a checkout", () => {
  const { scripts, bin, devDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  for (const name of ["start", "demo", "userlock"]) expect(scripts[name]).toMatch(/^node bin\/userlock\.js/);
  expect(bin).toEqual({ userlock: "bin/userlock.js" });
  expect(devDependencies.node).toMatch(/^24\./);
});

test("the path of the first token is printed without a terminal, and the token is not", async () => {
  const store = folder.file("first/userlock.db");
  const server = await startUserlock({ USERLOCK_STORE: `sqlite:${store}`, USERLOCK_ADMIN_TOKEN: "" });
  await server.stop();
  const file = folder.file("first/admin.token");
  expect(server.stdout()).toBe(
    `userlock listening on ${server.url}\nThe console is at ${server.url}/console/\nThe first token is in ${file}\n`,
  );
  expect(server.stdout() + server.stderr()).not.toContain(readFileSync(file, "utf8").trim());
});

test("no path is printed for a token that the operator has set", async () => {
  const server = await startUserlock();
  await server.stop();
  expect(server.stdout()).toBe(`userlock listening on ${server.url}\nThe console is at ${server.url}/console/\n`);
});

test.each([
  ["0.0.0.0:0", true],
  ["127.0.0.1:0", false],
  ["localhost:0", false],
])("%s without TLS: a warning is logged, %j", async (listen, isWarned) => {
  const server = await startUserlock({ USERLOCK_LISTEN: listen });
  await server.stop();
  expect(/"level":"warn".*without TLS.*USERLOCK_TLS_CERT/.test(server.stderr())).toBe(isWarned);
});

test.each(["USERLOCK_LISTEN", "USERLOCK_ADMIN_LISTEN"])(
  "%s with an address that another program uses is refused",
  async (name) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    try {
      const settings = {
        USERLOCK_STORE: "sqlite::memory:",
        USERLOCK_ADMIN_TOKEN: ADMIN_TOKEN,
        USERLOCK_LISTEN: "127.0.0.1:0",
      };
      const refused = await runUserlock(["serve"], { ...settings, [name]: `127.0.0.1:${port}` });
      expect(refused.code).toBe(69);
      expect(refused.stderr).toMatch(new RegExp(`^userlock.*${name}: 127\\.0\\.0\\.1:${port}: another program.*\n$`));
    } finally {
      other.close();
    }
  },
);
