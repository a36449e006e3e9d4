import type { Append, StreamRecord } from "../../src/store/port.ts";
import { toKeyedRow } from "../../src/store/sqlite/append.ts";
import { prepareFile } from "../../src/store/sqlite/connections.ts";
import { openDatabase } from "../../src/store/sqlite/database.ts";
import { lockByGrpc } from "../load/lock-calls.ts";
import { recordOf, toCreate, toLock } from "../support/appends.ts";
import type { Bench } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { type Contender, startLocking, startNothing } from "../support/lock-rate.ts";
import { CALLS } from "../support/sizes.ts";
import { median, show } from "../support/statistics.ts";
import { idOf } from "../support/users.ts";

const COUNT = Math.ceil(CALLS / 20);

/** The time of one call on an idle server. The bare commit runs in SQLite without another thread. */
export const loneCall: Bench = {
  name: "p50 of a lone LockUser ÷ that of a no-op call and a commit",
  bound: 1.4,
  aim: 1.15,
  isLessBetter: true,
  isOfCheckout: true,
  async ours(checkout) {
    const contender = await warm(await startLocking(lockByGrpc, { checkout }));
    return {
      async sample() {
        const lock = await timeOfCall(contender);
        return { values: [lock], line: `a lock ${show(lock)} ms` };
      },
      stop: contender.stop,
    };
  },
  async theirs() {
    const contender = await warm(await startNothing(lockByGrpc, ["grpc-js"]));
    const commits = await openCommits();
    return {
      async sample() {
        const [nothing, bare] = [await timeOfCall(contender), commits.time()];
        return { values: [nothing + bare], line: `a call ${show(nothing)} ms and a commit ${show(bare)} ms` };
      },
      async stop() {
        commits.close();
        await contender.stop();
      },
    };
  },
};

/** Makes many calls, so the server is as warm as in production. */
async function warm(contender: Contender): Promise<Contender> {
  await contender.run({ connections: 4, inFlight: 64 });
  return contender;
}

async function timeOfCall(contender: Contender): Promise<number> {
  return median((await contender.run({ connections: 1, inFlight: 1, count: COUNT })).times);
}

async function openCommits(): Promise<{ time(): number; close(): void }> {
  const file = temporaryFolder().file("commits.db");
  await prepareFile(file);
  const database = openDatabase(file, "default");
  let users = 0;

  /** Appends all in one commit. */
  function commit(appends: readonly Append[]): StreamRecord[] {
    for (const { outcome } of database.appendAll(appends.map(toKeyedRow))) {
      if (outcome !== "appended") throw new Error(`an append was refused: ${outcome}`);
    }
    return appends.map(recordOf);
  }

  return {
    time() {
      const created = commit(Array.from({ length: COUNT }, () => toCreate(idOf(users++))));
      const times = created.map(toLock).map((lock) => {
        const started = performance.now();
        commit([lock]);
        return performance.now() - started;
      });
      return median(times);
    },
    close: () => database.close(),
  };
}
