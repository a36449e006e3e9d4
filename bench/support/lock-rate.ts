import { type Load, load, type Outcome } from "./load.ts";
import type { LockDoor } from "./lock-calls.ts";
import { type Program, pinGenerator, startPeer } from "./program.ts";
import { type Figure, measure, show } from "./rounds.ts";
import { startBenchServer } from "./server.ts";
import { idOf, seedUsers, USERS } from "./users.ts";
import type { OpenWire } from "./wire.ts";

/** Calls of a measurement. */
export const CALLS = Number(process.env.BENCH_CALLS ?? 20_000);

/** A server under load. */
export interface Contender {
  /** Makes calls, every one of which is OK. */
  run(how: Omit<Load, "from" | "count"> & { count?: number }): Promise<Outcome & { serverCpu: number }>;
  /** Stops it; of a real one the log is counted before. */
  stop(): Promise<void>;
}

/** userlock with users, of whom each call locks another one. */
export async function startLocking(door: LockDoor, store?: string, limits?: object): Promise<Contender> {
  const server = await startBenchServer({ ...(store && { store }), ...(limits && { limits }) });
  const users = await seedUsers(server);
  const open = await door(server, users.user, () => users.take(1));
  return {
    run: async (how) => {
      const count = how.count ?? CALLS;
      return loadOf(server, open, { ...how, count, from: await users.take(count) });
    },
    async stop() {
      await users.check();
      await server.stop();
    },
  };
}

/** A peer, which answers the same calls and does nothing. */
export async function startNothing(door: LockDoor, name: string): Promise<Contender> {
  const peer = await startPeer(name);
  const open = await door(
    { url: peer.url, token: "token-of-the-benchmark" },
    (call) => idOf(call % USERS),
    async () => 0,
  );
  return {
    run: (how) => loadOf(peer, open, { count: CALLS, ...how, from: 0 }),
    stop: () => peer.stop(),
  };
}

/** What a call costs the server is in microseconds of CPU. */
async function loadOf(server: Program, open: OpenWire, how: Load): Promise<Outcome & { serverCpu: number }> {
  const before = server.cpu();
  const outcome = await load(open, how);
  return { ...outcome, serverCpu: (1_000 * (server.cpu() - before)) / how.count };
}

/** Locks a second through a door, as a ratio to how many calls a second a peer answers that does nothing. */
export async function compareLockRate({
  door,
  peer,
  connections,
  inFlight = 64,
  store,
  ...figure
}: Figure & {
  door: LockDoor;
  peer: string;
  connections: number;
  inFlight?: number;
  store?: string;
}): Promise<void> {
  pinGenerator();
  const ours = await startLocking(door, store);
  const theirs = await startNothing(door, peer);
  await measure(figure, async () => {
    const a = await ours.run({ connections, inFlight });
    const b = await theirs.run({ connections, inFlight });
    const tell = ({ rate, serverCpu, ownCpu }: typeof a) =>
      `${show(rate)}/s at ${show(serverCpu)} µs of CPU a call (and ${show(ownCpu)} µs of the generator's)`;
    return { value: a.rate / b.rate, line: `locks ${tell(a)}; ${peer} ${tell(b)}` };
  });
  await ours.stop();
  await theirs.stop();
}
