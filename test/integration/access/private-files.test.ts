// Proves that a server keeps its files private, and does not start if others can access them.
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { readConfig } from "../../../src/config/config.ts";
import { createLogger } from "../../../src/log.ts";
import { start } from "../../../src/server.ts";
import { ADMIN_TOKEN, temporaryFolder } from "../../support/servers/server-process.ts";

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

/** Starts a server in this process with its files in the folder. */
const startHere = (more: Record<string, string> = {}) =>
  start(
    readConfig({ USERLOCK_LISTEN: "127.0.0.1:0", USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}`, ...more }),
    createLogger("silent"),
  );

test("a start is refused if others can access a file, with the command to fix it, unless a setting allows it", async () => {
  await (await startHere()).close();
  // The stopped server has removed its WAL.
  writeFileSync(folder.file("userlock.db-wal"), "", { mode: 0o600 });
  for (const [name, mode] of [
    ["userlock.db", 0o644],
    ["userlock.db", 0o620],
    ["userlock.db-wal", 0o640],
    ["instance.key", 0o640],
    ["instance.key", 0o602],
    ["admin.token", 0o604],
  ] as const) {
    const file = folder.file(name);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, mode);
    const refusal = await startHere().catch((error: Error) => error.message);
    for (const part of [`0${mode.toString(8)}`, `"chmod 600 ${file}"`, "USERLOCK_INSECURE_FILES=allow"]) {
      expect(refusal).toContain(part);
    }
    if (name !== "admin.token") chmodSync(file, 0o600);
  }
  await (await startHere({ USERLOCK_INSECURE_FILES: "allow" })).close();
  chmodSync(folder.file("admin.token"), 0o600);
  await (await startHere()).close();
});

test("only the owner can access the files of a running server", async () => {
  const server = await startHere();
  const modes = readdirSync(folder.path).map((name) => [name, (statSync(folder.file(name)).mode & 0o777).toString(8)]);
  await server.close();
  expect(Object.fromEntries(modes)).toEqual({
    "userlock.db": "600",
    "userlock.db-wal": "600",
    "userlock.db-shm": "600",
    "instance.key": "600",
    "admin.token": "600",
  });
});

test("DeleteUser leaves no hash, address or number in the files after a checkpoint of the WAL", async () => {
  const server = await startHere({ USERLOCK_ADMIN_TOKEN: ADMIN_TOKEN });
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${server.url}/resources/v3alpha/users${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    expect(response.ok).toBe(true);
  };
  const numberOf = (name: string) => `+4930987${name.replace("user", "").padStart(6, "0")}`;
  const contact = (name: string) => ({
    email: { address: `${name}@secret.example` },
    phone: { number: numberOf(name) },
  });
  const users = Array.from({ length: 30 }, (_, index) => `user${index}`);
  for (const name of users) {
    await call("POST", "", {
      userId: name,
      contact: contact(name),
      authenticators: { password: { password: `password of ${name}` } },
    });
  }
  await call("PATCH", "/user7", { contact: contact("user777") });
  await call("POST", "/user7/password", { password: "another password" });

  const database = new DatabaseSync(folder.file("userlock.db"));
  const hashes = database
    .prepare("SELECT id, state ->> '$.password.hash' AS hash FROM streams WHERE kind = 'user'")
    .all() as { id: string; hash: string }[];
  const traces = (name: string) => [`${name}@secret.example`, numberOf(name)];
  const secrets = [
    ...["user5", "user7", "user20", "user777"].flatMap(traces),
    ...hashes.filter(({ id }) => ["user5", "user7", "user20"].includes(id)).map(({ hash }) => hash),
  ];
  const found = () => {
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const files = ["", "-wal"].map((end) => folder.file(`userlock.db${end}`)).filter((file) => existsSync(file));
    const bytes = Buffer.concat(files.map((file) => readFileSync(file)));
    return secrets.filter((secret) => bytes.includes(secret));
  };
  expect(found()).toEqual(expect.arrayContaining([...traces("user5"), ...traces("user777")]));
  for (const id of ["user5", "user7", "user20"]) await call("DELETE", `/${id}`);
  expect(found()).toEqual([]);
  database.close();
  await server.close();
});
