import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../support/doors.ts";
import { addUser, asOwner, byId, CHEAP_HASHES, logIn, ok, refused } from "../support/logins.ts";
import { type Database, newDatabase } from "../support/postgres.ts";
import { runUserlock } from "../support/run-userlock.ts";
import { type ServerProcess, startServer, temporaryFolder, withoutSettings } from "../support/server-process.ts";

const { getUser, lockUser } = UserService.method;
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

/** The stores that servers can share, each new. */
const STORES: [name: string, address: () => string][] = [
  ["PostgreSQL", () => database.url],
  ["an SQLite file", () => `sqlite:${folder.file(`${randomBytes(4).toString("hex")}.db`)}`],
];

async function start(settings: Record<string, string>): Promise<Door> {
  const server = await startServer({ ...CHEAP_HASHES, ...settings });
  servers.push(server);
  const all = openDoors(server.url);
  doors.push(...all);
  return all.find(({ name }) => name === "Connect proto, UserService") as Door;
}

describe.each(STORES)("two servers on %s", (_, address) => {
  test("are one: what the one has locked cannot log in at the other", async () => {
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

  test("have one key: a server with another one does not start, and says why", async () => {
    const settings = { USERLOCK_STORE: address(), USERLOCK_SECRET_KEY: newKey(), USERLOCK_LISTEN: "127.0.0.1:0" };
    await start(settings);
    await start(settings);
    const token = { USERLOCK_ADMIN_TOKEN: "0123456789abcdef" };
    const refusal = await runUserlock(["serve"], { ...settings, ...token, USERLOCK_SECRET_KEY: newKey() });
    expect(refusal).toMatchObject({ code: 69, stdout: "" });
    expect(refusal.stderr).toMatch(/^userlock does not start: .*another key.*USERLOCK_SECRET_KEY\.\n$/m);
  });
});

test("a store from before keys were recorded takes the key of the first server that comes", async () => {
  const settings = { USERLOCK_STORE: database.url };
  await start({ ...settings, USERLOCK_SECRET_KEY: newKey() });
  await servers[0]?.stop();
  await database.query("DELETE FROM receipts");
  const door = await start({ ...settings, USERLOCK_SECRET_KEY: newKey() });
  ok(await logIn(door, byId(await addUser(door, { id: "ann" }))));
});

describe("PostgreSQL", () => {
  test("the token and the key go to the folder data, and the password of the address is nowhere", async () => {
    const home = folder.file("home");
    mkdirSync(home);
    const program = spawn(process.execPath, [resolve("src/main.ts"), "serve"], {
      cwd: home,
      env: { ...withoutSettings(process.env), USERLOCK_STORE: database.url, USERLOCK_LISTEN: "127.0.0.1:0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    others.push(program);
    let log = "";
    program.stderr.on("data", (chunk) => {
      log += chunk;
    });
    const { value: line } = await createInterface(program.stdout)[Symbol.asyncIterator]().next();
    const url = /^userlock listening on (\S+)$/.exec(line ?? "")?.[1] as string;
    expect(readdirSync(`${home}/data`).sort()).toEqual(["admin.token", "instance.key"]);
    expect((statSync(`${home}/data`).mode & 0o777).toString(8)).toBe("700");

    const token = readFileSync(`${home}/data/admin.token`, "utf8").trim();
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(`${url}/resources/v3alpha/users`, { method: "POST", headers, body: '{"userId":"ann"}' });
    expect(answer.status).toBe(201);
    const { host, pathname, password } = new URL(database.url);
    expect(log).toContain(`postgres://${host}${pathname}`);
    expect(log).not.toContain(password);
  });

  test("the offline commands work beside a server, and want a store that is there", async () => {
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

  test("a server that is not there stops the start with a sentence, without the password", async () => {
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
