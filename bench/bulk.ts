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
import { openSqliteStore } from "../src/store/sqlite.ts";
import { appendAll, toCreate, toLock, toUnlock } from "./support/appends.ts";
import { startBenchServer } from "./support/server.ts";
import { median } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const USERS = Number(process.env.BENCH_USERS ?? 100_000);
const IDS_A_CALL = 10_000;

const ids = Array.from({ length: USERS }, (_, index) => `user-${String(index).padStart(7, "0")}`);

const server = await startBenchServer({ isPinned: false });
const { headers, url: baseUrl } = server;
// The server has the file already, for it makes the first token of an empty store alone.
const seeding = await openSqliteStore(server.file("bench.db"), "default");
await appendAll(seeding, ids.map(toCreate));
await seeding.close();
const bare = await openSqliteStore(server.file("bare.db"), "default");
let { records } = await appendAll(bare, ids.map(toCreate));

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
  const locks = records.map(toLock);
  const inserted = await appendAll(bare, locks);
  ({ records } = await appendAll(bare, inserted.records.map(toUnlock)));
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
