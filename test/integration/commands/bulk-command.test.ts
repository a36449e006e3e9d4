// Proves that userlock lock and unlock process long lists, and survive a server's restart.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { runBulk } from "../../../src/cli/bulk/bulk.ts";
import { notAnId } from "../../../src/cli/ids.ts";
import { systemClock } from "../../../src/clock.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { jobOf } from "../../support/commands.ts";
import { usersIn } from "../../support/servers/app.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import {
  ADMIN_TOKEN,
  type ServerProcess,
  startServer,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";
import { until } from "../../support/stores/appends.ts";

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let server: ServerProcess;
let store: EventStore;
let port: string;
const start = () => startServer({ USERLOCK_STORE: `sqlite:${file}`, USERLOCK_LISTEN: port });
beforeAll(async () => {
  port = `127.0.0.1:${await freePort()}`;
  server = await start();
  store = await openSqliteStore(file, "default");
});
afterAll(async () => {
  await store?.close();
  await server?.stop();
  folder.remove();
});

const environment = (more: Record<string, string> = {}) => ({
  ...withoutSettings(process.env),
  USERLOCK_URL: server.url,
  USERLOCK_TOKEN: ADMIN_TOKEN,
  ...more,
});

/** Runs the command in this process until it ends. */
const userlock = (args: string[], input: string[] = [], more: Record<string, string> = {}, terminal = {}) =>
  runUserlock(args, { USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN, ...more }, { stdin: input, terminal });

let batches = 0;
async function addMany(count: number): Promise<string[]> {
  const prefix = `b${++batches}`;
  const ids = Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(5, "0")}`);
  const users = usersIn(store, systemClock());
  await Promise.all(ids.map((id) => users.add(id)));
  return ids;
}
const listOf = (ids: string[], name = `ids-${++batches}.txt`) => {
  writeFileSync(folder.file(name), ids.map((id) => `${id}\n`).join(""));
  return folder.file(name);
};
/** The number of locks of each user. */
function locks(ids: string[]): Set<number> {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const counts = "SELECT id, count(*) AS locks FROM events WHERE kind = 'user' AND type = 'user.locked' GROUP BY id";
    const found = new Map(
      database
        .prepare(counts)
        .all()
        .map(({ id, locks: number }) => [id, number as number]),
    );
    return new Set(ids.map((id) => found.get(id) ?? 0));
  } finally {
    database.close();
  }
}
const filterOf = (prefix: string) =>
  JSON.stringify({ userIdFilter: { id: prefix, method: "TEXT_FILTER_METHOD_STARTS_WITH" } });

test("lock with ids counts users who were locked before separately", async () => {
  const ids = await addMany(2);
  const [first] = ids as [string];
  expect(await userlock(["lock", first, "--reason", "fraud"])).toMatchObject({
    code: 0,
    stdout: "",
    stderr: expect.stringMatching(/^locked 1; locked before 0; failed 0 in /),
  });
  expect(await userlock(["lock", ...ids])).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^locked 1; locked before 1; failed 0 in /),
  });
  expect((await store.load("user", first))?.state).toMatchObject({ lock: { reason: "fraud" } });
});

test("lock with a file ignores comments, empty lines and other columns, and prints failed users on stdout", async () => {
  const [ann, bob, cat] = (await addMany(3)) as [string, string, string];
  const list = folder.file("list.csv");
  writeFileSync(
    list,
    `\uFEFF# from the SIEM\r\n\r\n"${ann}",ann@example.com\r\n${bob}\tnobody\n  ${cat} \nno-such-user\nü;x\n${ann}`,
  );
  const { code, stdout, stderr } = await userlock(["lock", "--ids", list, "--duration", "1h", "--note", "A wave."]);
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: [
      `ü\tINVALID_REQUEST\tline 7: ${notAnId("ü")}`,
      "no-such-user\tUSER_NOT_FOUND\tThe user does not exist or is not visible to you.",
      "",
    ].join("\n"),
  });
  expect(stderr).toMatch(/^locked 3; locked before 0; failed 2 \(INVALID_REQUEST 1, USER_NOT_FOUND 1\) in /);
  const lock = ((await store.load("user", bob))!.state as { lock: { note: string; until: number } }).lock;
  expect(lock.note).toBe("A wave.");
  expect(Math.abs(lock.until - (Date.now() + 3_600_000) * 1_000)).toBeLessThan(60_000_000);

  // The printed failures are a valid list.
  writeFileSync(list, stdout);
  expect((await userlock(["unlock", "--ids", list])).stdout).toBe(stdout.replace("line 7", "line 1"));
});

test("lock reads ids from stdin, and a dry run changes nothing", async () => {
  const ids = await addMany(1_500);
  const input = ids.map((id) => `${id}\n`);
  const dry = await userlock(["lock", "--ids", "-", "--dry-run"], input);
  expect(dry).toMatchObject({
    code: 0,
    stdout: input.join(""),
    stderr: expect.stringMatching(/^dry run: would lock 1,500; locked before 0; failed 0 in /),
  });
  expect(locks(ids)).toEqual(new Set([0]));
  expect(await userlock(["lock", "--ids", "-"], input)).toMatchObject({ code: 0 });
  expect(locks(ids)).toEqual(new Set([1]));
});

test("lock with a filter refuses another number than --expect, and unlock undoes it by its reason", async () => {
  const ids = await addMany(2_100);
  const filter = ["--filter", filterOf(ids[0]!.split("-")[0]!)];
  const refused = await userlock(["lock", ...filter, "--expect", "2000"]);
  expect(refused).toMatchObject({ code: 64, stderr: expect.stringContaining("2,100 instead of 2,000") });
  expect(locks(ids)).toEqual(new Set([0]));
  const reason = ["--reason", "wave-7"];
  expect(await userlock(["lock", ...filter, "--expect", "2100", ...reason])).toMatchObject({
    code: 0,
    // Behind the progress, if it took long.
    stderr: expect.stringMatching(/^locked 2,100; locked before 0; failed 0 /m),
  });
  expect(await userlock(["unlock", "--lock-reason", "wave-7"])).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^unlocked 2,100; /m),
  });
});

test("lock reads a named column of a table with quoted ids, and its printed failures are a valid list", async () => {
  const [ann, bob] = (await addMany(2)) as [string, string];
  const list = folder.file("table.csv");
  writeFileSync(list, `"full name";"user id"\r\n"Ann; of ""A""";${ann}\r\nBob;"${bob}"\r\nCat;"${bob} smith"\r\n`);
  const { code, stdout, stderr } = await userlock(["lock", "--ids", list, "--column", "user id"]);
  const message = notAnId(`${bob} smith`);
  expect({ code, stdout }).toEqual({ code: 1, stdout: `"${bob} smith"\tINVALID_REQUEST\tline 4: ${message}\n` });
  expect(stderr).toMatch(/^locked 2; locked before 0; failed 1 \(INVALID_REQUEST 1\) in /);

  writeFileSync(list, stdout);
  expect(await userlock(["unlock", "--ids", list])).toMatchObject({
    code: 1,
    stdout: stdout.replace("line 4", "line 1"),
  });
  expect(locks([bob])).toEqual(new Set([1]));
  const json = await userlock(["unlock", "--ids", list, "--output", "json"]);
  expect(JSON.parse(json.stdout)).toEqual({
    id: `${bob} smith`,
    reason: "INVALID_REQUEST",
    message: `line 1: ${message}`,
  });
  expect(await userlock(["lock", "--ids", list, "--column", "id"])).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("--column: the list has no column id; it has "),
  });
});

test("lock prints failed ids from the command line without a line number, and reports filters without a match", async () => {
  const { code, stdout } = await userlock(["lock", "ü"]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: `ü\tINVALID_REQUEST\t${notAnId("ü")}\n` });
  expect(await userlock(["lock", "--email-contains", "@nowhere.example"])).toEqual({
    code: 0,
    stdout: "",
    stderr: "No user passes the filters; there is nothing to lock.\n",
  });
});

test("lock and unlock with filters ask on a terminal first, unless --yes is given", async () => {
  const ids = await addMany(3);
  const filter = ["--filter", filterOf(ids[0]!.split("-")[0]!)];
  const terminal = { isTTY: true, columns: 200 };
  for (const answer of ["n\n", "\n", ""]) {
    const { code, stderr } = await userlock(["lock", ...filter], [answer], {}, terminal);
    expect(code).toBe(1);
    expect(stderr).toContain(`Lock 3 users on ${server.url}? [y/N] Nothing was changed.\n`);
  }
  expect(locks(ids)).toEqual(new Set([0]));
  expect((await userlock(["lock", ...filter], ["y\n"], {}, terminal)).code).toBe(0);
  expect(locks(ids)).toEqual(new Set([1]));
  const sure = await userlock(["unlock", ...filter, "--yes"], [], {}, terminal);
  expect(sure.stderr).not.toContain("[y/N]");
  expect(sure.code).toBe(0);
});

test.each<[args: string[], more: Record<string, string>, code: number, says: string]>([
  [[], {}, 64, "by ids, by --ids or by filters"],
  [["ann", "--until", "2020-01-01T00:00:00Z"], {}, 1, "INVALID_REQUEST"],
  [["--ids", "no/such/file"], {}, 64, "cannot be read"],
  [["--ids", "/dev/null"], {}, 64, "the list has no ids"],
  [["ann"], { USERLOCK_TOKEN: "wrong-token-altogether" }, 77, "TOKEN_INVALID"],
  [["ann"], { USERLOCK_TOKEN: "" }, 64, "USERLOCK_TOKEN"],
  [["ann"], { USERLOCK_URL: "http://127.0.0.1:1" }, 69, "does not answer"],
])("lock %j with %j ends with %i and says %s", async (args, more, code, says) => {
  const answer = await userlock(["lock", ...args], [], more);
  expect(answer).toMatchObject({ code, stdout: "" });
  expect(answer.stderr).toContain(says);
  expect(answer.stderr).not.toMatch(/\n\s+at /);
});

/** Starts the command, and resolves when it has saved its place. */
async function startBulk(args: string[], place: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["src/main.ts", ...args, "--resume", place], {
    env: environment(),
    stdio: ["ignore", "ignore", "ignore"],
  });
  await until(() => existsSync(place));
  return child;
}

/** Runs `userlock lock` in this process, and stops it like Ctrl-C after it has saved its place. */
async function stopAfterFirstPage(args: string[], place: string): Promise<void> {
  const stop = new AbortController();
  const screen = { write: () => true };
  const env = { USERLOCK_URL: server.url, USERLOCK_TOKEN: ADMIN_TOKEN };
  const around = {
    env,
    isInteractive: false,
    stdin: () => Readable.from([]),
    stdout: screen,
    stderr: screen,
    stop: stop.signal,
  };
  const running = runBulk(jobOf("lock", args, server.url), around);
  await until(() => existsSync(place));
  stop.abort();
  expect(await running).toBe(130);
}

describe("--resume", () => {
  test.each(["file", "stdin", "filter"])("continues after a SIGKILL, with ids from a %s", async (way) => {
    const ids = await addMany(5_000);
    const list = listOf(ids);
    const place = folder.file(`place-${way}`);
    const how = way === "filter" ? ["--filter", filterOf(ids[0]!.split("-")[0]!)] : ["--ids", list];
    const child = await startBulk(["lock", ...how], place);
    child.kill("SIGKILL");
    await once(child, "exit");
    const { done } = JSON.parse(readFileSync(place, "utf8")) as { done: number };
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(5_000);

    const again = way === "stdin" ? ["--ids", "-"] : how;
    const { code, stderr } = await userlock(
      ["lock", ...again, "--resume", place],
      way === "stdin" ? ids.map((id) => `${id}\n`) : [],
    );
    expect(stderr).toContain(`continuing after ${done.toLocaleString("en")} users`);
    expect(code).toBe(0);
    expect(locks(ids)).toEqual(new Set([1]));
    expect(existsSync(place)).toBe(false);
  });

  test("refuses a place of another command, of another list, or without content", async () => {
    const ids = await addMany(5_000);
    const list = listOf(ids);
    const place = folder.file("place-other");
    await stopAfterFirstPage(["--ids", list, "--reason", "a", "--resume", place], place);
    const resume = (...args: string[]) => userlock([...args, "--resume", place]);
    for (const args of [
      ["unlock", "--ids", list],
      ["lock", "--ids", list, "--reason", "b"],
    ]) {
      expect(await resume(...args)).toMatchObject({ code: 64, stderr: expect.stringContaining("another command") });
    }
    const other = listOf([...ids].reverse());
    expect(await resume("lock", "--ids", other, "--reason", "a")).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("the list differs from that of the earlier run"),
    });
    writeFileSync(place, "nothing");
    expect(await resume("lock", "--ids", list, "--reason", "a")).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("is not a file of an earlier run"),
    });
  });

  test("Ctrl-C stops lock after the page, prints how to continue, and exits with 130", async () => {
    const ids = await addMany(5_000);
    const place = folder.file("place-interrupted");
    const args = ["src/main.ts", "lock", "--ids", listOf(ids), "--resume", place];
    const child = spawn(process.execPath, args, { env: environment(), stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    await until(() => existsSync(place));
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    expect(code).toBe(130);
    expect(stderr).toMatch(/^locked [\d,]+; .*\nstopped after [\d,]+ of 5,000 users; run the same command again/);
    expect(await userlock(["lock", "--ids", args[3] as string, "--resume", place])).toMatchObject({ code: 0 });
    expect(locks(ids)).toEqual(new Set([1]));
  });
});

test("lock waits for a server that is killed and started again", async () => {
  const ids = await addMany(5_000);
  const place = folder.file("place-restart");
  const running = startBulk(["lock", "--ids", listOf(ids)], place);
  const child = await running;
  await server.stop("SIGKILL");
  server = await start();
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
  expect(locks(ids)).toEqual(new Set([1]));
});

test.each([
  ["SIGINT", "SIGTERM"],
  ["SIGTERM", "SIGTERM"],
] as const)("%s, then %s, ends lock at once, even if the server does not answer", async (first, second) => {
  const silent = createHttpServer(() => asked.abort()).listen(0, "127.0.0.1");
  const asked = new AbortController();
  await once(silent, "listening");
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const args = ["src/main.ts", "lock", "ann"];
  const child = spawn(process.execPath, args, { env: environment({ USERLOCK_URL: url }), stdio: "ignore" });
  try {
    await until(() => asked.signal.aborted);
    child.kill(first);
    await sleep(500);
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    child.kill(second);
    const [, signal] = await once(child, "exit", { signal: AbortSignal.timeout(5_000) });
    expect(signal).toBe(second);
  } finally {
    child.kill("SIGKILL");
    silent.closeAllConnections();
    silent.close();
  }
});

test("lock shows a progress bar on a terminal", async () => {
  const ids = await addMany(3_000);
  const { stderr } = await userlock(["lock", "--ids", listOf(ids)], [], {}, { isTTY: true, columns: 120 });
  expect(stderr).toMatch(/\[#+-*\] +\d+% {2}[\d,]+ of 3,000 /);
  expect(stderr).toContain("\r\x1b[K");
  expect(stderr).toContain("locked 3,000; locked before 0; failed 0 in ");
});
