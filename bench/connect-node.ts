/**
 * LockUser by gRPC as a ratio to a server on @connectrpc/connect-node that does nothing.
 *
 *   npm run bench:connect-node
 */
import { lockByGrpc } from "./support/lock-calls.ts";
import { compareLockRate } from "./support/lock-rate.ts";

await compareLockRate({
  name: "LockUser by gRPC ÷ connect-node's no-op",
  bound: 4,
  aim: 7,
  door: lockByGrpc,
  peer: ["connect-node"],
  connections: 4,
  inFlight: 64,
});
