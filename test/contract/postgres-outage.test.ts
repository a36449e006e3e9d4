// Proves that the store survives the loss of its PostgreSQL server and of connections.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { type Append, type EventStore, StoreUnavailable } from "../../src/store/port.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { change, claiming, inShort, NOW, outcomeOf, readAll, receipt, until } from "../support/stores/appends.ts";
import { type CuttingRelay, type Moment, startCuttingRelay } from "../support/stores/cutting-relay.ts";
import { type Cluster, type Database, newDatabase, startCluster } from "../support/stores/postgres.ts";

let stores: EventStore[];

beforeEach(() => {
  stores = [];
});

async function open(url: string): Promise<EventStore> {
  const store = await openPostgresStore(url, "default");
  stores.push(store);
  return store;
}

async function closeAll(): Promise<void> {
  for (const store of stores) await store.close();
}

describe("an outage of the PostgreSQL server", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterEach(closeAll);
  afterAll(() => cluster.remove());

  test.each(["stop", "crash"] as const)("by a %s under load loses no answered append and repeats none", async (how) => {
    const store = await open(cluster.url);
    const before = (await readAll(store)).length;
    let hints = 0;
    store.onAppend(() => hints++);
    const answered: string[] = [];
    const unknown: string[] = [];
    let isOver = false;
    const writers = Array.from({ length: 16 }, async (_, writer) => {
      for (let n = 0; !isOver; n++) {
        const id = `${how} ${writer} ${n}`;
        await store.append(claiming(id, [`name:${id}`])).then(
          ({ outcome }) => answered.push(`${outcome} ${id}`),
          (error) => {
            expect(error).toBeInstanceOf(StoreUnavailable);
            unknown.push(id);
          },
        );
      }
    });
    const readers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const failure = await store.load("user", `${how} 0 0`).then(
          () => undefined,
          (error) => error,
        );
        if (failure) expect(failure).toBeInstanceOf(StoreUnavailable);
        await sleep(1);
      }
    });
    for (let round = 0; round < 2; round++) {
      await sleep(500);
      await cluster[how]();
      await sleep(700);
      await cluster.start();
      await sleep(1_500);
    }
    isOver = true;
    await Promise.all([...writers, ...readers]);

    // Every id was new, so no retry may report a conflict.
    expect(answered.filter((one) => !one.startsWith("appended"))).toEqual([]);
    expect(unknown).toEqual([]);
    const log = inShort((await readAll(store)).slice(before));
    expect(log.sort()).toEqual(answered.map((one) => `${one.slice("appended ".length)} 1`).sort());
    expect(answered.length).toBeGreaterThan(200);
    await expect(store.check()).resolves.toBeUndefined();

    hints = 0;
    await (await open(cluster.url)).append(change(`${how} later`));
    await until(() => hints > 0);
  });

  test("makes calls StoreUnavailable within seconds, and all calls work after it", async () => {
    const store = await open(cluster.url);
    await store.append(change("there"));
    await cluster.stop();
    const started = performance.now();
    const page = { order: { keys: [], descending: false }, offset: 0, limit: 1 };
    await expect(store.check()).rejects.toBeInstanceOf(StoreUnavailable);
    expect(performance.now() - started).toBeLessThan(3_000);
    const calls = [
      store.load("user", "there"),
      store.loadByClaim("name:there"),
      store.search({ kind: "user", where: { all: [] }, ...page }),
      store.read({ limit: 1 }),
      store.head(),
      store.append(change("away")),
      store.keep(receipt("away"), NOW),
    ];
    for (const call of calls) await expect(call).rejects.toBeInstanceOf(StoreUnavailable);
    expect(performance.now() - started).toBeLessThan(16_000);
    await cluster.start();
    expect((await store.load("user", "there"))?.version).toBe(1);
    expect(outcomeOf(await store.append(change("away")))).toBe("appended");
  });

  test("during close does not block closing", async () => {
    const store = await open(cluster.url);
    store.onAppend(() => {});
    const append = store.append(change("closing")).then(outcomeOf, (error: Error) => error.name);
    await cluster.crash();
    const started = performance.now();
    await store.close();
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(["appended", "StoreUnavailable"]).toContain(await append);
    await cluster.start();
  });
});

describe("a connection that breaks during a statement", () => {
  let database: Database;
  let relay: CuttingRelay;

  beforeEach(async () => {
    database = await newDatabase();
    const { hostname: host, port } = new URL(database.url);
    relay = await startCuttingRelay({ host, port: Number(port) });
  });
  afterEach(async () => {
    await closeAll();
    await relay.stop();
    await database.drop();
  });

  const openThroughRelay = () =>
    open(Object.assign(new URL(database.url), { hostname: "127.0.0.1", port: String(relay.port) }).href);

  test.each<Moment>(["before", "after", "answer"])(
    "of an append (cut: %s) leads to one append and its right answer",
    async (moment) => {
      const store = await openThroughRelay();
      await store.append(claiming("holder", ["name:taken"]));
      const ids: string[] = [];
      for (let round = 0; round < 15; round++) {
        // The name of the prepared statement. From the second use on, only the name is sent.
        relay.cut(moment, "append");
        const several = Array.from({ length: 5 }, (_, n) => `${round}-${n}`);
        ids.push(...several);
        const appends: Append[] = several.map((id) => ({ ...claiming(id, [`name:${id}`]), receipt: receipt(id) }));
        const results = await Promise.all([
          ...appends.map((append) => store.append(append)),
          store.append(claiming(`no ${round}`, ["name:taken"])),
          store.append(change("holder", { expectedVersion: 7 })),
        ]);
        expect(results.map(outcomeOf)).toEqual([...several.map(() => "appended"), "claimed", "conflict"]);
        expect(await store.load("user", several[0] as string)).toMatchObject({ version: 1, created: NOW });
      }
      expect(relay.cuts()).toBe(15);
      expect(inShort(await readAll(store)).sort()).toEqual(["holder 1", ...ids.map((id) => `${id} 1`)].sort());
    },
  );

  test("of a receipt leads to one receipt, which counts as the caller's own", async () => {
    const store = await openThroughRelay();
    for (let round = 0; round < 10; round++) {
      relay.cut("answer", "keep");
      expect(await store.keep(receipt(`key ${round}`), NOW)).toBe(true);
      expect(await store.keep(receipt(`key ${round}`), NOW)).toBe(false);
    }
    expect(relay.cuts()).toBe(10);
  });

  test("of a read is followed by a second attempt", async () => {
    const store = await openThroughRelay();
    await store.append(change("u1"));
    for (let round = 0; round < 10; round++) {
      relay.cut(round % 2 === 0 ? "after" : "answer", "load");
      expect((await store.load("user", "u1"))?.version).toBe(1);
    }
    expect(relay.cuts()).toBe(10);
  });
});

describe("a PostgreSQL server", () => {
  let database: Database;
  let other: Client;

  beforeEach(async () => {
    database = await newDatabase();
    other = new Client({ connectionString: database.url });
    await other.connect();
  });
  afterEach(async () => {
    await other.end();
    await closeAll();
    await database.drop();
  });

  test("with a row that is locked for too long fails only appends to that row, and works afterwards", async () => {
    const store = await open(database.url);
    await store.append(change("u1"));
    await other.query("BEGIN");
    await other.query("SELECT FROM streams WHERE id = 'u1' FOR UPDATE");
    const held = store.append(change("u1", { expectedVersion: 1 }));
    await sleep(50);
    expect(outcomeOf(await store.append(change("u2")))).toBe("appended");
    await expect(held).rejects.toBeInstanceOf(StoreUnavailable);
    await other.query("ROLLBACK");
    expect(outcomeOf(await store.append(change("u1", { expectedVersion: 1 })))).toBe("appended");
    expect(inShort(await readAll(store))).toEqual(["u1 1", "u2 1", "u1 2"]);
  });

  test("that became read-only fails check and appends, until it is writable again", async () => {
    const store = await open(database.url);
    await store.append(change("u1"));
    const name = new URL(database.url).pathname.slice(1);
    await other.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await other.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    await Promise.all([
      expect(store.check()).rejects.toBeInstanceOf(StoreUnavailable),
      expect(store.append(change("u2"))).rejects.toBeInstanceOf(StoreUnavailable),
    ]);
    await other.query("SET default_transaction_read_only = off");
    await other.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    await expect(store.check()).resolves.toBeUndefined();
    expect(outcomeOf(await store.append(change("u2")))).toBe("appended");
  });

  test.each([
    ["off", "on"],
    ["local", "on"],
    ["remote_write", "on"],
    ["remote_apply", "remote_apply"],
  ])("with synchronous_commit = %s commits appends with %s", async (setting, expected) => {
    const name = new URL(database.url).pathname.slice(1);
    await other.query(`ALTER DATABASE ${name} SET synchronous_commit = ${setting}`);
    const store = await open(database.url);
    await other.query("CREATE TABLE seen (setting text)");
    await other.query(`
      CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
      CREATE TRIGGER see AFTER INSERT ON events EXECUTE FUNCTION see()`);
    await store.append(change("u1"));
    expect(await database.query("SELECT setting FROM seen")).toEqual([{ setting: expected }]);
  });

  test("accepts 20,000 concurrent appends and no more, and has no connection after close", async () => {
    const store = await open(database.url);
    store.onAppend(() => {});
    const accepted = Array.from({ length: 20_000 }, (_, index) => store.append(change(`u${index}`)));
    await expect(store.append(change("one too many"))).rejects.toBeInstanceOf(StoreUnavailable);
    expect(new Set((await Promise.all(accepted)).map(outcomeOf))).toEqual(new Set(["appended"]));
    await store.close();
    const left = () =>
      database.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'userlock'",
      );
    for (let waited = 0; (await left()).length > 0 && waited < 50; waited++) await sleep(20);
    expect(await left()).toEqual([]);
  });
});
