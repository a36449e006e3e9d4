/**
 * What userlock holds in memory while nobody calls, as a ratio to a server on @connectrpc/connect-node that does
 * nothing: after its start, and after a hundred locks by gRPC. The greater ratio of the two is the figure.
 *
 *   npm run bench:idle-memory
 */
import { setTimeout as sleep } from "node:timers/promises";
import { lockByGrpc } from "./support/lock-calls.ts";
import { type Contender, lockingOf, startNothing } from "./support/lock-rate.ts";
import { pinGenerator } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { startBenchServer } from "./support/server.ts";
import { seedUsers } from "./support/users.ts";

const CALLS = 100;
/** Until what a start or a call has left is put away. */
const SETTLE_MS = 1_000;
const MEBIBYTE = 2 ** 20;

/** Bytes that each holds. */
const memoryOf = (contenders: Contender[]) => contenders.map((contender) => contender.memory());

async function startOurs(): Promise<Contender> {
  const server = await startBenchServer();
  return lockingOf(lockByGrpc, server, await seedUsers(server, CALLS + 1));
}

pinGenerator();
await measure(
  { name: "idle memory ÷ that of connect-node's no-op", bound: 1.6, aim: 1.2, isLessBetter: true },
  async () => {
    const contenders = [await startOurs(), await startNothing(lockByGrpc, ["connect-node"])];
    await sleep(SETTLE_MS);
    const started = memoryOf(contenders);
    for (const contender of contenders) await contender.run({ connections: 1, inFlight: 1, count: CALLS });
    await sleep(SETTLE_MS);
    const called = memoryOf(contenders);
    for (const contender of contenders) await contender.stop();
    const ratio = ([ours, theirs]: number[]) => ours! / theirs!;
    const tell = (memory: number[]) => memory.map((bytes) => `${show(bytes / MEBIBYTE)} MiB`).join(" and ");
    return {
      value: Math.max(ratio(started), ratio(called)),
      line: `${tell(started)} after the start, ${tell(called)} after ${CALLS} calls`,
    };
  },
);
