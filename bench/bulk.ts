/**
 * Locks many users through a server on an SQLite file: by filters in pages of 1,000, and by ids, 10,000 a call. Each as a
 * ratio to the store's bare batch insert, which is the same events of as many users, decided beforehand and appended
 * straight through the store. All three are measured in turn, in one run.
 *
 *   npm run bench:bulk
 */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { TextFilterMethod, UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { type UserCommand, user } from "../src/domain/user.ts";
import type { User } from "../src/domain/user-state.ts";
import type { Append, EventStore, StreamRecord } from "../src/store/port.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import { startBenchServer } from "./support/server.ts";
import { median } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const USERS = Number(process.env.BENCH_USERS ?? 100_000);
const IDS_A_CALL = 10_000;
/** Appends that are under way at once in the bare insert: ten full commits. */
const AT_ONCE = 10_000;
const ACTOR = { subject: "bench", requestId: "0123456789abcdef01234567", address: "127.0.0.1", userAgent: "bench" };
const OWNER = { type: "instance", id: "default" } as const;

const ids = Array.from({ length: USERS }, (_, index) => `user-${String(index).padStart(7, "0")}`);

/** What the store is given when the user is changed. */
function toAppend(id: string, before: StreamRecord | undefined, command: UserCommand): Append {
  const occasion = { time: Math.max(Date.now() * 1_000, before?.changed ?? 0), actor: ACTOR };
  let state = before?.state as User | undefined;
  const events = user.decide(state, command, occasion);
  for (const event of events) state = user.evolve(state, event, occasion);
  return {
    kind: user.kind,
    id,
    expectedVersion: before?.version ?? 0,
    events,
    userId: id,
    time: occasion.time,
    actor: ACTOR,
    owner: OWNER,
    state,
    claims: { add: [], remove: [] },
    requires: [],
  };
}

/** Appends all of them, and resolves with the records and with the milliseconds that it took. */
async function appendAll(store: EventStore, appends: Append[]): Promise<{ records: StreamRecord[]; time: number }> {
  const records: StreamRecord[] = [];
  const started = performance.now();
  for (let at = 0; at < appends.length; at += AT_ONCE) {
    for (const result of await Promise.all(appends.slice(at, at + AT_ONCE).map(store.append))) {
      if (result.outcome !== "appended") throw new Error(`an append was refused: ${result.outcome}`);
      records.push(result.record);
    }
  }
  return { records, time: performance.now() - started };
}

const create = (id: string) =>
  toAppend(id, undefined, { type: "create", id, owner: OWNER, profile: {}, usernames: [] });
const lock = (record: StreamRecord) => toAppend(record.id, record, { type: "lock", reason: "bench", note: "" });
const unlock = (record: StreamRecord) => toAppend(record.id, record, { type: "unlock" });

const flags = process.env.BENCH_CPU_PROF ? ["--cpu-prof", `--cpu-prof-dir=${process.env.BENCH_CPU_PROF}`] : [];
const server = await startBenchServer(flags);
const { headers, url: baseUrl } = server;
// The server has the file already, for it makes the first token of an empty store alone.
const seeding = await openSqliteStore(server.file("bench.db"), "default");
await appendAll(seeding, ids.map(create));
await seeding.close();
const bare = await openSqliteStore(server.file("bare.db"), "default");
let { records } = await appendAll(bare, ids.map(create));

const users = createClient(UserService, createConnectTransport({ baseUrl, httpVersion: "1.1", acceptCompression: [] }));
const method = TextFilterMethod.STARTS_WITH;
const filters = [{ filter: { case: "userIdFilter" as const, value: { id: "user-", method } } }];

type Work = (request: { ids: string[] } | { filters: typeof filters; cursor: string }) => Promise<{
  results: { outcome: { case: string | undefined } }[];
  nextCursor: string;
}>;
const locking: Work = (request) => users.batchLockUsers({ ...request, reason: "bench" }, { headers });
const unlocking: Work = (request) => users.batchUnlockUsers(request, { headers });

async function byFilter(work: Work): Promise<number> {
  let done = 0;
  let cursor = "";
  do {
    const { results, nextCursor } = await work({ filters, cursor });
    done += results.filter(({ outcome }) => outcome.case === "details").length;
    cursor = nextCursor;
  } while (cursor !== "");
  return done;
}

async function byIds(work: Work): Promise<number> {
  let done = 0;
  for (let at = 0; at < USERS; at += IDS_A_CALL) {
    const { results } = await work({ ids: ids.slice(at, at + IDS_A_CALL) });
    done += results.filter(({ outcome }) => outcome.case === "details").length;
  }
  return done;
}

async function timed(work: () => Promise<number>): Promise<number> {
  const started = performance.now();
  const done = await work();
  if (done !== USERS) throw new Error(`${done} users were changed, not ${USERS}`);
  return performance.now() - started;
}

const rounds: { bare: number; filter: number; ids: number }[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  const locks = records.map(lock);
  const inserted = await appendAll(bare, locks);
  ({ records } = await appendAll(bare, inserted.records.map(unlock)));
  const filter = await timed(() => byFilter(locking));
  await timed(() => byFilter(unlocking));
  const list = await timed(() => byIds(locking));
  await timed(() => byIds(unlocking));
  const times = { bare: inserted.time, filter, ids: list };
  rounds.push(times);
  const perSecond = (time: number) => `${Math.round((USERS / time) * 1_000).toLocaleString("en")}/s`;
  console.log(
    `round ${round}: bare insert ${perSecond(times.bare)}, by filter ${perSecond(times.filter)}, by ids ${perSecond(times.ids)}`,
  );
}
const ratio = (way: "filter" | "ids") => median(rounds.map((times) => times.bare / times[way])).toFixed(2);
const seconds = (way: "bare" | "filter" | "ids") => (median(rounds.map((times) => times[way])) / 1_000).toFixed(1);
console.log(
  `${USERS.toLocaleString("en")} locks, median of ${ROUNDS} rounds: bare batch insert ${seconds("bare")} s; ` +
    `by filter ${seconds("filter")} s, ${ratio("filter")} times its rate; by ids ${seconds("ids")} s, ${ratio("ids")} times`,
);

await bare.close();
await server.stop();
process.exit();
