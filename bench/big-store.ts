/**
 * What a LockUser by gRPC takes of a busy server with 10,000,000 events in the store, as a ratio to one with 10,000.
 * The events are those of 1,000,000 users and of 10,000.
 *
 *   npm run bench:big-store
 */
import { temporaryFolder } from "./support/files.ts";
import { lockByGrpc } from "./support/lock-calls.ts";
import { CALLS, type Contender, lockingOf } from "./support/lock-rate.ts";
import { makeStore } from "./support/multiply.ts";
import { pinGenerator } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { startBenchServer } from "./support/server.ts";
import { usersOf } from "./support/users.ts";

const MANY = Number(process.env.BENCH_EVENTS ?? 10_000_000);
const FEW = MANY / 1_000;
/** Of as many users as have events in the small store, each is called once a round. */
const how = { connections: 4, inFlight: 64, count: Math.min(CALLS, Math.floor(FEW / 2)) };

async function startWith(users: number, events: number): Promise<Contender> {
  const file = temporaryFolder().file("events.db");
  await makeStore(file, { users, events });
  const server = await startBenchServer({ store: `sqlite:${file}` });
  return lockingOf(lockByGrpc, server, await usersOf(server, users));
}

pinGenerator();
const big = await startWith(MANY / 10, 10);
const small = await startWith(FEW, 1);
await big.run(how);
await small.run(how);
await measure(
  {
    name: `a lock with ${MANY.toLocaleString("en")} events in the store ÷ with ${FEW.toLocaleString("en")}`,
    bound: 1.3,
    aim: 1.1,
    isLessBetter: true,
  },
  async () => {
    const [a, b] = [await big.run(how), await small.run(how)];
    const tell = ({ rate, serverCpu }: typeof a) => `${show(rate)}/s at ${show(serverCpu)} µs of CPU a call`;
    return { value: b.rate / a.rate, byCpu: a.serverCpu / b.serverCpu, line: `${tell(a)} and ${tell(b)}` };
  },
);
await big.stop();
await small.stop();
