import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { openManyWatchers } from "../../test/support/watch/many-watchers.ts";
import { appendAll, toCreate } from "../support/appends.ts";
import type { Bench, Side } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { type Program, startPeer } from "../support/program.ts";
import { headers, startBenchServer, TOKEN } from "../support/server.ts";
import { CALLS, WATCHERS } from "../support/sizes.ts";
import { median, quantile, show } from "../support/statistics.ts";

/** Times from the LockUser request. Unlike the peer, userlock commits the lock before it sends the event. */
export const watchers: Bench = {
  name: `last of ${WATCHERS.toLocaleString("en")} watchers hears of a lock: connect's ÷ ours`,
  bound: 8,
  aim: 12,
  isOfCheckout: true,
  async ours(checkout) {
    const server = await startBenchServer({ checkout });
    return hearing(server, (id) => usersOver(server).createUser({ user: { userId: id } }, { headers }));
  },
  theirs: async () => hearing(await startPeer("connect-watch"), async () => {}),
};

const usersOver = ({ url: baseUrl }: Program) => createClient(UserService, createGrpcTransport({ baseUrl }));

/** The value is the rate of sequential locks with all watchers informed, so more is better. */
async function hearing(program: Program, prepare: (id: string) => Promise<unknown>): Promise<Side> {
  const users = usersOver(program);
  const all = await openManyWatchers(program.url, { token: TOKEN, count: WATCHERS, types: ["user.locked"] });
  const count = Math.min(CALLS, 50);
  let locks = 0;
  return {
    async sample() {
      const times: number[] = [];
      for (let call = 0; call < count; call++) {
        const id = `victim-${locks++}`;
        await prepare(id);
        const asked = performance.now();
        await users.lockUser({ id, reason: "fraud" }, { headers });
        times.push((await all.allHave(1 + locks)) - asked);
      }
      return { values: [1_000 / median(times)], line: `${show(median(times))} ms in the median of ${count}` };
    },
    stop: program.stop,
  };
}

/** The number of concurrent locks. */
const AT_ONCE = 100;
/** The numbers of concurrent locks and of repetitions. */
const SIZES = [
  { size: 1, calls: Math.min(CALLS, 100) },
  { size: AT_ONCE, calls: Math.min(CALLS, 10) },
];

/** Times from LockUser's answer to the last watcher. All watchers run in this process. */
export const watch: Bench = {
  name: `all ${WATCHERS.toLocaleString("en")} watchers have what was locked ÷ bare insert of the events`,
  parts: ["one lock, p50", "one lock, p99", `${AT_ONCE} at once, p50`, `${AT_ONCE} at once, p99`],
  isLessBetter: true,
  isUnpinned: true,
  isOfCheckout: true,
  async ours(checkout) {
    const server = await startBenchServer({ checkout, isPinned: false });
    const users = usersOver(server);
    const ids = Array.from({ length: AT_ONCE }, (_, index) => `victim-${index}`);
    await Promise.all(ids.map((userId) => users.createUser({ user: { userId } }, { headers })));
    const all = await openManyWatchers(server.url, { token: TOKEN, count: WATCHERS, types: ["user.locked"] });
    let locks = 0;
    async function lock(size: number): Promise<number> {
      const some = ids.slice(0, size);
      await Promise.all(some.map((id) => users.lockUser({ id, reason: "fraud" }, { headers })));
      const answered = performance.now();
      locks += size;
      const last = await all.allHave(1 + locks);
      await Promise.all(some.map((id) => users.unlockUser({ id }, { headers })));
      return Math.max(last - answered, 0);
    }
    return { sample: () => sampleOf(lock), stop: server.stop };
  },
  async theirs() {
    const bare = await openSqliteStore(temporaryFolder().file("bare.db"), "default");
    let users = 0;
    const insert = async (size: number) =>
      (
        await appendAll(
          bare,
          Array.from({ length: size }, () => toCreate(`user-${users++}`)),
        )
      ).time;
    return { sample: () => sampleOf(insert), stop: bare.close };
  },
};

async function sampleOf(time: (size: number) => Promise<number>) {
  const values: number[] = [];
  for (const { size, calls } of SIZES) {
    const times: number[] = [];
    for (let call = 0; call < calls; call++) times.push(await time(size));
    values.push(median(times), quantile(times, 0.99));
  }
  return { values, line: `${values.map(show).join(", ")} ms` };
}
