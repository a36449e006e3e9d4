import { DatabaseSync } from "node:sqlite";
import type { EventFilter } from "../../src/store/port.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { conditionsOf } from "../../src/store/sqlite-log.ts";
import { change } from "../support/appends.ts";
import { temporaryFolder } from "../support/server-process.ts";

const folder = temporaryFolder();
const file = folder.file("userlock.db");
beforeAll(async () => (await openSqliteStore(file, "default")).close());
afterAll(folder.remove);

describe("what is asked of the log is found by a key or an index, or in the order of the log", () => {
  const AUDITOR = { ownerTypes: ["org", "instance"] } as const;
  test.each<[what: string, where: EventFilter, plan: RegExp]>([
    ["all", {}, /^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
    ["types", { ...AUDITOR, types: ["user.locked"] }, /^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
    [
      "a user",
      { ...AUDITOR, userIds: ["alice"] },
      /^SEARCH events USING INTEGER PRIMARY KEY \(rowid=\?\).*SEARCH streams USING INDEX .*kind=\? AND id=\?.*SCAN own.*INTEGER PRIMARY KEY \(rowid=\?\).*events_by_user \(instance=\? AND user_id=\?\)$/s,
    ],
    [
      "organizations",
      { organizations: ["acme", "other"] },
      /events_by_organization \(.*owner_id=\? AND position>\?\)$/,
    ],
    [
      "a user of an organization",
      { organizations: ["acme"], userIds: ["alice"] },
      /^SEARCH events USING INTEGER PRIMARY KEY \(rowid=\?\)/,
    ],
    ["an actor", { ...AUDITOR, actor: "x" }, /events_by_actor \(instance=\? AND subject=\? AND position>\?\)$/],
  ])("%s", (_, where, plan) => {
    const database = new DatabaseSync(file);
    const { scopes, rest } = conditionsOf("default", where);
    for (const scope of scopes) {
      const conditions = [...scope, ...rest, { sql: "position > ?", values: [15] }];
      const steps = database
        .prepare(
          `EXPLAIN QUERY PLAN SELECT * FROM events WHERE ${conditions.map(({ sql }) => sql).join(" AND ")}
          ORDER BY position LIMIT 100`,
        )
        .all(...conditions.flatMap(({ values }) => values));
      expect(steps.map(({ detail }) => detail).join("\n")).toMatch(plan);
    }
    database.close();
  });
});

test("a search waits for no reads of the log", async () => {
  const store = await openSqliteStore(folder.file("searched.db"), "default");
  const many = Array.from({ length: 100 }, () => ({ type: "user.login_failed", data: {} }));
  await Promise.all(Array.from({ length: 200 }, (_, n) => store.append(change(`u${n}`, { events: many }))));
  let read = 0;
  const reads = Array.from({ length: 100 }, async () => {
    await store.read({ limit: 10, where: { types: ["user.locked"] } });
    read++;
  });
  const page = { order: { keys: [], descending: false }, offset: 0, limit: 1 };
  await store.search({ kind: "user", where: { all: [] }, ...page });
  expect(read).toBeLessThan(100);
  await Promise.all(reads);
  await store.close();
});
