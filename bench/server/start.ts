import { lockByGrpc } from "../load/lock-calls.ts";
import { makeBigFile } from "../support/big-file.ts";
import type { Bench, Side } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { startBenchServer } from "../support/server.ts";
import { USERS } from "../support/sizes.ts";
import { show } from "../support/statistics.ts";
import { countLocks, idOf } from "../support/users.ts";

const MANY = 10 * USERS;
const FEW = Math.max(MANY / 1_000, 100);

/** The time from the start of userlock to its first answer, to a gRPC lock. */
export const start: Bench = {
  name: `start to first answer with ${MANY.toLocaleString("en")} users ÷ with ${FEW.toLocaleString("en")}`,
  bound: 1.5,
  aim: 1.1,
  isLessBetter: true,
  isOfCheckout: true,
  warmUps: 0,
  ours: (checkout) => startingWith(MANY, checkout),
  theirs: () => startingWith(FEW),
};

async function startingWith(users: number, checkout = "."): Promise<Side> {
  const file = temporaryFolder().file("users.db");
  await makeBigFile(file, { checkout, users, events: 1 });
  const store = `sqlite:${file}`;
  let starts = 0;
  return {
    async sample() {
      const started = performance.now();
      const server = await startBenchServer({ checkout, store });
      // Opening this door makes one call.
      await lockByGrpc(server, idOf, async () => starts++);
      const time = performance.now() - started;
      await server.stop();
      return { values: [time], line: `${show(time)} ms` };
    },
    async stop() {
      if ((await countLocks(store)) !== starts) throw new Error("the log does not have one lock for each start");
    },
  };
}
