/**
 * Locks as a ratio to what a server in Node can do at the least: one on bare node:http2 or node:http that does nothing.
 * The argument is the door: `grpc`, or `rest`, which is JSON over HTTP/1.1.
 *
 *   npm run bench:bare -- grpc
 *   npm run bench:bare -- rest
 */
import { lockByGrpc, lockByRest } from "./support/lock-calls.ts";
import { compareLockRate } from "./support/lock-rate.ts";

if (process.argv[2] === "rest") {
  const name = "LockUser by JSON over HTTP/1.1 ÷ bare node:http's no-op";
  await compareLockRate({ name, door: lockByRest, peer: ["http"], connections: 64, inFlight: 64 });
} else {
  const name = "LockUser by gRPC ÷ bare node:http2's no-op";
  await compareLockRate({ name, door: lockByGrpc, peer: ["http2"], connections: 4, inFlight: 64 });
}
