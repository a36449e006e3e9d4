/**
 * Locks many users through a server on an SQLite file: by filters in pages of 1,000, and by ids, 10,000 a call. Each as
 * a ratio to the store's bare batch insert, which is the same events of as many users, decided beforehand and appended
 * straight through the store. The slower way is the figure. Here the server has both cores, as the insert has.
 *
 *   npm run bench:bulk
 */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { TextFilterMethod, UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { openSqliteStore } from "../src/store/sqlite/store.ts";
import { appendAll, toCreate, toLock, toUnlock } from "./support/appends.ts";
import { measure, show } from "./support/rounds.ts";
import { startBenchServer } from "./support/server.ts";
import { idOf, USERS } from "./support/users.ts";

const IDS_A_CALL = 10_000;

const ids = Array.from({ length: USERS }, (_, number) => idOf(number));

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

await measure(
  { name: `bulk lock of ${USERS.toLocaleString("en")} ÷ bare batch insert of the same events`, bound: 0.3, aim: 0.5 },
  async () => {
    const inserted = await appendAll(bare, records.map(toLock));
    ({ records } = await appendAll(bare, inserted.records.map(toUnlock)));
    const filter = await timed(() => byFilter(locking));
    await timed(() => byFilter(unlocking));
    const list = await timed(() => byIds(locking));
    await timed(() => byIds(unlocking));
    const tell = (time: number) => `${show(inserted.time / time)} times that by`;
    return {
      value: inserted.time / Math.max(filter, list),
      line: `${show((1_000 * USERS) / inserted.time)}/s inserted; ${tell(filter)} filter, ${tell(list)} ids`,
    };
  },
);

await bare.close();
await server.stop();
process.exit();
