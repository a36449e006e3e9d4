// Proves that servers of one store share its key and its first token.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createExecute } from "../../../src/app/execute.ts";
import { ensureSameKey } from "../../../src/app/startup/instance-key.ts";
import { createInstanceSecrets, keyOf } from "../../../src/auth/instance-secrets.ts";
import { systemClock } from "../../../src/clock.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, byId, failLogins, logIn, ok, openSession, refused } from "../../support/logins.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import {
  QUICK,
  type ServerProcess,
  startServer,
  temporaryFolder,
  withoutSettings,
} from "../../support/servers/server-process.ts";
import { type Database, newDatabase } from "../../support/stores/postgres.ts";
import { openStoreAt, SHARED_KEY } from "../../support/stores/stores.ts";

const { getUser, lockUser } = UserService.method;
const { getSession } = SessionService.method;
const newKey = () => randomBytes(32).toString("base64");

const folder = temporaryFolder();
let database: Database;
let servers: ServerProcess[];
let doors: Door[];
let others: ChildProcess[];

beforeEach(async () => {
  database = await newDatabase();
  servers = [];
  doors = [];
  others = [];
});

afterEach(async () => {
  for (const door of doors) door.close();
  for (const other of others) {
    other.kill();
    await once(other, "exit");
  }
  for (const server of servers) await server.stop();
  await database.drop();
});

afterAll(folder.remove);

/** New stores that servers can share. */
const STORES: [name: string, address: () => string][] = [
  ["PostgreSQL", () => database.url],
  ["an SQLite file", () => `sqlite:${folder.file(`${randomBytes(4).toString("hex")}.db`)}`],
];

async function start(settings: Record<string, string>): Promise<Door> {
  const server = await startServer(settings, QUICK);
  servers.push(server);
  const all = openDoors(server.url);
  doors.push(...all);
  return all.find(({ name }) => name === "Connect proto, UserService") as Door;
}

describe.each(STORES)("two servers on %s", (_, address) => {
  test("refuse the login of a user who was locked at the other", async () => {
    const settings = { USERLOCK_STORE: address(), USERLOCK_SECRET_KEY: newKey() };
    const [one, other] = [await start(settings), await start(settings)];
    const id = await addUser(one, { id: "mallory", names: [["mallory"]] });
    ok(await logIn(other, byId(id)));
    ok(await other.call(lockUser, { id }, asOwner));
    refused(await logIn(one, byId(id)), "UNAUTHENTICATED", "LOGIN_FAILED");
    refused(await one.call(lockUser, { id }, asOwner), "FAILED_PRECONDITION", "USER_ALREADY_LOCKED");
    for (const door of [one, other]) {
      expect((await door.call(getUser, { id }, asOwner)).response?.user?.state).toBe(State.USER_STATE_LOCKED);
    }
  });

  test("share one key, and a server with another key does not start and says why", async () => {
    const settings = { USERLOCK_STORE: address(), USERLOCK_SECRET_KEY: newKey(), USERLOCK_LISTEN: "127.0.0.1:0" };
    await start(settings);
    await start(settings);
    const token = { USERLOCK_ADMIN_TOKEN: "0123456789abcdef" };
    const refusal = await runUserlock(["serve"], { ...settings, ...token, USERLOCK_SECRET_KEY: newKey() });
    expect(refusal).toMatchObject({ code: 69, stdout: "" });
    expect(refusal.stderr).toMatch(
      /^userlock does not start: .*another key.*USERLOCK_SECRET_KEY\..*admin reset-key\.\n$/m,
    );
  });

  test("accept a new key after a reset, which ends devices and kept answers but not sessions and tokens", async () => {
    const settings = { USERLOCK_STORE: address(), USERLOCK_SECRET_KEY: newKey() };
    const before = await start(settings);
    const id = await addUser(before, { id: "ann" });
    const { deviceToken, ...session } = await openSession(before, id);
    const call = { ...asOwner, headers: { "idempotency-key": "lock-bob" } };
    const bob = { id: await addUser(before, { id: "bob" }) };
    ok(await before.call(lockUser, bob, call));
    await servers.at(-1)?.stop();

    const reset = () => runUserlock(["admin", "reset-key"], settings);
    expect(await reset()).toEqual({ code: 0, stdout: expect.stringContaining("Device tokens"), stderr: "" });
    expect(await reset()).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("KEY_NOT_FOUND") });

    const after = await start({ ...settings, USERLOCK_SECRET_KEY: newKey() });
    ok(await after.call(getSession, session, asOwner));
    refused(await after.call(lockUser, bob, call), "FAILED_PRECONDITION", "USER_ALREADY_LOCKED");
    await failLogins(after, id, 5);
    refused(await logIn(after, { ...byId(id), deviceToken }), "UNAUTHENTICATED", "LOGIN_FAILED");
  });
});

/** A working folder for a server. */
function newHome(): string {
  const home = folder.file(randomBytes(4).toString("hex"));
  mkdirSync(home);
  return home;
}

/** Starts a server on the database in this working folder, which creates its first token. */
async function startAt(home: string, settings: Record<string, string> = {}) {
  const program = spawn(process.execPath, [resolve("src/main.ts"), "serve"], {
    cwd: home,
    env: {
      ...withoutSettings(process.env),
      USERLOCK_STORE: database.url,
      USERLOCK_LISTEN: "127.0.0.1:0",
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  others.push(program);
  let log = "";
  program.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const { value: line } = await createInterface(program.stdout)[Symbol.asyncIterator]().next();
  return { url: /^userlock listening on (\S+)$/.exec(line ?? "")?.[1] as string, log: () => log };
}

const tokenFileAt = (home: string) => `${home}/data/admin.token`;
const tokenAt = (home: string) => readFileSync(tokenFileAt(home), "utf8").trim();

async function addUserBy(token: string, url: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return (await fetch(`${url}/resources/v3alpha/users`, { method: "POST", headers, body: "{}" })).status;
}

describe("servers on PostgreSQL", () => {
  test("keep token and key in the folder data, and do not log the password of the address", async () => {
    const home = newHome();
    const { url, log } = await startAt(home);
    expect(readdirSync(`${home}/data`).sort()).toEqual(["admin.token", "instance.key"]);
    expect((statSync(`${home}/data`).mode & 0o777).toString(8)).toBe("700");

    expect(await addUserBy(tokenAt(home), url)).toBe(201);
    const { host, pathname, password } = new URL(database.url);
    expect(log()).toContain(`postgres://${host}${pathname}`);
    expect(log()).not.toContain(password);
  });

  test.each([
    ["one folder", 1],
    ["two folders, as on two machines", 2],
  ])("create one working token when they start together on an empty database in %s", async (_, count) => {
    const store = await openStoreAt(database.url);
    const execute = createExecute({ store, clock: systemClock() });
    const key = keyOf(SHARED_KEY.USERLOCK_SECRET_KEY) as Uint8Array;
    const { fingerprint } = createInstanceSecrets(key);
    await ensureSameKey({ execute, instanceId: "default", fingerprint });
    await store.close();
    // Writes wait until all servers have seen that no token exists, and events in the log stay invisible until then.
    const other = new Client({ connectionString: database.url });
    await other.connect();
    const homes = Array.from({ length: count }, newHome);
    const [first, second] = [homes[0] as string, homes.at(-1) as string];
    try {
      await other.query("BEGIN");
      await other.query("LOCK TABLE streams IN SHARE MODE; SELECT pg_current_xact_id()");
      const starting = Promise.all([startAt(first, SHARED_KEY), startAt(second, SHARED_KEY)]);
      const waiting = `SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = current_database()
        AND relation = 'streams'::regclass AND NOT granted`;
      for (let waited = 0; (await database.query(waiting)).length < 2 && waited < 200; waited++) await sleep(20);
      expect(homes.filter((home) => existsSync(tokenFileAt(home)))).toEqual(homes);
      await other.query("COMMIT");
      const servers = await starting;

      const having = homes.filter((home) => existsSync(tokenFileAt(home)));
      expect(having).toHaveLength(1);
      for (const { url } of servers) expect(await addUserBy(tokenAt(having[0] as string), url)).toBe(201);
    } finally {
      await other.end();
    }
  });

  test("create no token file for a store with a token, even while the log cannot be read", async () => {
    const other = new Client({ connectionString: database.url });
    await other.connect();
    try {
      await other.query("BEGIN");
      await other.query("SELECT pg_current_xact_id()");
      const [first, second] = [newHome(), newHome()];
      await startAt(first, SHARED_KEY);
      const { url } = await startAt(second, SHARED_KEY);
      expect(existsSync(tokenFileAt(second))).toBe(false);
      expect(await addUserBy(tokenAt(first), url)).toBe(201);
    } finally {
      await other.end();
    }
  });

  test("work beside offline commands, which need an existing store", async () => {
    const settings = { USERLOCK_STORE: database.url };
    const early = await runUserlock(["admin", "unlock", "mallory"], settings);
    expect(early).toMatchObject({ code: 69, stderr: expect.stringMatching(/There is no store at postgres:/) });
    expect(early.stderr).not.toContain(new URL(database.url).password);
    const tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    expect(await database.query(tables)).toEqual([]);

    const door = await start({ ...settings, USERLOCK_SECRET_KEY: newKey() });
    const id = await addUser(door, { id: "mallory" });
    ok(await door.call(lockUser, { id }, asOwner));
    expect((await runUserlock(["admin", "unlock", id], settings)).code).toBe(0);
    ok(await logIn(door, byId(id)));
  });

  test("do not start if PostgreSQL is unreachable, with a sentence without the password", async () => {
    const refusal = await runUserlock(["serve"], {
      USERLOCK_STORE: "postgres://ann:the-password@127.0.0.1:1/userlock",
      USERLOCK_SECRET_KEY: newKey(),
      USERLOCK_ADMIN_TOKEN: "0123456789abcdef",
    });
    expect(refusal).toMatchObject({ code: 69, stdout: "" });
    expect(refusal.stderr).toMatch(/127\.0\.0\.1:1\/userlock cannot be reached/);
    expect(refusal.stderr).not.toContain("the-password");
  });
});
