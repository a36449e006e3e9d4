import { lockByGrpc } from "../load/lock-calls.ts";
import type { Bench, Side } from "../support/compare.ts";
import { type Contender, startLocking, startNothing } from "../support/lock-rate.ts";
import { quantile, show } from "../support/statistics.ts";

const AT = 0.7;
const connections = 4;

/** Each side is called at 70 % of its own peak rate. A call's time counts from when it was due. */
export const tailLatency: Bench = {
  name: "p99 of LockUser ÷ that of @grpc/grpc-js's no-op, both at 70 % of their peak",
  bound: 2,
  aim: 1,
  isLessBetter: true,
  isOfCheckout: true,
  ours: async (checkout) => tailOf(await startLocking(lockByGrpc, { checkout })),
  theirs: async () => tailOf(await startNothing(lockByGrpc, ["grpc-js"])),
};

function tailOf({ run, stop }: Contender): Side {
  return {
    async sample() {
      const { rate: peak } = await run({ connections, inFlight: 64 });
      const { times, rate } = await run({ connections, inFlight: 800, perSecond: AT * peak });
      const p99 = quantile(times, 0.99);
      return { values: [p99], line: `${show(p99)} ms at ${show(rate)}/s of ${show(peak)}/s` };
    },
    stop,
  };
}
