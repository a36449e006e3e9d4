import { lockByGrpc } from "../load/lock-calls.ts";
import { makeBigFile } from "../support/big-file.ts";
import type { Bench, Side } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { lockingOf } from "../support/lock-rate.ts";
import { startBenchServer } from "../support/server.ts";
import { CALLS, EVENTS } from "../support/sizes.ts";
import { show } from "../support/statistics.ts";
import { usersOf } from "../support/users.ts";

const FEW = EVENTS / 1_000;
/** A round locks each user once, so it has no more calls than the small store has users. */
const how = { connections: 4, inFlight: 64, count: Math.min(CALLS, Math.floor(FEW / 2)) };

/** The time of LockUser over gRPC on a busy server. The events belong to 1,000,000 users and to 10,000. */
export const bigStore: Bench = {
  name: `a lock with ${EVENTS.toLocaleString("en")} events in the store ÷ with ${FEW.toLocaleString("en")}`,
  bound: 1.3,
  aim: 1.1,
  isLessBetter: true,
  isOfCheckout: true,
  ours: (checkout) => lockingWith({ checkout, users: EVENTS / 10, events: 10 }),
  theirs: () => lockingWith({ checkout: ".", users: FEW, events: 1 }),
};

async function lockingWith(size: { checkout: string; users: number; events: number }): Promise<Side> {
  const file = temporaryFolder().file("events.db");
  await makeBigFile(file, size);
  const server = await startBenchServer({ checkout: size.checkout, store: `sqlite:${file}` });
  const { run, stop } = await lockingOf(lockByGrpc, server, await usersOf(server, size.users));
  return {
    async sample() {
      const { rate, serverCpu } = await run(how);
      const line = `${show(rate)}/s at ${show(serverCpu)} µs of CPU a call`;
      return { values: [1_000_000 / rate], line };
    },
    stop,
  };
}
