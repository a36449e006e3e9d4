import { installedPostgres, startCluster } from "../../test/support/stores/postgres.ts";
import { type LockDoor, lockByGrpc, lockByGrpcWeb, lockByRest } from "../load/lock-calls.ts";
import type { Bench } from "../support/compare.ts";
import { type Peer, rateOf, startLocking, startNothing } from "../support/lock-rate.ts";

const GRPC = { connections: 4, inFlight: 64 };
const HTTP1 = { connections: 64, inFlight: 64 };

/** The rate of locks through a door, divided by the call rate of a peer that does nothing. */
function lockRate(
  { door, peer, how }: { door: LockDoor; peer: Peer; how: { connections: number; inFlight: number } },
  figure: Pick<Bench, "name" | "bound" | "aim">,
): Bench {
  return {
    ...figure,
    isOfCheckout: true,
    ours: async (checkout) => rateOf(await startLocking(door, { checkout }), how),
    theirs: async () => rateOf(await startNothing(door, peer), how),
  };
}

export const connectNode = lockRate(
  { door: lockByGrpc, peer: ["connect-node"], how: GRPC },
  { name: "LockUser by gRPC ÷ connect-node's no-op", bound: 4, aim: 7 },
);

export const grpcJs = lockRate(
  { door: lockByGrpc, peer: ["grpc-js"], how: GRPC },
  { name: "LockUser by gRPC, 64 in flight ÷ @grpc/grpc-js's no-op", bound: 0.6, aim: 1 },
);

export const grpcJs256 = lockRate(
  { door: lockByGrpc, peer: ["grpc-js"], how: { ...GRPC, inFlight: 256 } },
  { name: "LockUser by gRPC, 256 in flight ÷ @grpc/grpc-js's no-op", bound: 0.7, aim: 1.1 },
);

export const rest = lockRate(
  { door: lockByRest, peer: ["fastify"], how: HTTP1 },
  { name: "LockUser by JSON over HTTP/1.1 ÷ Fastify's no-op", bound: 0.5, aim: 0.8 },
);

export const grpcWeb = lockRate(
  { door: lockByGrpcWeb, peer: ["connect-node", "http1"], how: HTTP1 },
  { name: "LockUser by gRPC-Web over HTTP/1.1 ÷ connect-node's gRPC-Web no-op", bound: 5, aim: 8 },
);

/** Compares with the least that a Node server can do: bare node:http2 without any work. */
export const bareGrpc = lockRate(
  { door: lockByGrpc, peer: ["http2"], how: GRPC },
  { name: "LockUser by gRPC ÷ bare node:http2's no-op" },
);

export const bareRest = lockRate(
  { door: lockByRest, peer: ["http"], how: HTTP1 },
  { name: "LockUser by JSON over HTTP/1.1 ÷ bare node:http's no-op" },
);

/**
 * Uses a PostgreSQL on this machine, which syncs each commit. It shares the generator's core, because in production it
 * runs on another machine.
 */
export const lockPostgres: Bench = {
  name: "LockUser by gRPC on PostgreSQL ÷ @grpc/grpc-js's no-op",
  bound: 0.6,
  aim: 1,
  isOfCheckout: true,
  async ours(checkout) {
    const cluster = await startCluster(installedPostgres(), { fsync: "on" });
    const side = rateOf(await startLocking(lockByGrpc, { checkout, store: cluster.url }), GRPC);
    return {
      ...side,
      async stop() {
        await side.stop();
        await cluster.remove();
      },
    };
  },
  theirs: async () => rateOf(await startNothing(lockByGrpc, ["grpc-js"]), GRPC),
};

export const groupCommit: Bench = {
  name: "LockUser with group commit ÷ with one commit a call",
  bound: 3.5,
  aim: 5,
  isOfCheckout: true,
  ours: async (checkout) => rateOf(await startLocking(lockByGrpc, { checkout }), GRPC),
  theirs: async () => rateOf(await startLocking(lockByGrpc, { limits: { commitRows: 1 } }), GRPC),
};

export const accessLog: Bench = {
  name: "LockUser by gRPC with a line in the log for each change ÷ without",
  bound: 0.95,
  aim: 0.97,
  isClose: true,
  ours: async () => rateOf(await startLocking(lockByGrpc), GRPC),
  theirs: async () => rateOf(await startLocking(lockByGrpc, { env: { USERLOCK_ACCESS_LOG: "off" } }), GRPC),
};

export const metrics: Bench = {
  name: "LockUser by gRPC with metrics ÷ without",
  bound: 0.985,
  aim: 0.99,
  isClose: true,
  ours: async () => rateOf(await startLocking(lockByGrpc, { env: { USERLOCK_ADMIN_LISTEN: "127.0.0.1:0" } }), GRPC),
  theirs: async () => rateOf(await startLocking(lockByGrpc), GRPC),
};
