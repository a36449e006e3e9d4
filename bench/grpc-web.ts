/**
 * LockUser by gRPC-Web over HTTP/1.1 as a ratio to a server on @connectrpc/connect-node that does nothing.
 *
 *   npm run bench:grpc-web
 */
import { lockByGrpcWeb } from "./support/lock-calls.ts";
import { compareLockRate } from "./support/lock-rate.ts";

await compareLockRate({
  name: "LockUser by gRPC-Web over HTTP/1.1 ÷ connect-node's gRPC-Web no-op",
  bound: 5,
  aim: 8,
  door: lockByGrpcWeb,
  peer: ["connect-node", "http1"],
  connections: 64,
  inFlight: 64,
});
