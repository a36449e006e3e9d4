import { DatabaseSync } from "node:sqlite";
import { query } from "../../test/support/stores/postgres.ts";
import { grpcWires } from "../load/http2-wire.ts";
import { load } from "../load/load.ts";
import { createCallsByGrpc } from "../load/lock-calls.ts";
import { type BenchServer, headers, usersOn } from "./server.ts";
import { USERS } from "./sizes.ts";

/** Ids in one call that unlocks. */
const IDS_A_CALL = 10_000;
/** Counts locks in SQL, because the store's own reads are limited to pages. */
const COUNT = "SELECT count(*) AS count FROM events WHERE type = 'user.locked'";

export const idOf = (number: number) => `user-${String(number).padStart(7, "0")}`;

/** Users in a server's store. Each is locked by one call, in a shuffled order that is always the same. */
export interface Users {
  /** The id of the user that call number `n` locks. */
  user(call: number): string;
  /** Reserves this many calls on unlocked users, and resolves with the number of the first. */
  take(calls: number): Promise<number>;
  /** Rejects unless the store's log has one lock for each reserved call. */
  check(): Promise<void>;
}

/** Creates users over gRPC. */
export async function seedUsers(server: BenchServer, count = USERS): Promise<Users> {
  const open = await grpcWires(createCallsByGrpc(server, idOf), 0);
  if (count > 1) await load(open, { from: 1, count: count - 1, connections: 4, inFlight: 256 });
  return usersOf(server, count);
}

/** The users that are already in the store. None of them may be locked. */
export async function usersOf(server: BenchServer, count: number): Promise<Users> {
  const order = shuffled(count).map(idOf);
  const client = usersOn(server);
  let next = 0;
  let taken = 0;

  async function unlock(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += IDS_A_CALL) {
      const some = ids.slice(at, at + IDS_A_CALL);
      const { results } = await client.batchUnlockUsers({ ids: some }, { headers });
      const done = results.filter(({ outcome }) => outcome.case === "details").length;
      if (done !== some.length) throw new Error(`${done} of ${some.length} users were unlocked`);
    }
  }

  const locksBefore = await countLocks(server.store);
  return {
    user: (call) => order[call] as string,
    async take(calls) {
      if (calls > count) throw new Error(`${calls} calls need as many users, and the store has ${count}`);
      if (next + calls > count) {
        await unlock(order.slice(0, next));
        next = 0;
      }
      next += calls;
      taken += calls;
      return next - calls;
    },
    async check() {
      const found = (await countLocks(server.store)) - locksBefore;
      if (found !== taken) throw new Error(`${taken} calls were made, and the log has ${found} locks`);
    },
  };
}

/** The number of locks in a store's log. */
export async function countLocks(store: string): Promise<number> {
  if (!store.startsWith("sqlite:")) return Number((await query<{ count: string }>(store, COUNT))[0]?.count);
  const database = new DatabaseSync(store.slice("sqlite:".length), { readOnly: true });
  try {
    return database.prepare(COUNT).get()?.count as number;
  } finally {
    database.close();
  }
}

/** The numbers below `count` in a reproducible random order (Fisher-Yates with mulberry32). */
function shuffled(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, number) => number);
  let seed = 0x75_6c_63_6b;
  for (let last = count - 1; last > 0; last--) {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    const other = ((bits ^ (bits >>> 14)) >>> 0) % (last + 1);
    [numbers[last], numbers[other]] = [numbers[other]!, numbers[last]!];
  }
  return numbers;
}
