import { TextFilterMethod } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { appendAll, toCreate, toLock, toUnlock } from "../support/appends.ts";
import type { Bench } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { headers, startBenchServer, usersOn } from "../support/server.ts";
import { USERS } from "../support/sizes.ts";
import { show } from "../support/statistics.ts";
import { idOf, seedUsers } from "../support/users.ts";

const IDS_A_CALL = 10_000;

const ids = Array.from({ length: USERS }, (_, number) => idOf(number));
const filter = { case: "userIdFilter", value: { id: "user-", method: TextFilterMethod.STARTS_WITH } } as const;

/** A page of results, and the cursor of the next page. */
interface Page {
  results: { outcome: { case: string | undefined } }[];
  nextCursor: string;
}
type Work = (request: { ids: string[] } | { filters: { filter: typeof filter }[]; cursor: string }) => Promise<Page>;

/**
 * Locks many users by filters in pages of 1,000, and by ids in calls of 10,000. The slower way counts. The bare insert
 * appends the same events directly through the store, decided beforehand.
 */
export const bulk: Bench = {
  name: `bulk lock of ${USERS.toLocaleString("en")} ÷ bare batch insert of the same events`,
  bound: 0.3,
  aim: 0.5,
  isOfCheckout: true,
  // The server may use both cores, like the insert.
  isUnpinned: true,
  warmUps: 0,
  async ours(checkout) {
    const server = await startBenchServer({ checkout, isPinned: false });
    await seedUsers(server);
    const users = usersOn(server);
    const lock: Work = (request) => users.batchLockUsers({ ...request, reason: "bench" }, { headers });
    const unlock: Work = (request) => users.batchUnlockUsers(request, { headers });
    return {
      async sample() {
        const rates: number[] = [];
        for (const way of [byFilter, byIds]) {
          rates.push(await rate(() => way(lock)));
          await way(unlock);
        }
        return { values: rates, line: `${rates.map(show).join("/s by filter, ")}/s by ids` };
      },
      stop: server.stop,
    };
  },
  async theirs() {
    const bare = await openSqliteStore(temporaryFolder().file("bare.db"), "default");
    let { records } = await appendAll(bare, ids.map(toCreate));
    return {
      async sample() {
        const inserted = await appendAll(bare, records.map(toLock));
        ({ records } = await appendAll(bare, inserted.records.map(toUnlock)));
        const perSecond = (1_000 * USERS) / inserted.time;
        return { values: [perSecond, perSecond], line: `${show(perSecond)}/s inserted` };
      },
      stop: bare.close,
    };
  },
};

async function byFilter(work: Work): Promise<number> {
  let done = 0;
  let cursor = "";
  do {
    const page = await work({ filters: [{ filter }], cursor });
    done += doneOn(page);
    cursor = page.nextCursor;
  } while (cursor !== "");
  return done;
}

async function byIds(work: Work): Promise<number> {
  let done = 0;
  for (let at = 0; at < USERS; at += IDS_A_CALL) done += doneOn(await work({ ids: ids.slice(at, at + IDS_A_CALL) }));
  return done;
}

const doneOn = ({ results }: Page) => results.filter(({ outcome }) => outcome.case === "details").length;

/** Rate in users per second. */
async function rate(work: () => Promise<number>): Promise<number> {
  const started = performance.now();
  const done = await work();
  if (done !== USERS) throw new Error(`${done} users were changed, not ${USERS}`);
  return (1_000 * done) / (performance.now() - started);
}
