// Proves that the log in PostgreSQL has one order, and that hints reach every server.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { Client } from "pg";
import { toCursor } from "../../src/store/cursor.ts";
import type { EventStore, RecordedEvent } from "../../src/store/port.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { change, claiming, inShort, NOW, outcomeOf, readAll, until } from "../support/stores/appends.ts";
import { type Cluster, type Database, newDatabase, query, startCluster } from "../support/stores/postgres.ts";

let database: Database;
let stores: EventStore[];
let others: Client[];

beforeEach(async () => {
  database = await newDatabase();
  stores = [];
  others = [];
});

afterEach(async () => {
  for (const other of others) await other.end();
  for (const store of stores) await store.close();
  await database.drop();
});

async function open(instance = "default", url = database.url): Promise<EventStore> {
  const store = await openPostgresStore(url, instance);
  stores.push(store);
  return store;
}

/** A connection as another server has. */
async function connect(url = database.url): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  others.push(client);
  return client;
}

/** Appends one event within the transaction of the connection. */
async function appendIn(client: Client, id: string, expected: number): Promise<void> {
  const row = {
    place: 0,
    append: randomUUID(),
    kind: "user",
    id,
    expected,
    time: NOW,
    owner_type: "instance",
    owner_id: "default",
    actor: { subject: "another" },
    state: { id },
    events: [{ type: "user.created", data: {} }],
    adds: [],
    removes: [],
    requires: [],
  };
  await client.query("SELECT userlock_append('default', $1)", [JSON.stringify([row])]);
}

/** Resolves when a transaction waits for a lock. */
async function untilWaiting(): Promise<void> {
  await until(async () => {
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    return (await database.query(waiting)).length > 0;
  });
}

describe("concurrent transactions", () => {
  let elsewhere: Database;

  beforeAll(async () => {
    elsewhere = await newDatabase();
  });
  afterAll(() => elsewhere.drop());

  test("refuse a claim that another transaction took after the append was decided", async () => {
    const [store, other] = [await open(), await connect()];
    await other.query("BEGIN");
    // This row stops the append after it was decided.
    await other.query(`
      INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state)
      VALUES ('default', 'user', 'late', 1, 'instance', 'default', 1, 1, '{}')`);
    const late = store.append(claiming("late", ["name:ann", "name:bob"]));
    await untilWaiting();
    await other.query("DELETE FROM streams WHERE id = 'late'");
    await other.query("INSERT INTO claims (instance, name, kind, id) VALUES ('default', 'name:bob', 'user', 'early')");
    await other.query("COMMIT");
    expect(await late).toEqual({ outcome: "claimed", claim: "name:bob" });
    expect(await store.loadByClaim("name:ann")).toBeUndefined();
  });

  test("put an append that waits for another after it in the log", async () => {
    const [store, other] = [await open(), await connect()];
    await store.append(change("before"));
    await other.query("BEGIN");
    await appendIn(other, "slow", 0);
    const fast = store.append(change("fast"));
    await untilWaiting();
    const first = await store.read({ limit: 10 });
    expect(inShort(first.events)).toEqual(["before 1"]);
    expect(await store.head()).toBe(first.cursor);

    await other.query("COMMIT");
    expect(outcomeOf(await fast)).toBe("appended");
    const second = await store.read({ from: first.cursor, limit: 10 });
    expect(inShort(second.events)).toEqual(["slow 1", "fast 1"]);
    expect((await store.read({ from: second.cursor, limit: 10 })).events).toEqual([]);
  });

  test("give the place of a rolled-back append to the append that waits for it", async () => {
    const [store, other] = [await open(), await connect()];
    await other.query("BEGIN");
    await appendIn(other, "slow", 0);
    const fast = store.append(change("fast"));
    await untilWaiting();
    await other.query("ROLLBACK");
    expect(outcomeOf(await fast)).toBe("appended");
    const [event] = await readAll(store);
    expect(event).toMatchObject({ id: "fast", cursor: toCursor(1, 1, NOW) });
  });

  test("do not delay appends of other instances", async () => {
    const [, other] = [await open(), await connect()];
    const elsewhere = await open("elsewhere");
    await other.query("BEGIN");
    await appendIn(other, "slow", 0);
    expect(outcomeOf(await elsewhere.append(change("fast")))).toBe("appended");
    expect(inShort(await readAll(elsewhere))).toEqual(["fast 1"]);
    await other.query("ROLLBACK");
  });

  test("keep the events of a stream in order if the first transaction to begin commits last", async () => {
    const [store, other] = [await open(), await connect()];
    await store.append(change("u1"));
    await other.query("BEGIN");
    await other.query("SELECT pg_current_xact_id()");
    await store.append(change("u1", { expectedVersion: 1 }));
    await appendIn(other, "u1", 2);
    await other.query("COMMIT");
    expect(inShort(await readAll(store))).toEqual(["u1 1", "u1 2", "u1 3"]);
  });

  test.each([
    ["this database", () => database.url],
    ["another database of the cluster", () => elsewhere.url],
  ])("that have written and stay open in %s delay neither reads nor hints", async (_, url) => {
    const [one, other] = [await open(), await open()];
    const foreign = await connect(url());
    await foreign.query("CREATE TABLE another_program (id bigint)");
    await foreign.query("BEGIN");
    await foreign.query("INSERT INTO another_program VALUES (1)");
    let hints = 0;
    other.onAppend(() => hints++);
    await until(() => hints > 0);
    hints = 0;
    await one.append(change("u1"));
    expect(inShort(await readAll(one))).toEqual(["u1 1"]);
    await until(() => hints > 0);
    const page = await other.read({ limit: 10 });
    expect(inShort(page.events)).toEqual(["u1 1"]);
    expect(await one.head()).toBe(page.cursor);
    await foreign.query("ROLLBACK");
  });

  test("of three stores on many keys keep the log complete and in order, without a deadlock", async () => {
    // Longer than a statement waits for a lock, so a deadlock fails instead of being resolved.
    const name = new URL(database.url).pathname.slice(1);
    await database.query(`ALTER DATABASE ${name} SET deadlock_timeout = '1min'`);
    const three = [await open(), await open(), await open()];
    const IDS = Array.from({ length: 12 }, (_, index) => `u${index}`);
    const versions = new Map<string, number>();
    let appended = 0;
    const random = (count: number) => Math.floor(Math.random() * count);
    const writers = three.flatMap((store) =>
      Array.from({ length: 12 }, async () => {
        for (let round = 0; round < 20; round++) {
          const [id, on] = [IDS[random(IDS.length)] as string, IDS[random(IDS.length)] as string];
          const expectedVersion = versions.get(id) ?? 0;
          const names = [`name:${random(40)}`, `name:${random(40)}`];
          const result = await store.append({
            ...claiming(id, [names[0] as string], [names[1] as string], expectedVersion),
            requires: id === on || random(3) > 0 ? [] : [{ kind: "user", id: on, version: versions.get(on) ?? 0 }],
          });
          if (result.outcome !== "appended") continue;
          appended++;
          versions.set(id, Math.max(versions.get(id) ?? 0, expectedVersion + 1));
        }
      }),
    );
    await Promise.all(writers);
    const log = await readAll(three[0] as EventStore);
    expect(log).toHaveLength(appended);
    expect(appended).toBeGreaterThan(50);
    for (const [id, events] of Map.groupBy(log, (event: RecordedEvent) => event.id)) {
      expect(events.map(({ version }) => version)).toEqual(
        Array.from({ length: versions.get(id) ?? 0 }, (_, n) => n + 1),
      );
    }
  });
});

describe("a database that was restored into a new cluster", () => {
  /** The tables of a dump, which has each row as text. */
  const TABLES = ["userlock_schema", "instances", "events", "streams", "claims", "receipts"];
  let restored: Cluster;

  beforeAll(async () => {
    restored = await startCluster();
  });
  afterAll(() => restored.remove());

  test("has all its events, and new events come after the last one, without manual repair", async () => {
    const before = await open();
    // The old cluster's transaction ids are far above those of the new one.
    await database.query("DO $$ BEGIN FOR n IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
    for (let version = 0; version < 3; version++) await before.append(change("u1", { expectedVersion: version }));
    const { cursor } = await before.read({ limit: 2 });

    const first = await open("default", restored.url);
    for (const table of TABLES) {
      const rows = await database.query(`SELECT r::text AS row FROM ${table} AS r`);
      await query(restored.url, `DELETE FROM ${table}`);
      for (const { row } of rows as { row: string }[]) {
        await query(restored.url, `INSERT INTO ${table} SELECT ($1::${table}).*`, [row]);
      }
    }
    const second = await open("default", restored.url);
    expect(inShort(await readAll(first, 10, cursor))).toEqual(["u1 3"]);
    expect(outcomeOf(await first.append(change("u1", { expectedVersion: 3 })))).toBe("appended");
    await second.append(change("u2"));
    const all = await readAll(second);
    expect(inShort(all)).toEqual(["u1 1", "u1 2", "u1 3", "u1 4", "u2 1"]);
    const cursors = all.map((event) => event.cursor);
    expect(cursors).toEqual([...cursors].sort());
  });
});

describe("a cursor with impossible numbers", () => {
  test.each(["j9223372036854775808" + "1111", "11" + "a2147483648" + "11", "1111" + "j9223372036854775808", "1111"])(
    "is refused as invalid: %s",
    async (from) => {
      await expect((await open()).read({ from, limit: 1 })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    },
  );
});

describe("hints of appended events", () => {
  const LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN userlock'";

  test("continue after their connection was closed, and one covers the time in between", async () => {
    const [one, other] = [await open(), await open()];
    let hints = 0;
    one.onAppend(() => hints++);
    await until(() => hints > 0);
    expect(await database.query(`SELECT pg_terminate_backend(pid) ${LISTENERS}`)).toHaveLength(1);
    hints = 0;
    await until(() => hints > 0);
    hints = 0;
    await other.append(change("u1"));
    await until(() => hints > 0);
  });

  test("ignore notifications of other programs on the same channel", async () => {
    const store = await open();
    let hints = 0;
    store.onAppend(() => hints++);
    await until(() => hints > 0);
    hints = 0;
    for (const payload of ["", "x", "{", " other"]) await database.query("SELECT pg_notify('userlock', $1)", [payload]);
    await database.query("SELECT pg_notify('userlock', 'x default')");
    await until(() => hints === 1);
  });

  test("keep a connection open only while a listener exists", async () => {
    const store = await open();
    const count = async () => (await database.query(`SELECT ${LISTENERS}`)).length;
    expect(await count()).toBe(0);
    let hints = 0;
    const stops = [store.onAppend(() => hints++), store.onAppend(() => hints++)];
    await until(() => hints > 1);
    expect(await count()).toBe(1);
    for (const stop of stops) stop();
    for (let waited = 0; (await count()) > 0 && waited < 100; waited++);
    expect(await count()).toBe(0);
  });
});

describe("concurrent appends", () => {
  test("to one stream are made in order of arrival", async () => {
    const store = await open();
    const appends = Array.from({ length: 50 }, (_, version) =>
      store.append(change("u1", { expectedVersion: version })),
    );
    expect((await Promise.all(appends)).map(outcomeOf)).toEqual(appends.map(() => "appended"));
  });

  test("to many streams that require each other are made as if one after the other", async () => {
    const store = await open();
    const on = (id: string, version: number) => ({ requires: [{ kind: "user", id, version }] });
    const outcomes = await Promise.all([
      store.append(claiming("a", ["name:x"])),
      store.append(change("b", on("a", 1))),
      store.append(change("c", on("b", 0))),
      store.append(claiming("a", [], ["name:x"], 1)),
      store.append(claiming("d", ["name:x"])),
      store.append(change("e", on("a", 1))),
    ]);
    expect(outcomes.map(outcomeOf)).toEqual(["appended", "appended", "conflict", "appended", "appended", "conflict"]);
  });

  test("with text that PostgreSQL rejects do not affect the others", async () => {
    const store = await open();
    const wrong = { kind: "user", id: "\0", version: 0 };
    const results = await Promise.allSettled([
      store.append(change("u1")),
      store.append(change("u2", { requires: [wrong] })),
      store.append(change("u3")),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(inShort(await readAll(store)).sort()).toEqual(["u1 1", "u3 1"]);
  });

  test("with text of any length and kind are read back unchanged", async () => {
    const store = await open();
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.json({ stringUnit: "binary" }), async (text) => {
        const state = { value: JSON.parse(text) };
        const id = `any ${count++}`;
        const result = await store.append(change(id, { state, actor: { subject: text } })).catch(() => undefined);
        if (!result) return;
        // JSON turns -0 into 0.
        expect((await store.load("user", id))?.state).toEqual(JSON.parse(JSON.stringify(state)));
      }),
      { numRuns: 100 },
    );
    const subject = "x".repeat(15_000);
    await store.append(change("long", { actor: { subject } }));
    expect(inShort((await store.read({ limit: 10, where: { actor: subject } })).events)).toEqual(["long 1"]);
  });
});
