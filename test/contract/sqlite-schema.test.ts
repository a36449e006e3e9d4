import { DatabaseSync } from "node:sqlite";
import type { Append, EventStore, Filter, Query } from "../../src/store/port.ts";
import { STEPS } from "../../src/store/sqlite/schema.ts";
import { searchClauses } from "../../src/store/sqlite/search.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { change, NOW, outcomesOf, readAll } from "../support/stores/appends.ts";

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

const ORG = { type: "org", id: "acme" } as const;
const EMAIL = "alice@example.com";

/** Appended in this order, so that the events of one stream lie apart. */
const APPENDS = [
  change("alice", { owner: ORG, userId: "alice", state: { email: { address: EMAIL } } }),
  change("bob", { userId: "bob", state: { email: null } }),
  change("s1", { kind: "session", owner: ORG, userId: "alice", state: { userId: "alice" } }),
  change("t1", { kind: "token", state: { subject: "operator" } }),
  change("alice", {
    owner: ORG,
    userId: "alice",
    expectedVersion: 1,
    time: NOW + 1,
    events: [
      { type: "user.changed", data: {} },
      { type: "user.locked", data: {} },
    ],
    state: { email: { address: EMAIL }, lock: { until: NOW + 2 } },
  }),
  change("other", { userId: "other", actor: { subject: "other" } }),
];

/** Makes a file as a userlock of that version of the schema has written it. */
function writeOld(version: number): void {
  const old = new DatabaseSync(file);
  for (const step of STEPS.slice(0, version)) old.exec(step);
  old.exec(`PRAGMA application_id = ${0x756c636b}; PRAGMA user_version = ${version}`);
  const write = prepareOld(old, version);
  for (const append of APPENDS) write(append);
  old.close();
}

/** Writes as a userlock of that version does, also when the file has a newer schema meanwhile. */
function prepareOld(old: DatabaseSync, version: number): (append: Append) => void {
  const knowsOwner = version >= 3;
  const event = old.prepare(`
    INSERT INTO events (instance, kind, id, version, type, time, actor, data
      ${knowsOwner ? ", owner_type, owner_id, user_id" : ""})
    VALUES ('default', ?, ?, ?, ?, ?, ?, ? ${knowsOwner ? ", ?, ?, ?" : ""})`);
  const stream = old.prepare(`
    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state)
    VALUES ('default', ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET version = excluded.version, changed = excluded.changed, state = excluded.state`);
  return ({ kind, id, expectedVersion, events, time, actor, owner, userId, state }) => {
    const owned = knowsOwner ? [owner.type, owner.id, userId ?? null] : [];
    for (const [index, { type, data }] of events.entries()) {
      const next = expectedVersion + index + 1;
      event.run(kind, id, next, type, time, JSON.stringify(actor), JSON.stringify(data), ...owned);
    }
    const next = expectedVersion + events.length;
    stream.run(kind, id, next, owner.type, owner.id, time, time, JSON.stringify(state));
  };
}

const PAGE = { order: { keys: [], descending: false }, offset: 0, limit: 10 } as const;
const SEARCHES: [kind: string, where: Filter][] = [
  ["user", { field: "state.email.address", text: "equals_ignore_case", value: EMAIL }],
  ["user", { not: { field: "state.email.address", exists: true } }],
  ["user", { field: "state.lock.until", atMost: NOW + 2 }],
  ["session", { field: "state.userId", is: "alice" }],
  ["token", { field: "state.subject", is: "operator" }],
];

/** All that can be asked of the store. */
async function everything(store: EventStore): Promise<unknown> {
  const asked = [{}, { userIds: ["alice"] }, { userIds: ["alice", "bob"] }, { actor: "operator" }, { actor: "other" }];
  return {
    log: await readAll(store),
    pages: await Promise.all(asked.map((where) => store.read({ limit: 10, where }))),
    back: await Promise.all(asked.map((where) => store.read({ limit: 2, where, descending: true }))),
    found: await Promise.all(SEARCHES.map(([kind, where]) => store.search({ kind, where, ...PAGE }))),
    loaded: await Promise.all(APPENDS.map(({ kind, id }) => store.load(kind, id))),
    head: await store.head(),
  };
}

test.each([1, 2, 3])(
  "a file of schema %i gives the same answers as a new one, and goes on the same",
  async (version) => {
    writeOld(version);
    const [old, fresh] = [await openSqliteStore(file, "default"), await openSqliteStore(":memory:", "default")];
    for (const append of APPENDS) expect((await fresh.append(append)).outcome).toBe("appended");
    expect(await everything(old)).toEqual(await everything(fresh));

    const more = [
      change("alice", { owner: ORG, userId: "alice", expectedVersion: 3, time: NOW + 2, state: { subject: 1 } }),
      change("alice", { expectedVersion: 2 }),
      change("newcomer", { userId: "newcomer" }),
    ];
    for (const store of [old, fresh]) {
      expect(await outcomesOf(more.map(store.append))).toEqual(["appended", "conflict", "appended"]);
    }
    const answers = await everything(old);
    expect(answers).toEqual(await everything(fresh));
    expect((answers as { found: { total: number }[] }).found.map(({ total }) => total)).toEqual([0, 4, 0, 1, 1]);
    await old.close();
    await fresh.close();
  },
);

test.each([1, 2, 3])("who wrote to the file of schema %i and has it open still can write no more", async (version) => {
  writeOld(version);
  database = new DatabaseSync(file);
  const write = prepareOld(database, version);
  const more = change("alice", { owner: ORG, userId: "alice", expectedVersion: 3, time: NOW + 3 });
  database.exec("BEGIN");
  write(more);
  database.exec("ROLLBACK");

  const store = await openSqliteStore(file, "default");
  const before = await everything(store);
  for (const append of [more, change("newcomer", { userId: "newcomer" })]) {
    expect(() => write(append)).toThrow("NOT NULL constraint failed: events.subject");
  }
  expect(await everything(store)).toEqual(before);
  await store.close();
});

describe("what is asked often is found by an index", () => {
  const byId = { keys: [], descending: false } as const;
  test.each<[what: string, query: Pick<Query, "kind" | "where" | "order">, plan: RegExp]>([
    [
      "locks that have ended",
      {
        kind: "user",
        where: { field: "state.lock.until", atMost: NOW },
        order: { keys: [{ field: "state.lock.until" }], descending: false },
      },
      /streams_by_lock_end \(instance=\? AND kind=\? AND lock_until>\? AND lock_until<\?\)$/,
    ],
    [
      "sessions of a user",
      {
        kind: "session",
        where: { field: "state.userId", is: "alice" },
        order: { keys: [{ field: "created" }], descending: true },
      },
      /streams_by_user \(instance=\? AND kind=\? AND user_id=\?\)$/,
    ],
    [
      "tokens of a subject",
      { kind: "token", where: { field: "state.subject", is: "operator" }, order: byId },
      /streams_by_subject \(instance=\? AND kind=\? AND subject=\?\)$/,
    ],
    [
      "users by address",
      { kind: "user", where: { all: [] }, order: { keys: [{ field: "state.email.address" }], descending: false } },
      /streams_by_email \(instance=\? AND kind=\?\)$/,
    ],
    [
      "users by time",
      { kind: "user", where: { all: [] }, order: { keys: [{ field: "created" }], descending: false } },
      /streams_by_created \(instance=\? AND kind=\?\)$/,
    ],
  ])("%s", async (_, query, plan) => {
    await (await openSqliteStore(file, "default")).close();
    database = new DatabaseSync(file);
    database.function("fold", { deterministic: true }, (text) => String(text));
    database.function("is_wanted", () => 1);
    const { where, order } = searchClauses("default", { ...query, offset: 0, limit: 10 });
    const steps = database
      .prepare(`EXPLAIN QUERY PLAN SELECT * FROM streams WHERE ${where.sql} ORDER BY ${order.sql} LIMIT 10`)
      .all(...where.values, ...order.values);
    expect(steps.map(({ detail }) => detail).join("\n")).toMatch(plan);
  });
});

test("a change that leaves alone what its stream is found by writes one page of streams, and no index of them", async () => {
  const store = await openSqliteStore(file, "default");
  const many = Array.from({ length: 2_000 }, (_, n) => change(`u${n}`, { state: { n, email: { address: `${n}@x` } } }));
  await Promise.all(many.map(store.append));
  /** How many pages a change of the address writes, of a stream that had one event. */
  const pagesOf = async (n: number, address: string) => {
    database ??= new DatabaseSync(file);
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
    await store.append(change(`u${n}`, { expectedVersion: 1, state: { n, email: { address } } }));
    return (database.prepare("PRAGMA wal_checkpoint(NOOP)").get() as { log: number }).log;
  };
  const same = await pagesOf(1_000, "1000@x");
  const other = await pagesOf(1_001, "a@y");
  // The stream, its event, and the event of the actor; and where an event begins a new page, those that lead there.
  expect(same).toBeLessThanOrEqual(5);
  expect(other).toBeGreaterThanOrEqual(same + 1);
  await store.close();
});
