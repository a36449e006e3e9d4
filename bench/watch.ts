/**
 * How long it takes until a lock has reached everybody who watches: from LockUser's answer to the last of 1,000
 * watchers over gRPC, for one lock and for 100 at once, each as a ratio to the time in which the bare store makes the
 * same events durable. Both are measured in turn, in one run; the watchers share this process, and the server has its
 * own.
 *
 *   npm run bench:watch
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { openSqliteStore } from "../src/store/sqlite/store.ts";
import { openManyWatchers } from "../test/support/watch/many-watchers.ts";
import { startBenchServer } from "./support/server.ts";
import { median, quantile, show } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const CALLS = Number(process.env.BENCH_CALLS ?? 100);
const WATCHERS = Number(process.env.BENCH_WATCHERS ?? 1_000);
/** Locks that are made at once. */
const AT_ONCE = 100;

const server = await startBenchServer({ isPinned: false });
const { headers, token, url: baseUrl } = server;
const users = createClient(UserService, createGrpcTransport({ baseUrl }));
const bare = await openSqliteStore(server.file("bare.db"), "default");

const ids = Array.from({ length: AT_ONCE }, (_, index) => `victim-${index}`);
await Promise.all(ids.map((userId) => users.createUser({ user: { userId } }, { headers })));
const watchers = await openManyWatchers(baseUrl, { token, count: WATCHERS, types: ["user.locked"] });
let locks = 0;
const versions = new Map<string, number>();

/** Locks them at once, and how long after the last answer the last watcher has the last event, milliseconds. */
async function lock(some: readonly string[]): Promise<number> {
  await Promise.all(some.map((id) => users.lockUser({ id, reason: "fraud" }, { headers })));
  const answered = performance.now();
  locks += some.length;
  const last = await watchers.allHave(1 + locks);
  await Promise.all(some.map((id) => users.unlockUser({ id }, { headers })));
  return Math.max(last - answered, 0);
}

/** The same events in the store alone. */
async function insert(some: readonly string[]): Promise<number> {
  const start = performance.now();
  await Promise.all(
    some.map((id) => {
      const expectedVersion = versions.get(id) ?? 0;
      versions.set(id, expectedVersion + 1);
      return bare.append({
        kind: "user",
        id,
        expectedVersion,
        events: [
          { type: "user.locked", data: { cause: "manual", reason: "fraud", note: "", since: Date.now() * 1_000 } },
        ],
        userId: id,
        time: Date.now() * 1_000,
        actor: { subject: "admin", tokenId: "admin", requestId: id, address: "127.0.0.1", userAgent: "bench" },
        owner: { type: "instance", id: "default" },
        state: { id },
        claims: { add: [], remove: [] },
        requires: [],
      });
    }),
  );
  return performance.now() - start;
}

interface Times {
  watched: number[];
  inserted: number[];
}

async function measure(some: readonly string[], calls: number): Promise<Times> {
  const times: Times = { watched: [], inserted: [] };
  for (let call = 0; call < calls; call++) {
    times.watched.push(await lock(some));
    times.inserted.push(await insert(some));
  }
  return times;
}

const KINDS: [what: string, some: string[], calls: number][] = [
  ["one lock", ids.slice(0, 1), CALLS],
  [`${AT_ONCE} locks at once`, ids, Math.ceil(CALLS / 10)],
];
for (const [what, some, calls] of KINDS) {
  await measure(some, Math.ceil(calls / 2));
  const rounds: Times[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const times = await measure(some, calls);
    rounds.push(times);
    console.log(`${what}, round ${round}: to all watchers ${show(times.watched)}; bare insert ${show(times.inserted)}`);
  }
  const ofRounds = (pick: (times: Times) => number) => median(rounds.map(pick)).toFixed(1);
  console.log(
    `${what}, ${WATCHERS} watchers, medians of ${ROUNDS} rounds of ${calls}: ` +
      `p50 ${ofRounds(({ watched }) => median(watched))} ms, p99 ${ofRounds(({ watched }) => quantile(watched, 0.99))} ms; ` +
      `as a ratio to the bare insert p50 ${ofRounds(({ watched, inserted }) => median(watched) / median(inserted))}, ` +
      `p99 ${ofRounds(({ watched, inserted }) => quantile(watched, 0.99) / quantile(inserted, 0.99))}`,
  );
}

await bare.close();
await server.stop();
process.exit();
