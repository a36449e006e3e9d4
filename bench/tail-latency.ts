/**
 * The 99th percentile of LockUser's time by gRPC as a ratio to that of a server on @grpc/grpc-js that does nothing,
 * each called at 70 % of its own highest rate. Calls come when they are due, and their time counts from then.
 *
 *   npm run bench:tail-latency
 */
import { lockByGrpc } from "./support/lock-calls.ts";
import { type Contender, startLocking, startNothing } from "./support/lock-rate.ts";
import { pinGenerator } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { quantile } from "./support/statistics.ts";

const AT = 0.7;
const connections = 4;

pinGenerator();
const ours = await startLocking(lockByGrpc);
const theirs = await startNothing(lockByGrpc, ["grpc-js"]);

/** Milliseconds; the rate, and what the most is, in calls a second. */
async function tail(contender: Contender) {
  const { rate: peak } = await contender.run({ connections, inFlight: 64 });
  const { times, rate } = await contender.run({ connections, inFlight: 800, perSecond: AT * peak });
  const p99 = quantile(times, 0.99);
  return { p99, told: `${show(p99)} ms at ${show(rate)}/s of ${show(peak)}/s` };
}

const figure = {
  name: "p99 of LockUser ÷ that of @grpc/grpc-js's no-op, both at 70 % of their peak",
  bound: 2,
  aim: 1,
};
await tail(ours);
await tail(theirs);
await measure({ ...figure, isLessBetter: true }, async () => {
  const [a, b] = [await tail(ours), await tail(theirs)];
  return { value: a.p99 / b.p99, line: `ours ${a.told}; theirs ${b.told}` };
});
await ours.stop();
await theirs.stop();
