/**
 * LockUser by gRPC on a PostgreSQL of this machine, which fsyncs each commit, as a ratio to a server on @grpc/grpc-js
 * that does nothing. The database has the generator's core, as it would have another machine.
 *
 *   npm run bench:lock-postgres
 */
import { installedPostgres, startCluster } from "../test/support/stores/postgres.ts";
import { lockByGrpc } from "./support/lock-calls.ts";
import { compareRates, startLocking, startNothing } from "./support/lock-rate.ts";
import { pinGenerator } from "./support/program.ts";

pinGenerator();
const cluster = await startCluster(installedPostgres(), { fsync: "on" });
await compareRates(
  { name: "LockUser by gRPC on PostgreSQL ÷ @grpc/grpc-js's no-op", bound: 0.6, aim: 1 },
  [await startLocking(lockByGrpc, { store: cluster.url }), await startNothing(lockByGrpc, ["grpc-js"])],
  { connections: 4, inFlight: 64 },
);
await cluster.remove();
