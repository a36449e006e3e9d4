// Proves that searches of an SQLite file use indexes, and that changes write few pages.
import { DatabaseSync } from "node:sqlite";
import type { Query } from "../../src/store/query.ts";
import { searchClauses } from "../../src/store/sqlite/search.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { change, NOW } from "../support/stores/appends.ts";

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let database: DatabaseSync | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  file = folder.file("userlock.db");
});

afterEach(() => {
  database?.close();
  database = undefined;
  folder.remove();
});

describe("an index of the SQLite file serves a search for", () => {
  const byId = { keys: [], descending: false } as const;
  test.each<[what: string, query: Pick<Query, "kind" | "where" | "order" | "after">, plan: RegExp]>([
    [
      "ended locks",
      {
        kind: "user",
        where: { field: "state.lock.until", atMost: NOW },
        order: { keys: [{ field: "state.lock.until" }], descending: false },
      },
      /streams_by_lock_until \(instance=\? AND kind=\? AND lock_until>\? AND lock_until<\?\)$/,
    ],
    [
      "sessions of a user",
      {
        kind: "session",
        where: { field: "state.userId", is: "alice" },
        order: { keys: [{ field: "created" }], descending: true },
      },
      /streams_by_user_id \(instance=\? AND kind=\? AND user_id=\?\)$/,
    ],
    [
      "tokens of a subject",
      { kind: "token", where: { field: "state.subject", is: "operator" }, order: byId },
      /streams_by_subject \(instance=\? AND kind=\? AND subject=\?\)$/,
    ],
    [
      "users in order of address",
      { kind: "user", where: { all: [] }, order: { keys: [{ field: "state.email.address" }], descending: false } },
      /streams_by_email \(instance=\? AND kind=\?\)$/,
    ],
    [
      "users in order of creation",
      { kind: "user", where: { all: [] }, order: { keys: [{ field: "created" }], descending: false } },
      /streams_by_created \(instance=\? AND kind=\?\)$/,
    ],
    [
      "rare ids and addresses",
      {
        kind: "user",
        where: {
          rare: {
            any: [
              { field: "id", text: "contains_ignore_case", value: "a" },
              { field: "state.email.address", text: "contains_ignore_case", value: "a" },
            ],
          },
        },
        order: byId,
      },
      /COVERING INDEX streams_by_email \(instance=\? AND kind=\?\)$/m,
    ],
    [
      "claims",
      { kind: "user", where: { claim: "username", contains: "a" }, order: byId },
      /claims USING PRIMARY KEY \(instance=\? AND name>\? AND name<\?\)$/m,
    ],
    [
      "users after an address",
      {
        kind: "user",
        where: { all: [] },
        order: { keys: [{ field: "state.email.address" }], descending: true },
        after: { values: ["a@x"], id: "u7" },
      },
      /^\S+ \S+ USING INDEX streams_by_email \(instance=\? AND kind=\? AND email<\?\)$/,
    ],
    [
      "users after one without an address",
      {
        kind: "user",
        where: { all: [] },
        order: { keys: [{ field: "state.email.address" }], descending: false },
        after: { values: [null], id: "u7" },
      },
      /^\S+ \S+ USING INDEX streams_by_email \(instance=\? AND kind=\? AND email=\? AND id>\?\)$/,
    ],
    [
      "users after a time of creation",
      {
        kind: "user",
        where: { all: [] },
        order: { keys: [{ field: "created" }], descending: false },
        after: { values: [NOW], id: "u7" },
      },
      /^\S+ \S+ USING INDEX streams_by_created \(instance=\? AND kind=\? AND created>\?\)$/,
    ],
  ])("%s", async (_, query, plan) => {
    await (await openSqliteStore(file, "default")).close();
    database = new DatabaseSync(file);
    database.function("fold", { deterministic: true }, (text) => String(text));
    database.function("is_wanted", () => 1);
    const { parts, order } = searchClauses("default", { ...query, offset: 0, limit: 10 });
    const [part] = parts as [(typeof parts)[number]];
    const steps = database
      .prepare(`EXPLAIN QUERY PLAN SELECT * FROM streams WHERE ${part.sql} ORDER BY ${order.sql} LIMIT 10`)
      .all(...part.values, ...order.values);
    expect(steps.map(({ detail }) => detail).join("\n")).toMatch(plan);
  });
});

test("a change that touches no indexed field writes one page of streams and no index page", async () => {
  const store = await openSqliteStore(file, "default");
  const many = Array.from({ length: 2_000 }, (_, n) => change(`u${n}`, { state: { n, email: { address: `${n}@x` } } }));
  await Promise.all(many.map(store.append));
  /** The number of pages that a change of the address writes, in a stream with one event. */
  const pagesOf = async (n: number, address: string) => {
    database ??= new DatabaseSync(file);
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
    await store.append(change(`u${n}`, { expectedVersion: 1, state: { n, email: { address } } }));
    return (database.prepare("PRAGMA wal_checkpoint(NOOP)").get() as { log: number }).log;
  };
  const same = await pagesOf(1_000, "1000@x");
  const other = await pagesOf(1_001, "a@y");
  // The pages of the stream, of its event and of the actor's index, and their parents if an event begins a new page.
  expect(same).toBeLessThanOrEqual(5);
  expect(other).toBeGreaterThanOrEqual(same + 1);
  await store.close();
});
