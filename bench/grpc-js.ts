/**
 * LockUser by gRPC as a ratio to a server on @grpc/grpc-js that does nothing, with 64 calls in flight or as many as are
 * said.
 *
 *   npm run bench:grpc-js
 *   npm run bench:grpc-js -- 256
 */
import { lockByGrpc } from "./support/lock-calls.ts";
import { compareLockRate } from "./support/lock-rate.ts";

const inFlight = Number(process.argv[2] ?? 64);
await compareLockRate({
  name: `LockUser by gRPC, ${inFlight} in flight ÷ @grpc/grpc-js's no-op`,
  bound: inFlight === 64 ? 0.6 : 0.7,
  aim: inFlight === 64 ? 1 : 1.1,
  door: lockByGrpc,
  peer: ["grpc-js"],
  connections: 4,
  inFlight,
});
