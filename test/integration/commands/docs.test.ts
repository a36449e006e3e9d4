// Proves that the commands and programs in README.md and docs work as written.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { blocks, DOCUMENTATION, rows } from "../../support/docs.ts";
import {
  type ServerProcess,
  startUserlock,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";
import { type Cluster, installedPostgres, query, startCluster } from "../../support/stores/postgres.ts";
import { openStoreAt } from "../../support/stores/stores.ts";

/** The start of an event stream. */
const WATCHED = /^id: 0\n\nid: \w+\ndata: \{.*"user\.locked"/m;

/** The end of a snapshot of locks, and the place from which changes follow. */
const SNAPSHOT = /^data: \{.*"done":true.*\n\nid: \w+$/m;

/** Commands that do not end, with the output that shows that they work. */
const ENDLESS: [command: string, printed: RegExp][] = [
  ["locks/_watch", SNAPSHOT],
  ["curl -N", WATCHED],
  ["events --follow", /\tuser\.locked\t/],
  ["npm start", /^userlock listening on /m],
];

describe("the commands of the documentation", () => {
  const folder = temporaryFolder();
  const snippet = `.readme-${process.pid}.ts`;
  let server: ServerProcess;
  let cluster: Cluster;
  let environment: NodeJS.ProcessEnv;

  beforeAll(async () => {
    mkdirSync(folder.file("data"));
    const programs = installedPostgres();
    cluster = await startCluster(programs);
    await query(cluster.url, "CREATE DATABASE restored TEMPLATE template0");
    await (await openStoreAt(cluster.url)).close();
    server = await startUserlock({
      USERLOCK_STORE: `sqlite:${folder.file("data/userlock.db")}`,
      USERLOCK_ADMIN_TOKEN: "",
    });
    const TOKEN = readFileSync(folder.file("data/admin.token"), "utf8").trim();
    environment = {
      ...withoutSettings(process.env),
      PATH: `${programs}:${process.env.PATH}`,
      DATABASE_URL: cluster.url,
      NEW_DATABASE_URL: Object.assign(new URL(cluster.url), { pathname: "/restored" }).href,
      URL: server.url,
      TOKEN,
      USERLOCK_URL: server.url,
      USERLOCK_TOKEN: TOKEN,
      USERLOCK_STORE: `sqlite:${folder.file("data/userlock.db")}`,
      USERLOCK_LISTEN: new URL(server.url).host,
      // What the page about the command line defines in the reader's shell.
      "BASH_FUNC_userlock%%": /^userlock(\(\) \{.*\})$/m.exec(DOCUMENTATION)?.[1],
      // npm would pass its own settings to npm commands in the block.
      npm_config_loglevel: "error",
    };
  });

  afterAll(async () => {
    await server?.stop();
    await cluster?.remove();
    rmSync(snippet, { force: true });
    folder.remove();
  });

  /** The text with this test's address and folder. */
  const here = (code: string) =>
    code
      .replaceAll("http://127.0.0.1:8080", server.url)
      .replaceAll("127.0.0.1:8443", "127.0.0.1:0")
      .replaceAll("data/", `${folder.file("data")}/`);

  /** Runs a command until it ends. */
  function run(command: string, args: string[]) {
    const { status, stdout, stderr } = spawnSync(command, args, {
      env: environment,
      encoding: "utf8",
      timeout: 60_000,
    });
    return { status, output: stdout + stderr, stdout, stderr };
  }

  /** Runs an endless command until it has printed the expected text. */
  async function follow(command: string, args: string[], awaited: RegExp) {
    // A separate process group, so that everything the command started ends with it.
    const child = spawn(command, args, { env: environment, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const end = (signal: NodeJS.Signals) => process.kill(-(child.pid as number), signal);
    let isEnded = false;
    const printed = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text) => {
        printed[name] += text;
        if (isEnded || !awaited.test(printed.stdout)) return;
        isEnded = true;
        end("SIGTERM");
      });
    }
    await once(child, "close", { signal: AbortSignal.timeout(60_000) }).catch((error) => {
      end("SIGKILL");
      throw error;
    });
    return { status: isEnded ? 0 : child.exitCode, output: printed.stdout, ...printed };
  }

  const [twoCommands, ...others] = blocks("sh").map(({ code }) => code);

  test("include the two commands that CI runs", () => {
    expect(twoCommands).toMatch(/^npm ci && npm start\b.*\nnpm ci && npm test\b.*\n$/);
    const ci = readFileSync(".ci/run", "utf8");
    expect(ci).toMatch(/^npm ci\b[\s\S]*\nsuite npm test$/m);
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(scripts.start).toBe("node bin/userlock.js serve");
  });

  test("run in each block without an error, except the announced one", async () => {
    const outputs: { code: string; status: number | null; output: string }[] = [];
    // Benchmarks take minutes. A command with "…" has a part that readers fill in.
    for (const code of others.filter((block) => !block.startsWith("npm run bench") && !block.includes("…"))) {
      const args = ["-euo", "pipefail", "-c", here(code)];
      const [, awaited] = ENDLESS.find(([command]) => code.includes(command)) ?? [];
      const done = awaited ? await follow("bash", args, awaited) : run("bash", args);
      outputs.push({ code, status: done.status, output: done.output });
    }
    expect(outputs.filter(({ status }) => status !== 0)).toEqual([]);
    expect((statSync(folder.file("data/copy.db")).mode & 0o777).toString(8)).toBe("600");
    const reasons = outputs.flatMap(({ output }) => output.match(/"reason":"[A-Z_]+"/g) ?? []);
    expect(reasons).toEqual(['"reason":"USER_ALREADY_LOCKED"']);
    expect(outputs.flatMap(({ output }) => output.match(/"(code|error)":/g) ?? [])).toHaveLength(1);
    expect(outputs.find(({ code }) => code.includes("token create"))?.output).toMatch(/^userlock_[\w-]{43}\n/);
    expect(outputs.find(({ code }) => code.includes("_watch"))?.output).toMatch(WATCHED);
    expect(existsSync(folder.file("data/copy.db"))).toBe(true);
    expect(existsSync(folder.file("data/userlock.dump"))).toBe(true);
  }, 400_000);

  test("the table of content types of the documentation has those that the server accepts", async () => {
    const accepted = ["UserService/LockUser", "EventService/WatchEvents"].map(async (method) => {
      const { headers } = await fetch(`${server.url}/userlock.v3alpha.${method}`, { method: "POST", body: "<xml/>" });
      return headers.get("accept-post")?.split(", ") ?? [];
    });
    const types = new Set((await Promise.all(accepted)).flat());
    expect(types).toContain("application/grpc-web+proto");
    const written = rows("Content types").flatMap(([, , cell]) => cell?.match(/(?<=`)application\/[\w+-]+/g) ?? []);
    expect([...types].filter((type) => !written.includes(type))).toEqual([]);
  });

  test.each(blocks("ts").map(({ code }) => [code]))("include a program that runs:\n%s", async (code) => {
    writeFileSync(snippet, here(code));
    const printed = /^(un)?locked at (\{|\d{4}-)/;
    const isEndless = code.includes("for (;;)");
    const { status, stdout, stderr } = isEndless
      ? await follow(process.execPath, [snippet], printed)
      : run(process.execPath, [snippet]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(printed);
  });
});
