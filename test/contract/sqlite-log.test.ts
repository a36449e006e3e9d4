// Proves that reads of the log in SQLite cost as much as they return.
import { DatabaseSync } from "node:sqlite";
import type { EventFilter, EventStore, RecordedEvent } from "../../src/store/port.ts";
import { conditionsOf, MAX_SCANNED } from "../../src/store/sqlite/log.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { change, outcomesOf, readAll } from "../support/stores/appends.ts";

const folder = temporaryFolder();
const file = folder.file("userlock.db");
beforeAll(async () => (await openSqliteStore(file, "default")).close());
afterAll(folder.remove);

describe("a page of the SQLite log is found by a key or an index", () => {
  const AUDITOR = { ownerTypes: ["org", "instance"] } as const;
  test.each<[what: string, where: EventFilter, plan: RegExp]>([
    ["all", {}, /^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
    ["types", { ...AUDITOR, types: ["user.locked"] }, /^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\?\)$/],
    [
      "organizations",
      { organizations: ["acme", "other"] },
      /events_by_organization \(.*owner_id=\? AND position>\?\)$/,
    ],
    [
      "an actor in an organization",
      { organizations: ["acme"], actor: "x" },
      /events_by_organization \(.*owner_id=\? AND position>\?\)$/,
    ],
    ["an actor", { ...AUDITOR, actor: "x" }, /events_by_actor \(instance=\? AND subject=\? AND position>\?\)$/],
  ])("for a filter by %s", (_, where, plan) => {
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

describe("the events of users, however many they have,", () => {
  /** The number of each user's own events, and of the user's sessions' events. */
  const COUNTS = { busy: 25_000, quiet: 300, bob: 130 };
  let store: EventStore;
  let all: RecordedEvent[];

  beforeAll(async () => {
    store = await openSqliteStore(folder.file("users.db"), "default");
    const org = { type: "org", id: "acme" } as const;
    const failed = { type: "user.login_failed", data: {} };
    // In small and large steps, with the events of the users interleaved.
    const steps = Object.entries(COUNTS).flatMap(([id, count]) => {
      const size = Math.max(Math.floor(count / 100), 3);
      return Array.from({ length: Math.ceil(count / size) }, (_, n) => {
        const events = Array.from({ length: Math.min(size, count - n * size) }, (_, m) =>
          (n + m) % 1_000 === 0 ? { type: "user.locked", data: {} } : failed,
        );
        const more = {
          userId: id,
          expectedVersion: n * size,
          events,
          ...(id === "bob" && n % 2 === 0 && { owner: org }),
        };
        return [n, change(id, more), change(`of ${id}`, { kind: "session", ...more })] as const;
      });
    });
    const order = steps.toSorted(([one], [other]) => one - other);
    const outcomes = await outcomesOf(order.flatMap(([, own, other]) => [store.append(own), store.append(other)]));
    expect(new Set(outcomes)).toEqual(new Set(["appended"]));
    all = await readAll(store);
  });
  afterAll(() => store.close());

  async function pages(where: EventFilter, descending: boolean, limit: number) {
    const seen: RecordedEvent[] = [];
    let reads = 0;
    for (let from: string | undefined; ; ) {
      const { events, cursor, hasMore } = await store.read({ from, limit, descending, where });
      reads++;
      seen.push(...events);
      if (!hasMore) return { seen, reads };
      from = cursor;
    }
  }

  test.each<[where: EventFilter & { userIds: string[] }, limit: number]>([
    [{ userIds: ["busy"] }, 1_000],
    [{ userIds: ["quiet"] }, 7],
    [{ userIds: ["quiet", "bob", "nobody", "bob"] }, 7],
    [{ userIds: ["busy", "quiet", "bob"] }, 640],
    [{ userIds: ["bob"], ownerTypes: ["org"] }, 5],
    [{ userIds: ["bob", "quiet"], organizations: ["acme"] }, 64],
    [{ userIds: ["busy"], ownerTypes: ["system"] }, 10],
    [{ userIds: ["busy", "bob"], types: ["user.locked"] }, 10],
    [{ userIds: [] }, 10],
  ])("are read once, in both orders, by %j with pages of %i", async (where, limit) => {
    const { userIds, ownerTypes, organizations, types } = where;
    const expected = all.filter(
      ({ userId, owner, type }) =>
        userIds.includes(userId as string) &&
        (ownerTypes?.includes(owner.type) ?? true) &&
        (organizations?.includes(owner.id) ?? true) &&
        (types?.includes(type) ?? true),
    );
    for (const descending of [false, true]) {
      const { seen, reads } = await pages(where, descending, limit);
      expect(seen.map(({ cursor }) => cursor)).toEqual(
        (descending ? expected.toReversed() : expected).map(({ cursor }) => cursor),
      );
      expect(reads).toBeLessThanOrEqual(1 + expected.length / limit + all.length / MAX_SCANNED);
    }
  });

  test.each([
    ["from the start", 0, false],
    ["forwards from the middle", 25_000, false],
    ["backwards from the end", 50_000, true],
    ["backwards from the middle", 25_000, true],
  ])("are read %s as fast as those of a user with few events", async (_, place, descending) => {
    const pageOf = async (userId: keyof typeof COUNTS, share: number) => {
      const events = all.filter((event) => event.userId === userId);
      const from = events[Math.round(share * events.length)]?.cursor;
      const begin = performance.now();
      await store.read({ from, limit: 20, descending, where: { userIds: [userId] } });
      return performance.now() - begin;
    };
    let [busy, quiet] = [Infinity, Infinity];
    for (let round = 0; round < 30; round++) {
      quiet = Math.min(quiet, await pageOf("quiet", place / 50_000));
      busy = Math.min(busy, await pageOf("busy", place / 50_000));
    }
    expect(busy).toBeLessThan(4 * quiet);
  });
});

test("a search does not wait for concurrent reads of the log", async () => {
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
