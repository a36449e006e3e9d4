import { type Load, load, type Outcome } from "../load/load.ts";
import type { LockDoor } from "../load/lock-calls.ts";
import type { OpenWire } from "../load/wire.ts";
import type { Side } from "./compare.ts";
import { type Program, startPeer } from "./program.ts";
import { type BenchServer, type ServerOptions, startBenchServer, TOKEN } from "./server.ts";
import { CALLS, USERS } from "./sizes.ts";
import { show } from "./statistics.ts";
import { idOf, seedUsers, type Users } from "./users.ts";

/** A program in `bench/peers` with its arguments. */
export type Peer = [name: string, ...args: string[]];

/** A server under load. */
export interface Contender {
  /** Makes calls, all of which must be OK. `serverCpu` is the server's CPU time for each call, in microseconds. */
  run(how: Omit<Load, "from" | "count"> & { count?: number }): Promise<Outcome & { serverCpu: number }>;
  /** Resident memory in bytes. */
  memory(): number;
  /** Stops the server. For userlock, checks the number of locks in the log first. */
  stop(): Promise<void>;
}

/** Starts userlock with users. Each call locks another user. */
export async function startLocking(door: LockDoor, options: ServerOptions = {}, count = USERS): Promise<Contender> {
  const server = await startBenchServer(options);
  return lockingOf(door, server, await seedUsers(server, count));
}

/** The same for a server that already has its users. */
export async function lockingOf(door: LockDoor, server: BenchServer, users: Users): Promise<Contender> {
  const open = await door(server, users.user, () => users.take(1));
  return {
    run: async ({ count = CALLS, ...how }) => loadOf(server, open, { ...how, count, from: await users.take(count) }),
    memory: server.memory,
    async stop() {
      await users.check();
      await server.stop();
    },
  };
}

/** Starts a peer, which answers the same calls and does nothing. */
export async function startNothing(door: LockDoor, [name, ...args]: Peer): Promise<Contender> {
  const peer = await startPeer(name, ...args);
  const user = (call: number) => idOf(call % USERS);
  return callingOf(peer, await door({ url: peer.url, token: TOKEN }, user, async () => 0));
}

/** A server whose calls may be repeated. */
export function callingOf(program: Program, open: OpenWire): Contender {
  return {
    run: (how) => loadOf(program, open, { count: CALLS, ...how, from: 0 }),
    memory: program.memory,
    stop: program.stop,
  };
}

async function loadOf(server: Program, open: OpenWire, how: Load): Promise<Outcome & { serverCpu: number }> {
  const before = server.cpu();
  const outcome = await load(open, how);
  return { ...outcome, serverCpu: (1_000 * (server.cpu() - before)) / how.count };
}

/** A side whose value is the rate in calls per second. */
export function rateOf({ run, stop }: Contender, how: { connections: number; inFlight: number }): Side {
  return {
    async sample() {
      const { rate, serverCpu, ownCpu } = await run(how);
      const line = `${show(rate)}/s at ${show(serverCpu)} µs of CPU a call (the generator's ${show(ownCpu)} µs)`;
      return { values: [rate], cpu: serverCpu, line };
    },
    stop,
  };
}
