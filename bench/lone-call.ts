/**
 * What one LockUser by gRPC takes when nothing else is under way, as a ratio to what a call takes that does nothing and
 * a commit of one lock, together. The commit is SQLite's alone, without a thread between.
 *
 *   npm run bench:lone-call
 */

import type { Append, StreamRecord } from "../src/store/port.ts";
import { toKeyedRow } from "../src/store/sqlite/append.ts";
import { prepareFile } from "../src/store/sqlite/connections.ts";
import { openDatabase } from "../src/store/sqlite/database.ts";
import { recordOf, toCreate, toLock } from "./support/appends.ts";
import { temporaryFolder } from "./support/files.ts";
import { lockByGrpc } from "./support/lock-calls.ts";
import { CALLS, type Contender, startLocking, startNothing } from "./support/lock-rate.ts";
import { pinGenerator } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { median } from "./support/statistics.ts";
import { idOf } from "./support/users.ts";

const COUNT = Math.ceil(CALLS / 20);

pinGenerator();
const ours = await startLocking(lockByGrpc);
const theirs = await startNothing(lockByGrpc, ["grpc-js"]);
const file = temporaryFolder().file("commits.db");
await prepareFile(file);
const database = openDatabase(file, "default");
let users = 0;

async function timeOfCall(contender: Contender): Promise<number> {
  return median((await contender.run({ connections: 1, inFlight: 1, count: COUNT })).times);
}

/** In one commit. */
function commit(appends: readonly Append[]): StreamRecord[] {
  for (const { outcome } of database.appendAll(appends.map(toKeyedRow))) {
    if (outcome !== "appended") throw new Error(`an append was refused: ${outcome}`);
  }
  return appends.map(recordOf);
}

function timeOfCommit(): number {
  const created = commit(Array.from({ length: COUNT }, () => toCreate(idOf(users++))));
  const times = created.map(toLock).map((lock) => {
    const started = performance.now();
    commit([lock]);
    return performance.now() - started;
  });
  return median(times);
}

async function round() {
  const [lock, bare, nothing] = [await timeOfCall(ours), timeOfCommit(), await timeOfCall(theirs)];
  const line = `a lock ${show(lock)} ms; a call ${show(nothing)} ms and a commit ${show(bare)} ms`;
  return { value: lock / (nothing + bare), line };
}

// Both have seen many calls, as servers have that run for a while.
for (const contender of [ours, theirs]) await contender.run({ connections: 4, inFlight: 64 });
await round();
await measure(
  { name: "p50 of a lone LockUser ÷ that of a no-op call and a commit", bound: 1.4, aim: 1.15, isLessBetter: true },
  round,
);
database.close();
await ours.stop();
await theirs.stop();
