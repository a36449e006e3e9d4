/**
 * How long it takes from the start of userlock to its first answer, a lock by gRPC, with 1,000,000 users in the store,
 * as a ratio to the same with 1,000.
 *
 *   npm run bench:start
 */
import { temporaryFolder } from "./support/files.ts";
import { lockByGrpc } from "./support/lock-calls.ts";
import { makeStore } from "./support/multiply.ts";
import { pinGenerator } from "./support/program.ts";
import { measure, ROUNDS, show } from "./support/rounds.ts";
import { startBenchServer, TOKEN } from "./support/server.ts";
import { countLocks, idOf } from "./support/users.ts";

const MANY = Number(process.env.BENCH_USERS ?? 1_000_000);
const FEW = Math.max(MANY / 1_000, 100);

interface Store {
  file: string;
  /** How many users were locked. */
  starts: number;
}

async function storeOf(users: number): Promise<Store> {
  const file = temporaryFolder().file(`${users}.db`);
  await makeStore(file, { users, events: 1 });
  return { file, starts: 0 };
}

/** Milliseconds. */
async function timeToAnswer(store: Store): Promise<number> {
  const started = performance.now();
  const server = await startBenchServer({ store: `sqlite:${store.file}` });
  // It makes a call to learn what an answer looks like.
  await lockByGrpc({ url: server.url, token: TOKEN }, idOf, async () => store.starts++);
  const time = performance.now() - started;
  await server.stop();
  return time;
}

pinGenerator();
const [many, few] = [await storeOf(MANY), await storeOf(FEW)];
await measure(
  {
    name: `start to first answer with ${MANY.toLocaleString("en")} users ÷ with ${FEW.toLocaleString("en")}`,
    bound: 1.5,
    aim: 1.1,
    isLessBetter: true,
  },
  async () => {
    const [a, b] = [await timeToAnswer(many), await timeToAnswer(few)];
    return { value: a / b, line: `${show(a)} ms and ${show(b)} ms` };
  },
);
for (const { file } of [many, few]) {
  if ((await countLocks(`sqlite:${file}`)) !== ROUNDS) throw new Error("the log has another number of locks");
}
