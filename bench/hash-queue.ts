/**
 * What a flood of logins costs everybody else, and what logins get of the machine: the time of LockUser while the queue
 * of password hashes is full, as a ratio to that of an idle server; and good logins a second, as a ratio to bare hashes
 * by as many threads as there are cores. All are measured in turn, in one run, against a server on an SQLite file.
 *
 *   npm run bench:hash-queue
 */
import { Agent, request } from "node:http";
import { availableParallelism } from "node:os";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { hash, verify } from "@node-rs/argon2";
import { SessionService } from "../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { startBenchServer } from "./support/server.ts";
import { median, quantile, show } from "./support/statistics.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const CALLS = Number(process.env.BENCH_CALLS ?? 300);
/** More than can be hashed or wait, so that the queue stays full. */
const LOGINS_AT_ONCE = 450;
/** Users who log in, each again and again, and for how long. */
const USERS = 32;
const LOGINS_MS = Number(process.env.BENCH_LOGINS_MS ?? 4_000);
const PASSWORD = "correct horse battery staple";
/** As USERLOCK_ARGON2 comes. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

// Node reads it when its pool of threads is first used.
process.env.UV_THREADPOOL_SIZE ??= String(availableParallelism() + 4);

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

/** How often a second so many workers get it done. */
async function rate(workers: number, work: (worker: number) => Promise<unknown>): Promise<number> {
  let done = 0;
  const started = performance.now();
  const loop = async (worker: number) => {
    while (performance.now() - started < LOGINS_MS) {
      await work(worker);
      done++;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  return (done / (performance.now() - started)) * 1_000;
}

const ownHash = await hash(PASSWORD, COST);
const bareRate = () => rate(availableParallelism(), () => verify(ownHash, PASSWORD));
/** A good login by bare HTTP: the caller shares the cores with the server, and should take little of them. */
const agent = new Agent({ keepAlive: true });
const logIn = (userId: string) =>
  new Promise<void>((resolve, reject) => {
    const body = JSON.stringify({ userId, password: PASSWORD });
    const options = { method: "POST", agent, headers: { ...headers, "content-type": "application/json" } };
    request(`${baseUrl}/resources/v3alpha/sessions`, options, (response) => {
      if (response.statusCode !== 201) reject(new Error(`a login was answered with ${response.statusCode}`));
      response.resume().on("end", resolve);
    })
      .on("error", reject)
      .end(body);
  });
const loginRate = () => rate(USERS, (worker) => logIn(`user-${worker}`));

await users.createUser({ user: { userId: "victim" } }, { headers });
for (let user = 0; user < USERS; user++) {
  const authenticators = { password: { type: { case: "hash", value: ownHash } } } as const;
  await users.createUser({ user: { userId: `user-${user}`, authenticators } }, { headers });
}
await lockTimes();

await loginRate();

const results: { idle: number[]; full: number[] }[] = [];
const shares: number[] = [];
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
  // The bare ones before and after, so that other load on the machine falls on both.
  const before = await bareRate();
  const logins = await loginRate();
  const bare = (before + (await bareRate())) / 2;
  shares.push(logins / bare);
  console.log(`round ${round}: ${logins.toFixed(0)} logins a second, ${bare.toFixed(0)} bare hashes`);
}
const ratios = (q: number) => results.map(({ idle, full }) => quantile(full, q) / quantile(idle, q));
console.log(
  `LockUser with the hash queue full, as a ratio to idle, median of ${ROUNDS} rounds of ${CALLS} calls: ` +
    `p50 ${median(ratios(0.5)).toFixed(1)}, p99 ${median(ratios(0.99)).toFixed(1)} (${answered} logins were answered)`,
);
console.log(`good logins as a ratio to bare argon2id, median of ${ROUNDS} rounds: ${median(shares).toFixed(2)}`);

await server.stop();
process.exit();
