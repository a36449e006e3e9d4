/**
 * What a flood of logins costs everybody else: the time of LockUser while the queue of password hashes is full, as a
 * ratio to that of an idle server. Both are measured in turn, in one run, against a server on an SQLite file.
 *
 *   npm run bench:hash-queue
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SessionService } from "../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { startBenchServer } from "./support/server.ts";
import { median, quantile, show } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const CALLS = Number(process.env.BENCH_CALLS ?? 300);
/** More than can be hashed or wait, so that the queue stays full. */
const LOGINS_AT_ONCE = 450;

const server = await startBenchServer({ isPinned: false });
const { headers, url: baseUrl } = server;
const users = createClient(UserService, createGrpcTransport({ baseUrl }));
const sessions = createClient(SessionService, createGrpcTransport({ baseUrl }));

let flooding = false;
let answered = 0;

/** Tries to log in unknown users, each of whom costs a hash, again and again until the flood is over. */
async function floodOne(index: number): Promise<void> {
  while (flooding) {
    await sessions
      .createSession({ user: { case: "userId", value: `nobody-${index}` }, password: "guess" }, { headers })
      .catch(() => {});
    answered++;
  }
}

/** Times of LockUser calls, one after the other, milliseconds. */
async function lockTimes(): Promise<number[]> {
  const times: number[] = [];
  for (let call = 0; call < CALLS; call++) {
    const started = performance.now();
    await users.lockUser({ id: "victim" }, { headers });
    times.push(performance.now() - started);
    await users.unlockUser({ id: "victim" }, { headers });
  }
  return times;
}

await users.createUser({ user: { userId: "victim" } }, { headers });
await lockTimes();

const results: { idle: number[]; full: number[] }[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  const idle = await lockTimes();
  flooding = true;
  const flood = Array.from({ length: LOGINS_AT_ONCE }, (_, index) => floodOne(index));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const full = await lockTimes();
  flooding = false;
  await Promise.all(flood);
  results.push({ idle, full });
  console.log(`round ${round}: idle ${show(idle)}; queue full ${show(full)}`);
}
const ratios = (q: number) => results.map(({ idle, full }) => quantile(full, q) / quantile(idle, q));
console.log(
  `LockUser with the hash queue full, as a ratio to idle, median of ${ROUNDS} rounds of ${CALLS} calls: ` +
    `p50 ${median(ratios(0.5)).toFixed(1)}, p99 ${median(ratios(0.99)).toFixed(1)} (${answered} logins were answered)`,
);

await server.stop();
process.exit();
