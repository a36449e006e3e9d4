import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Aggregate, DomainEvent } from "../../src/domain/aggregate.ts";
import { accessToken } from "../../src/domain/token.ts";
import { user } from "../../src/domain/user.ts";
import { type Door, openDoors } from "../support/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../support/server-process.ts";

const { createUser, getUser, lockUser, unlockUser } = UserService.method;
const CRASHES = 20;
const WORKERS = 24;
const asOwner = { token: ADMIN_TOKEN };

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let server: ServerProcess | undefined;

afterAll(async () => {
  await server?.stop("SIGKILL");
  folder.remove();
});

/** What a worker knows of its user: the events that were answered, and the one of the call that was not. */
interface Account {
  id: string;
  answered: string[];
  pending: string | undefined;
}

/** Creates a user with a name, locks and unlocks him on and on, until the server is killed. */
async function work(account: Account, door: Door, isKilled: () => boolean): Promise<void> {
  const { id } = account;
  const authenticators = { usernames: [{ username: `name of ${id}` }] };
  const calls = {
    "user.created": () => door.call(createUser, { user: { userId: id, authenticators } }, asOwner),
    "user.locked": () => door.call(lockUser, { id }, asOwner),
    "user.unlocked": () => door.call(unlockUser, { id }, asOwner),
  };
  let next: keyof typeof calls = "user.created";
  for (;;) {
    account.pending = next;
    const answer = await calls[next]().catch((error: Error) => ({ code: error.message, detailTypes: [] }));
    // Without details it is not the server's answer: each client calls a broken connection by another code.
    if (isKilled() && answer.code !== "OK" && answer.detailTypes.length === 0) return;
    expect(answer).toMatchObject({ code: "OK" });
    account.answered.push(next);
    account.pending = undefined;
    next = next === "user.locked" ? "user.unlocked" : "user.locked";
  }
}

type Row = Record<string, unknown>;

function withFile<Result>(run: (all: (sql: string, ...values: string[]) => Row[]) => Result): Result {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return run((sql, ...values) => database.prepare(sql).all(...values));
  } finally {
    database.close();
  }
}

const logOf = (id: string) =>
  withFile((all) => all("SELECT type FROM events WHERE kind = 'user' AND id = ? ORDER BY version", id)).map(
    ({ type }) => type,
  );

const AGGREGATES: Record<string, Aggregate<unknown, unknown, DomainEvent>> = Object.fromEntries(
  [user, accessToken].map((aggregate) => [aggregate.kind, aggregate as never]),
);

/** Every stream is the fold of its events, and every claim is that of its stream's state. */
function expectConsistent(): void {
  withFile((all) => {
    expect(all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    const logs = Map.groupBy(all("SELECT * FROM events ORDER BY position"), ({ kind, id }) => `${kind} ${id}`);
    const streams = all("SELECT * FROM streams");
    expect(streams.map(({ kind, id }) => `${kind} ${id}`).sort()).toEqual([...logs.keys()].sort());

    const claims: string[] = [];
    for (const stream of streams) {
      const events = logs.get(`${stream.kind} ${stream.id}`) as Row[];
      const aggregate = AGGREGATES[stream.kind as string] as (typeof AGGREGATES)[string];
      let state: unknown;
      for (const { type, data, time, actor } of events) {
        const event = { type: type as string, data: JSON.parse(data as string) };
        state = aggregate.evolve(state, event, { time: time as number, actor: JSON.parse(actor as string) });
      }
      expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
      const { type: owner_type, id: owner_id } = aggregate.owner(state);
      expect({ ...stream, state: JSON.parse(stream.state as string) }).toEqual({
        instance: "default",
        kind: stream.kind,
        id: stream.id,
        version: events.length,
        owner_type,
        owner_id,
        created: events[0]?.time,
        changed: events.at(-1)?.time,
        state,
      });
      claims.push(...aggregate.claims(state).map((name) => `${name} is of ${stream.kind} ${stream.id}`));
    }
    const held = all("SELECT * FROM claims").map(({ name, kind, id }) => `${name} is of ${kind} ${id}`);
    expect(held.sort()).toEqual(claims.sort());
  });
}

/** Loads the server and kills it once it has answered so many calls. Resolves with what each worker knows. */
async function killUnderLoad({ url, stop }: ServerProcess, name: string, afterAnswers: number): Promise<Account[]> {
  const doors = openDoors(url);
  const accounts = Array.from(
    { length: WORKERS },
    (_, worker): Account => ({ id: `${name}-${worker}`, answered: [], pending: undefined }),
  );
  let isKilled = false;
  const working = Promise.all(
    accounts.map((account, worker) => work(account, doors[worker % doors.length] as Door, () => isKilled)),
  );
  const answers = () => accounts.reduce((sum, { answered }) => sum + answered.length, 0);
  while (answers() < afterAnswers) await Promise.race([sleep(1), working]);
  isKilled = true;
  expect(await stop("SIGKILL")).toBeNull();
  await working;
  for (const door of doors) door.close();
  return accounts;
}

test(`a server is killed under load ${CRASHES} times: what it answered is there, and nothing is there twice`, async () => {
  let cutOff = 0;
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` });
  for (let crash = 0; crash < CRASHES; crash++) {
    const accounts = await killUnderLoad(server, `u${crash}`, WORKERS * (1 + crash / 4));
    server = await startServer({ USERLOCK_STORE: `sqlite:${file}` });

    const doors = openDoors(server.url);
    for (const [worker, { id, answered, pending }] of accounts.entries()) {
      const log = logOf(id);
      expect([answered, [...answered, pending]]).toContainEqual(log);
      cutOff += log.length - answered.length;

      const { code, response } = await (doors[worker % doors.length] as Door).call(getUser, { id }, asOwner);
      expect(code).toBe(log.length > 0 ? "OK" : "NOT_FOUND");
      expect(response?.user?.state === State.USER_STATE_LOCKED).toBe(log.at(-1) === "user.locked");
    }
    for (const door of doors) door.close();
    expectConsistent();
  }
  // Some kills came between a commit and its answer, or nothing was shown.
  expect(cutOff).toBeGreaterThan(0);
}, 120_000);
