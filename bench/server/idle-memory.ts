import { setTimeout as sleep } from "node:timers/promises";
import { lockByGrpc } from "../load/lock-calls.ts";
import type { Bench, Side } from "../support/compare.ts";
import { type Contender, startLocking, startNothing } from "../support/lock-rate.ts";
import { show } from "../support/statistics.ts";

const CALLS = 100;
/** Time for garbage collection after a start or a call. */
const SETTLE_MS = 1_000;
const MEBIBYTE = 2 ** 20;

/** Memory after the start and after 100 gRPC locks. The greater ratio counts. Each round starts new servers. */
export const idleMemory: Bench = {
  name: "idle memory ÷ that of connect-node's no-op",
  bound: 1.6,
  aim: 1.2,
  isLessBetter: true,
  isOfCheckout: true,
  warmUps: 0,
  ours: async (checkout) => idleOf(() => startLocking(lockByGrpc, { checkout }, CALLS + 1)),
  theirs: async () => idleOf(() => startNothing(lockByGrpc, ["connect-node"])),
};

function idleOf(start: () => Promise<Contender>): Side {
  return {
    async sample() {
      const contender = await start();
      await sleep(SETTLE_MS);
      const started = contender.memory();
      await contender.run({ connections: 1, inFlight: 1, count: CALLS });
      await sleep(SETTLE_MS);
      const values = [started, contender.memory()];
      await contender.stop();
      return { values, line: `${values.map((bytes) => `${show(bytes / MEBIBYTE)} MiB`).join(", then ")}` };
    },
    stop: async () => {},
  };
}
