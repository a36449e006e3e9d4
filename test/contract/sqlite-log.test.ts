import { DatabaseSync } from "node:sqlite";
import type { LogQuery } from "../../src/store/port.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { logClause } from "../../src/store/sqlite-log.ts";
import { change, readAll } from "../support/appends.ts";
import { temporaryFolder } from "../support/server-process.ts";

const folder = temporaryFolder();
const file = folder.file("userlock.db");
afterAll(folder.remove);

test("a log from before events knew owner and user has them after the upgrade", async () => {
  const org = { type: "org", id: "acme" } as const;
  const before = await openSqliteStore(file, "default");
  await before.append(change("alice", { owner: org, userId: "alice" }));
  await before.append(change("s1", { kind: "session", owner: org, userId: "alice", state: { userId: "alice" } }));
  await before.append(change("t1", { kind: "token" }));
  const log = await readAll(before);
  await before.close();

  const database = new DatabaseSync(file);
  database.exec(`
    DROP INDEX events_by_organization; DROP INDEX events_by_user; DROP INDEX events_by_actor;
    ALTER TABLE events DROP COLUMN owner_type; ALTER TABLE events DROP COLUMN owner_id;
    ALTER TABLE events DROP COLUMN user_id; DROP TABLE receipts; PRAGMA user_version = 2`);
  database.close();

  const after = await openSqliteStore(file, "default");
  expect(await readAll(after)).toEqual(log);
  expect(log.map(({ owner, userId }) => [owner.id, userId])).toEqual([
    ["acme", "alice"],
    ["acme", "alice"],
    ["default", undefined],
  ]);
  await after.close();
});

describe("what is asked of the log is found by a key or an index, or in the order of the log", () => {
  const AUDITOR = { ownerTypes: ["org", "instance"] } as const;
  test.each<[what: string, query: Omit<LogQuery, "limit">, plan: RegExp]>([
    ["the tail", { from: "15" }, /^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
    ["the newest", { descending: true, where: AUDITOR }, /^SCAN events$/],
    ["types", { descending: true, where: { ...AUDITOR, types: ["user.locked"] } }, /^SCAN events$/],
    [
      "a user",
      { descending: true, where: { ...AUDITOR, userIds: ["alice"] } },
      /^MULTI-INDEX OR.*kind=\? AND id=\?.*events_by_user \(instance=\? AND user_id=\?\)/s,
    ],
    ["an organization", { from: "15", where: { organizations: ["acme"] } }, /events_by_organization .*position>\?/],
    [
      "an actor",
      { descending: true, where: { ...AUDITOR, actor: "x" } },
      /events_by_actor \(instance=\? AND <expr>=\?\)/,
    ],
  ])("%s", (_, query, plan) => {
    const database = new DatabaseSync(file);
    const { sql, values } = logClause("default", { ...query, limit: 100 });
    const steps = database.prepare(`EXPLAIN QUERY PLAN SELECT * FROM events ${sql}`).all(...values);
    database.close();
    expect(steps.map(({ detail }) => detail).join("\n")).toMatch(plan);
  });
});
