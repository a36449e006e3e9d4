import { bulk } from "./calls/bulk.ts";
import { authz, check } from "./calls/gateways.ts";
import { introspection } from "./calls/introspection.ts";
import {
  accessLog,
  bareGrpc,
  bareRest,
  connectNode,
  groupCommit,
  grpcJs,
  grpcJs256,
  grpcWeb,
  lockPostgres,
  metrics,
  rest,
} from "./calls/lock-rates.ts";
import { hashQueue, logins } from "./calls/logins.ts";
import { loneCall } from "./calls/lone-call.ts";
import { nginx } from "./calls/nginx.ts";
import { tailLatency } from "./calls/tail-latency.ts";
import { guard, guardMemory } from "./client/guard.ts";
import { guards } from "./client/guards.ts";
import { generator } from "./load/generator.ts";
import { bigStore } from "./server/big-store.ts";
import { idleMemory } from "./server/idle-memory.ts";
import { start } from "./server/start.ts";
import { standby } from "./stores/standby.ts";
import { locksSnapshot, locksWatchers } from "./streams/locks.ts";
import { watch, watchers } from "./streams/watchers.ts";
import type { Bench } from "./support/compare.ts";

/** The benchmarks of the table in docs/performance.md, in its order. */
export const FIGURES: Record<string, Bench> = {
  "connect-node": connectNode,
  "grpc-js": grpcJs,
  "grpc-js-256": grpcJs256,
  rest,
  "grpc-web": grpcWeb,
  "lock-postgres": lockPostgres,
  introspection,
  "group-commit": groupCommit,
  "tail-latency": tailLatency,
  "lone-call": loneCall,
  watchers,
  bulk,
  "idle-memory": idleMemory,
  start,
  "big-store": bigStore,
  guard,
  "guard-memory": guardMemory,
  guards,
  "bare-grpc": bareGrpc,
  "bare-rest": bareRest,
  generator,
};

export const BENCHES: Record<string, Bench> = {
  ...FIGURES,
  authz,
  check,
  nginx,
  metrics,
  "access-log": accessLog,
  "hash-queue": hashQueue,
  logins,
  watch,
  "locks-watchers": locksWatchers,
  "locks-snapshot": locksSnapshot,
  standby,
};
