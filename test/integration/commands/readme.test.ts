// Proves that what README.md shows works as it stands there.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { BENCHES, FIGURES } from "../../../bench/benches.ts";
import { rowsOf } from "../../../bench/support/compare.ts";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { SETTINGS } from "../../../src/config.ts";
import { PERMISSIONS, ROLES } from "../../../src/domain/access.ts";
import { REASONS } from "../../../src/domain/errors.ts";
import { DEFAULT_POLICY } from "../../../src/domain/lockout.ts";
import { MAX_ITEMS } from "../../../src/rpc/check-request.ts";
import { maxBytesOf, maxJsonBytesOf } from "../../../src/transport/http/body.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { MAX_VALUES } from "../../../src/transport/values.ts";
import {
  type ServerProcess,
  startServer,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";
import { type Cluster, installedPostgres, query, startCluster } from "../../support/stores/postgres.ts";

import { openStoreAt } from "../../support/stores/stores.ts";

/** What a stream of events begins with. */
const WATCHED = /^id: 0\n\nid: \w+\ndata: \{.*"user\.locked"/m;

const readme = readFileSync("README.md", "utf8");

/** The code blocks of a language. */
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, code]) => code as string);

/** The rows of the tables below a heading, as cells. */
function rows(heading: string): string[][] {
  const section = readme.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) as string;
  return section
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\|[-|]+\|$/.test(line))
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((cell) => cell.trim()),
    )
    .filter(([first]) => first !== undefined);
}

describe("the commands", () => {
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
    server = await startServer({
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
      // npm would give its own settings on to the npm in the block.
      npm_config_loglevel: "error",
    };
  });

  afterAll(async () => {
    await server?.stop();
    await cluster?.remove();
    rmSync(snippet, { force: true });
    folder.remove();
  });

  /** The text with the address and the folder of this test. */
  const here = (code: string) =>
    code.replaceAll("http://127.0.0.1:8080", server.url).replaceAll("data/", `${folder.file("data")}/`);

  /** Runs a command to its end. */
  function run(command: string, args: string[]) {
    const { status, stdout, stderr } = spawnSync(command, args, { env: environment, encoding: "utf8" });
    return { status, output: stdout + stderr, stdout, stderr };
  }

  /** Runs a command that has no end until it has printed what it should. */
  async function follow(command: string, args: string[], awaited: RegExp) {
    const child = spawn(command, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const printed = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text) => {
        printed[name] += text;
        if (awaited.test(printed.stdout)) child.kill();
      });
    }
    await once(child, "close", { signal: AbortSignal.timeout(60_000) }).finally(() => child.kill("SIGKILL"));
    return { status: child.signalCode === "SIGTERM" ? 0 : child.exitCode, output: printed.stdout, ...printed };
  }

  const [twoCommands, ...others] = blocks("sh");

  test("the two commands are the ones that CI runs", () => {
    expect(twoCommands).toMatch(/^npm ci && npm start\b.*\nnpm ci && npm test\b.*\n$/);
    const ci = readFileSync(".ci/run", "utf8");
    expect(ci).toMatch(/^npm ci\b.*\nnpm test$/m);
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(scripts.start).toBe("node src/main.ts serve");
  });

  test("each block runs, and its output shows no error but the one that is announced", async () => {
    const outputs: { code: string; status: number | null; output: string }[] = [];
    for (const code of others.filter((block) => !block.startsWith("npm run bench"))) {
      const args = ["-euo", "pipefail", "-c", code.includes("curl -N") ? `exec ${here(code)}` : here(code)];
      const done = code.includes("curl -N") ? await follow("bash", args, WATCHED) : run("bash", args);
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

  test.each(blocks("ts").map((code) => [code]))("the program runs:\n%s", async (code) => {
    writeFileSync(snippet, here(code));
    const printed = /^(un)?locked at \{/;
    const isEndless = code.includes("for (;;)");
    const { status, stdout, stderr } = isEndless
      ? await follow(process.execPath, [snippet], printed)
      : run(process.execPath, [snippet]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(printed);
  });
});

describe("the benchmarks", () => {
  test("the commands name benchmarks that are there", () => {
    const named = [...readme.matchAll(/^npm run bench -- ([\w-]+)/gm)].map(([, name]) => name as string);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => name !== "all" && !BENCHES[name])).toEqual([]);
  });

  test("the table has the rows that `npm run bench -- all` prints", () => {
    const table = readme.slice(readme.indexOf("<!-- figures -->"), readme.indexOf("<!-- /figures -->"));
    const written = [...table.matchAll(/^\| (.*?) \| \d.*? \| .*? \| (.*?) \| (.*?) \|$/gm)];
    const expected = Object.values(FIGURES).flatMap(rowsOf);
    expect(written.map(([, name, bound, aim]) => ({ name, bound: bound?.trim(), aim: aim?.trim() }))).toEqual(expected);
  });

  test("`npm run bench` lists them, with what each compares", () => {
    const { status, stdout } = spawnSync("npm", ["run", "-s", "bench"], { encoding: "utf8" });
    expect(status).toBe(0);
    const expected = Object.entries(BENCHES).map(([name, bench]) => [name, bench.name]);
    const listed = stdout.trimEnd().split("\n");
    expect(listed.map((line) => [line.split(" ")[0], line.replace(/^\S+ +/, "")])).toEqual(expected);
  });

  test("the smallest one runs, and prints its row", () => {
    const sizes = { BENCH_ROUNDS: "1", BENCH_USERS: "30" };
    const { status, stdout, stderr } = spawnSync(process.execPath, ["bench/run.ts", "bulk"], {
      env: { ...withoutSettings(process.env), ...sizes },
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^\| bulk lock of 30 ÷ bare batch insert of the same events \| [\d.]+ \|/m);
  });
});

describe("the tables say what the code does", () => {
  test("settings", () => {
    const expected = Object.entries(SETTINGS).map(([name, setting]) => [
      `\`${name}\``,
      "default" in setting ? `\`${setting.default}\`` : "",
      setting.description,
    ]);
    expect(rows("Settings").slice(1)).toEqual(expected);
  });

  test("roles", () => {
    const expected = Object.entries(ROLES).map(([name, { scope, permissions }]) => [
      name,
      scope === "either" ? "instance or organization" : scope,
      permissions.length === PERMISSIONS.length ? "all" : permissions.join(", "),
    ]);
    expect(rows("Who may do what").slice(1)).toEqual(expected);
  });

  test("methods", () => {
    const services = [UserService, SessionService, SettingsService, AccessService, EventService];
    const expected = services.flatMap((service) =>
      service.methods.map((method) => {
        const { pattern } = getOption(method, http);
        const path = String(pattern.value).replace("/resources/v3alpha", "");
        const route = pattern.case ? `${pattern.case.toUpperCase()} ${path}` : "POST /oauth/v2/introspect";
        const { permission, proofInRequest, ownSession } = getOption(method, policy);
        const name = method.methodKind === "unary" ? method.name : `${method.name}, a stream`;
        return [name, route, permission, proofInRequest || ownSession];
      }),
    );
    const written = rows("Methods").filter(([name]) => name !== "method");
    expect(
      written.map(([name, route, permission]) => {
        const [first, ...more] = (permission as string).split(", or ");
        return [name, /`([^`]+)`/.exec(route as string)?.[1], first, more.length > 0];
      }),
    ).toEqual(expected);
  });

  test("the lockout policy's defaults", () => {
    const minutes = (micros: number) =>
      micros % 3_600_000_000 === 0 ? `${micros / 3_600_000_000} h` : `${micros / 60_000_000} min`;
    const { maxAttempts, window, lockDuration, maxLockDuration, knownDevicesPass, revealLock } = DEFAULT_POLICY;
    const written = rows("What a lock does").filter(([field]) => field !== "field");
    expect(written.map(([field, value]) => [field, value])).toEqual([
      ["`maxAttempts`", String(maxAttempts)],
      ["`window`", minutes(window)],
      ["`lockDuration`", minutes(lockDuration)],
      ["`maxLockDuration`", minutes(maxLockDuration)],
      ["`knownDevicesPass`", String(knownDevicesPass)],
      ["`revealLock`", String(revealLock)],
    ]);
  });

  test("errors: every reason, with its code", () => {
    const written = rows("Errors").flatMap(([code, , reasons]) =>
      (reasons?.match(/\b[A-Z]+(_[A-Z]+)+\b|\bCANCELLED\b/g) ?? []).map((reason) => [reason, code]),
    );
    const expected = Object.entries(REASONS).map(([reason, kind]) => [reason, kind.toUpperCase()]);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(expected));
    for (const [code] of rows("Errors").slice(1)) expect(Object.keys(Code)).toContain(code);
  });

  test("limits that are set in one place", () => {
    const limits = Object.fromEntries(rows("Limits").map(([what, limit]) => [what, limit]));
    const counts = (...numbers: number[]) => numbers.map((number) => number.toLocaleString("en")).join("; ");
    const mebibytes = (...numbers: number[]) => numbers.map((bytes) => `${bytes / 2 ** 20} MiB`).join("; ");
    const kibibytes = (method: DescMethod) => maxBytesOf(method) / 1024;
    expect(limits).toMatchObject({
      "a message, compressed or not": `${kibibytes(UserService.method.lockUser)} KiB`,
      "a message to BatchLockUsers or BatchUnlockUsers": `${kibibytes(UserService.method.batchLockUsers) / 1024} MiB`,
      "such a message in compressed JSON, once it is JSON again": mebibytes(
        maxJsonBytesOf(UserService.method.batchLockUsers),
      ),
      "values of a request, with what they are made of": MAX_VALUES.toLocaleString("en"),
      "values in the lists of a request, all together": MAX_ITEMS.toLocaleString("en"),
      "headers of a request": `${LIMITS.headerBytes / 1024} KiB`,
      "open streams on an HTTP/2 connection": String(LIMITS.streams),
      connections: LIMITS.connections.toLocaleString("en"),
      "connections from one address (`USERLOCK_CONNECTIONS_PER_ADDRESS`)":
        LIMITS.connectionsPerAddress.toLocaleString("en"),
      "first bytes, TLS handshake": `${LIMITS.handshakeMs / 1000} s`,
      "headers of an HTTP/1.1 request": `${LIMITS.headersMs / 1000} s`,
      "body of a request": `${LIMITS.bodyMs / 1000} s`,
      "idle HTTP/1.1 connection": `${LIMITS.keepAliveMs / 1000} s`,
      "HTTP/2 connection without an open stream": `${LIMITS.sessionIdleMs / 1000} s`,
      "who watch events at once; of them one caller": counts(LIMITS.watchers, LIMITS.watchersPerCaller),
      "streams of health and reflection at once; from one address": counts(
        LIMITS.openStreams,
        LIMITS.openStreamsPerAddress,
      ),
      "a stream of reflection on which nothing is asked": `${LIMITS.reflectionIdleMs / 1000} s`,
      "requests of callers with a token that are on their way; of one caller": mebibytes(
        LIMITS.bodyBytes,
        LIMITS.bodyBytesPerCaller,
      ),
      "requests without a token that are on their way; from one address": mebibytes(
        LIMITS.openBodyBytes,
        LIMITS.openBodyBytesPerAddress,
      ),
      "unread of a stream of events; taking nothing of it": `${(LIMITS.watcherBytes / 1024).toLocaleString("en")} KiB; ${LIMITS.watcherStallMs / 1000} s`,
      "unread of all streams of events; one with more than is left for it reads on in the log": mebibytes(
        LIMITS.watchersBytes,
      ),
      "a stream of events without a message": `${LIMITS.heartbeatMs / 1000} s`,
      "an answer, or the end of a stream, that its client does not read": `${LIMITS.streamEndMs / 1000} s`,
    });
    expect(readme).toContain(`A call takes ${LIMITS.callMs / 1000} s at most`);
    expect(readme).toContain(`lets calls finish for up to ${LIMITS.drainMs / 1000} s`);
  });
});

test("every file and folder that is named is there", () => {
  const named = [...readme.matchAll(/`((?:src|test|proto|gen|bench)(?:\/[\w.*-]+)*)`/g)].map(
    ([, path]) => path as string,
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !path.includes("*") && !existsSync(path))).toEqual([]);
});
