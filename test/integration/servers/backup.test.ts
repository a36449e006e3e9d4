// Proves that a backup of a running store can be restored.
import { execFile } from "node:child_process";
import { chmodSync } from "node:fs";
import { DatabaseSync, backup as sqliteBackup } from "node:sqlite";
import { promisify } from "node:util";
import { type MessageShape, toJson } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, ok, openSession } from "../../support/logins.ts";
import { ADMIN_TOKEN, QUICK, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { readAll } from "../../support/stores/appends.ts";
import { installedPostgres, startCluster } from "../../support/stores/postgres.ts";
import { openStoreAt, SHARED_KEY } from "../../support/stores/stores.ts";
import { shutUnderLoad } from "../../support/workload.ts";

const { lockUser, searchUsers, createUser } = UserService.method;
const { introspectToken } = SessionService.method;

/** A store with the backup and restore of docs/operations.md. */
interface Original {
  url: string;
  /** Backs up the store during use, restores the backup in another place, and resolves with its URL. */
  backUpAndRestore(): Promise<string>;
  remove(): Promise<void> | void;
}

async function sqliteOriginal(): Promise<Original> {
  const folder = temporaryFolder();
  return {
    url: `sqlite:${folder.file("userlock.db")}`,
    async backUpAndRestore() {
      const original = new DatabaseSync(folder.file("userlock.db"));
      await sqliteBackup(original, folder.file("copy.db"));
      chmodSync(folder.file("copy.db"), 0o600);
      original.close();
      return `sqlite:${folder.file("copy.db")}`;
    },
    remove: folder.remove,
  };
}

/** Runs asynchronously, because the load must continue. */
async function run(program: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(program, args);
}

async function postgresOriginal(): Promise<Original> {
  const programs = installedPostgres();
  const folder = temporaryFolder();
  // Another cluster, so that its transaction counter starts anew.
  const [first, second] = [await startCluster(programs), await startCluster(programs)];
  return {
    url: first.url,
    async backUpAndRestore() {
      const dump = folder.file("userlock.dump");
      await run(`${programs}/pg_dump`, "--format=custom", `--file=${dump}`, first.url);
      await run(`${programs}/pg_restore`, "--no-owner", "--exit-on-error", `--dbname=${second.url}`, dump);
      return second.url;
    },
    async remove() {
      await first.remove();
      await second.remove();
      folder.remove();
    },
  };
}

/** Answers to callers: all users, a session, and a repeated call. */
async function answersOf(door: Door, sessionToken: string): Promise<unknown> {
  const users: unknown[] = [];
  for (let offset = 0n; ; ) {
    const { response } = await door.call(searchUsers, { query: { offset, limit: 1_000 } }, asOwner);
    const { result, details } = response as MessageShape<typeof searchUsers.output>;
    users.push(...((toJson(searchUsers.output, response!) as { result?: unknown[] }).result ?? []));
    offset += BigInt(result.length);
    if (offset >= (details?.totalResult ?? 0n)) break;
  }
  const session = await door.call(introspectToken, { token: sessionToken }, asOwner);
  const repeated = await door.call(
    lockUser,
    { id: "mallory" },
    { token: ADMIN_TOKEN, headers: { "idempotency-key": "the first lock" } },
  );
  return {
    users,
    session: toJson(introspectToken.output, session.response!),
    repeated: toJson(lockUser.output, repeated.response!),
  };
}

test.each([
  ["SQLite", sqliteOriginal],
  ["PostgreSQL", postgresOriginal],
])("on %s a restored backup from under load gives the same answers, and its log continues", async (_, make) => {
  const original = await make();
  const start = (url: string) => startServer({ ...SHARED_KEY, USERLOCK_STORE: url }, QUICK);
  const server = await start(original.url);
  const doors = openDoors(server.url);
  const grpc = doors.find(({ name }) => name === "gRPC, UserService") as Door;
  await addUser(grpc, { id: "alice", names: [["alice@example.com"]] });
  const { sessionToken } = await openSession(grpc, "alice");
  await addUser(grpc, { id: "mallory" });
  const options = { token: ADMIN_TOKEN, headers: { "idempotency-key": "the first lock" } };
  ok(await grpc.call(lockUser, { id: "mallory" }, options));

  let restored = "";
  await shutUnderLoad(doors, { name: "load", workers: 16, afterAnswers: 300 }, async () => {
    restored = await original.backUpAndRestore();
    await server.stop("SIGKILL");
  });
  for (const door of doors) door.close();

  const before = await openStoreAt(original.url);
  const after = await openStoreAt(restored);
  const [log, copy] = [await readAll(before), await readAll(after)];
  // The load continued during the backup, so the original may have more events at its end.
  expect(copy.length).toBeGreaterThan(300);
  expect(copy).toEqual(log.slice(0, copy.length));
  const head = await after.head();
  const beyond = log.at(-1)?.cursor ?? "";
  expect(beyond > head).toBe(true);

  // The original's state at the time of the backup is gone. The copy's answers must follow from its own log.
  const second = await start(restored);
  const others = openDoors(second.url);
  const door = others.find(({ name }) => name === "gRPC, UserService") as Door;
  const answers = (await answersOf(door, sessionToken)) as { users: { details: { id: string }; state: string }[] };
  const locked = (id: string) =>
    copy.filter((event) => event.kind === "user" && event.id === id).at(-1)?.type === "user.locked";
  const users = new Set(copy.filter(({ kind }) => kind === "user").map(({ id }) => id));
  expect(new Set(answers.users.map(({ details }) => details.id))).toEqual(users);
  for (const { details, state } of answers.users) {
    expect(state).toBe(locked(details.id) ? "USER_STATE_LOCKED" : "USER_STATE_ACTIVE");
  }
  expect(answers).toMatchObject({
    session: { active: true, sub: "alice" },
    repeated: { details: { id: "mallory" } },
  });

  const resumed = await fetch(`${second.url}/resources/v3alpha/events/_watch?after=${beyond}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  expect(await resumed.text()).toContain("INVALID_REQUEST");

  ok(await door.call(createUser, { user: { userId: "newcomer" } }, asOwner));
  const { events } = await after.read({ from: head, limit: 10 });
  expect(events.map(({ type, id }) => `${type} ${id}`)).toEqual(["user.created newcomer"]);
  expect((await readAll(after)).map(({ id }) => id)).toEqual([...copy.map(({ id }) => id), "newcomer"]);

  for (const one of others) one.close();
  await second.stop();
  await before.close();
  await after.close();
  await original.remove();
});
