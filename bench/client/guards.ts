import { createGuard } from "../../packages/client/src/guard/guard.ts";
import type { Bench } from "../support/compare.ts";
import { headers, startBenchServer, TOKEN, usersOn } from "../support/server.ts";
import { CALLS } from "../support/sizes.ts";
import { median, quantile, show } from "../support/statistics.ts";

const GUARDS = 100;
const LOCKS = Math.min(CALLS, 200);

/** Times from LockUser's answer. All guards run in this process. */
export const guards: Bench = {
  name: `LockUser's answer → last of ${GUARDS} guards denies, p99, ms`,
  bound: 20,
  aim: 5,
  isLessBetter: true,
  isUnpinned: true,
  isOfCheckout: true,
  async ours(checkout) {
    const server = await startBenchServer({ checkout, isPinned: false });
    const users = usersOn(server);
    const jwt = { issuer: "bench", audience: "app", jwks: { keys: [] } };
    const all = Array.from({ length: GUARDS }, () => createGuard({ url: server.url, token: TOKEN, jwt }));
    await Promise.all(all.map((guard) => guard.ready));
    /** Of the present lock. */
    let denials = 0;
    let last = 0;
    let done = () => {};
    for (const guard of all) {
      guard.on("locked", () => {
        if (++denials < GUARDS) return;
        last = performance.now();
        done();
      });
    }
    let locks = 0;
    return {
      async sample() {
        const times: number[] = [];
        for (let lock = 0; lock < LOCKS; lock++) {
          const id = `victim-${locks++}`;
          await users.createUser({ user: { userId: id } }, { headers });
          denials = 0;
          const denied = new Promise<void>((resolve) => {
            done = resolve;
          });
          await users.lockUser({ id, reason: "fraud" }, { headers });
          const answered = performance.now();
          await denied;
          times.push(Math.max(last - answered, 0));
        }
        const value = quantile(times, 0.99);
        return { values: [value], line: `${show(value)} ms, p50 ${show(median(times))} ms` };
      },
      async stop() {
        for (const guard of all) guard.close();
        await server.stop();
      },
    };
  },
  theirs: async () => ({ sample: async () => ({ values: [1], line: "1 ms" }), stop: async () => {} }),
};
