// Proves that of many concurrent locks of one user exactly one succeeds.
import { DatabaseSync } from "node:sqlite";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  ADMIN_TOKEN,
  QUICK,
  type ServerProcess,
  startServer,
  temporaryFolder,
} from "../../support/servers/server-process.ts";

const { createUser, lockUser, unlockUser } = UserService.method;
const CALLERS = 64;
const asOwner = { token: ADMIN_TOKEN };

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let servers: ServerProcess[] = [];
const opened: Door[] = [];

/** The doors of a server that the callers use in turn. */
const doorsOf = (url: string): Door[] => {
  const doors = openDoors(url);
  opened.push(...doors);
  return doors.filter(({ name }) => /^(REST|Connect|gRPC,)/.test(name));
};

beforeAll(async () => {
  const settings = { USERLOCK_STORE: `sqlite:${file}` };
  servers = await Promise.all([startServer(settings, QUICK), startServer(settings, QUICK)]);
});

afterAll(async () => {
  for (const door of opened) door.close();
  for (const server of servers) await server.stop();
  folder.remove();
});

/** In each round all callers lock the user concurrently, and one of them unlocks the user afterwards. */
async function lockAtOnce(id: string, doors: Door[], rounds: number): Promise<void> {
  const [first] = doors as [Door];
  expect((await first.call(createUser, { user: { userId: id } }, asOwner)).code).toBe("OK");
  const winners = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const callers = Array.from({ length: CALLERS }, (_, index) => doors[(round + index) % doors.length] as Door);
    const answers = await Promise.all(callers.map((door) => door.call(lockUser, { id }, asOwner)));

    const count = Map.groupBy(answers, ({ code, reason }) => (reason ? `${code} ${reason}` : code));
    expect(Object.fromEntries([...count].map(([answer, all]) => [answer, all.length]))).toEqual({
      OK: 1,
      "FAILED_PRECONDITION USER_ALREADY_LOCKED": CALLERS - 1,
    });
    winners.add(callers[answers.findIndex(({ code }) => code === "OK")]?.name ?? "");
    expect((await (doors[round % doors.length] as Door).call(unlockUser, { id }, asOwner)).code).toBe("OK");
  }
  expect(winners.size).toBeGreaterThan(1);
  expect(logOf(id)).toEqual([
    "user.created",
    ...Array.from({ length: rounds }, () => ["user.locked", "user.unlocked"]).flat(),
  ]);
}

function logOf(id: string): unknown[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const statement = database.prepare("SELECT type FROM events WHERE kind = 'user' AND id = ? ORDER BY version");
    return statement.all(id).map(({ type }) => type);
  } finally {
    database.close();
  }
}

test("one of 64 concurrent locks over gRPC, Connect and REST succeeds, in each of 60 rounds", async () => {
  await lockAtOnce("one", doorsOf((servers[0] as ServerProcess).url), 60);
}, 600_000);

test("one of 64 concurrent locks at two servers on one file succeeds, in each of 20 rounds", async () => {
  const [doors, others] = servers.map(({ url }) => doorsOf(url)) as [Door[], Door[]];
  const alternating = doors.flatMap((door, index) => [door, others[index] as Door]);
  await lockAtOnce("two", alternating, 20);
}, 600_000);
