import { type Load, load, type Outcome } from "./load.ts";
import type { LockDoor } from "./lock-calls.ts";
import { type Program, pinGenerator, startPeer } from "./program.ts";
import { type Figure, measure, show } from "./rounds.ts";
import { type ServerOptions, startBenchServer, TOKEN } from "./server.ts";
import { idOf, seedUsers, USERS } from "./users.ts";
import type { OpenWire } from "./wire.ts";

/** Calls of a measurement. */
export const CALLS = Number(process.env.BENCH_CALLS ?? 20_000);

/** A program in `bench/peers`, and its arguments. */
type Peer = [name: string, ...args: string[]];

/** A server under load. */
export interface Contender {
  /** Makes calls, every one of which is OK. */
  run(how: Omit<Load, "from" | "count"> & { count?: number }): Promise<Outcome & { serverCpu: number }>;
  /** Stops it; of a real one the log is counted before. */
  stop(): Promise<void>;
}

/** userlock with users, of whom each call locks another one. */
export async function startLocking(door: LockDoor, options: ServerOptions = {}): Promise<Contender> {
  const server = await startBenchServer(options);
  const users = await seedUsers(server);
  const open = await door(server, users.user, () => users.take(1));
  return {
    async run({ count = CALLS, ...how }) {
      return loadOf(server, open, { ...how, count, from: await users.take(count) });
    },
    async stop() {
      await users.check();
      await server.stop();
    },
  };
}

/** A peer, which answers the same calls and does nothing. */
export async function startNothing(door: LockDoor, [name, ...args]: Peer): Promise<Contender> {
  const peer = await startPeer(name, ...args);
  const target = { url: peer.url, token: TOKEN };
  const open = await door(
    target,
    (call) => idOf(call % USERS),
    async () => 0,
  );
  return {
    run: (how) => loadOf(peer, open, { count: CALLS, ...how, from: 0 }),
    stop: () => peer.stop(),
  };
}

/** What a call costs the server is in microseconds of CPU. */
export async function loadOf(server: Program, open: OpenWire, how: Load): Promise<Outcome & { serverCpu: number }> {
  const before = server.cpu();
  const outcome = await load(open, how);
  return { ...outcome, serverCpu: (1_000 * (server.cpu() - before)) / how.count };
}

/** Calls a second of ours as a ratio to theirs, both warm. */
export async function compareRates(
  figure: Figure,
  [ours, theirs]: [Contender, Contender],
  how: { connections: number; inFlight: number },
): Promise<void> {
  await ours.run(how);
  await theirs.run(how);
  await measure(figure, async () => {
    const [a, b] = [await ours.run(how), await theirs.run(how)];
    return { value: a.rate / b.rate, line: `ours ${tell(a)}; theirs ${tell(b)}` };
  });
  await ours.stop();
  await theirs.stop();
}

function tell({ rate, serverCpu, ownCpu }: Outcome & { serverCpu: number }): string {
  return `${show(rate)}/s at ${show(serverCpu)} µs of CPU a call (the generator's ${show(ownCpu)} µs)`;
}

/** Locks a second through a door, as a ratio to the calls a second that a peer answers. */
export async function compareLockRate({
  door,
  peer,
  connections,
  inFlight,
  ...figure
}: Figure & { door: LockDoor; peer: Peer; connections: number; inFlight: number }): Promise<void> {
  pinGenerator();
  const contenders = [await startLocking(door), await startNothing(door, peer)] as [Contender, Contender];
  await compareRates(figure, contenders, { connections, inFlight });
}
