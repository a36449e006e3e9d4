/**
 * LockUser by gRPC with calls that share commits as a ratio to the same with a commit for each call.
 *
 *   npm run bench:group-commit
 */
import { lockByGrpc } from "./support/lock-calls.ts";
import { compareRates, startLocking } from "./support/lock-rate.ts";
import { pinGenerator } from "./support/program.ts";

pinGenerator();
await compareRates(
  { name: "LockUser with group commit ÷ with one commit a call", bound: 3.5, aim: 5 },
  [await startLocking(lockByGrpc), await startLocking(lockByGrpc, { limits: { commitRows: 1 } })],
  { connections: 4, inFlight: 64 },
);
