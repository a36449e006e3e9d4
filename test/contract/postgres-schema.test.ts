// Proves that a PostgreSQL database is set up once, is searched by indexes, and is refused if it is not a store.
import { type Append, type EventStore, StoreRefused } from "../../src/store/port.ts";
import { searchStatement } from "../../src/store/postgres/search.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { change, claiming, inShort, NOW, readAll, receipt, until } from "../support/stores/appends.ts";
import { type Database, newDatabase, query } from "../support/stores/postgres.ts";
import { startStoreProcess } from "../support/stores/store-process.ts";

let database: Database;
let stores: EventStore[];

beforeEach(async () => {
  database = await newDatabase();
  stores = [];
});

afterEach(async () => {
  for (const store of stores) await store.close();
  await database.drop();
});

async function open(url = database.url): Promise<EventStore> {
  const store = await openPostgresStore(url, "default");
  stores.push(store);
  return store;
}

async function expectRefused(url: string, words: RegExp): Promise<void> {
  const refusal = await open(url).then(
    () => undefined,
    (error) => error,
  );
  expect(refusal).toBeInstanceOf(StoreRefused);
  expect(refusal.message).toMatch(words);
  const { password } = new URL(url);
  if (password !== "") expect(`${refusal.message} ${refusal.stack}`).not.toContain(password);
}

describe("a start on PostgreSQL", () => {
  test("succeeds in twenty processes at once on an empty database", async () => {
    const processes = await Promise.all(Array.from({ length: 20 }, () => startStoreProcess()));
    try {
      const outcomes = await Promise.all(
        processes.map((one, index) =>
          one.carryOut({ url: database.url, streams: [{ id: `own ${index}` }, { id: "same" }] }),
        ),
      );
      expect(outcomes.map(({ refused }) => refused)).toEqual(outcomes.map(() => undefined));
      expect(outcomes.map(({ streams }) => streams?.[0])).toEqual(outcomes.map(() => "appended"));
      expect(outcomes.filter(({ streams }) => streams?.[1] === "appended")).toHaveLength(1);
      expect(await readAll(await open())).toHaveLength(21);
    } finally {
      for (const one of processes) await one.stop();
    }
  });

  test("needs no right to create tables if they exist", async () => {
    await (await open()).append(change("u1"));
    const name = `reader_${new URL(database.url).pathname.slice(1)}`;
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
    try {
      await database.query(`REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
      await database.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${name}`);
      const url = Object.assign(new URL(database.url), { username: name, password: "secret" }).href;
      const store = await open(url);
      expect((await store.append(change("u2"))).outcome).toBe("appended");
      expect(inShort(await readAll(store))).toEqual(["u1 1", "u2 1"]);
      await store.close();
    } finally {
      await database.query(`DROP OWNED BY ${name}`);
      await database.query(`DROP ROLE ${name}`);
    }
  });

  test("uses the schema that the address names", async () => {
    await database.query("CREATE SCHEMA apart");
    await (await open(`${database.url}?options=-c%20search_path%3Dapart`)).append(change("u1"));
    expect(await database.query("SELECT id FROM apart.events")).toEqual([{ id: "u1" }]);
    expect(await readAll(await open())).toEqual([]);
  });

  test("uses only the first schema of the search path, and leaves stores in later ones unchanged", async () => {
    const inPublic = await open();
    await inPublic.append(change("u1"));
    await database.query('CREATE SCHEMA "Staging, ""2"""');
    const search = encodeURIComponent('-c search_path="Staging,\\ ""2""",public');
    const staging = await open(`${database.url}?options=${search}`);
    expect(await readAll(staging)).toEqual([]);
    await staging.append(change("u2"));
    expect(inShort(await readAll(staging))).toEqual(["u2 1"]);
    expect(inShort(await readAll(inPublic))).toEqual(["u1 1"]);
    expect(await database.query(`SELECT id FROM "Staging, ""2""".streams`)).toEqual([{ id: "u2" }]);
  });

  test("ignores tables of another program in a later schema of the search path", async () => {
    await database.query("CREATE TABLE events (id bigint); CREATE SCHEMA apart");
    const store = await open(`${database.url}?options=-c%20search_path%3Dapart%2Cpublic`);
    await store.append(change("u1"));
    expect(inShort(await readAll(store))).toEqual(["u1 1"]);
    expect(await database.query("SELECT id FROM public.events")).toEqual([]);
  });

  test("keeps its schema if another one is created before it in the search path", async () => {
    const url = `${database.url}?options=-c%20search_path%3Dlater%2Cpublic`;
    const store = await open(url);
    await database.query("CREATE SCHEMA later");
    await store.append(change("u1"));
    expect(inShort(await readAll(store))).toEqual(["u1 1"]);
  });
});

test("a schema migration runs without a statement timeout", async () => {
  await database.query(`
    CREATE TABLE timeouts (bound text);
    CREATE FUNCTION note_timeout() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO timeouts VALUES (current_setting('statement_timeout')); END
    $$;
    CREATE EVENT TRIGGER note_timeout ON ddl_command_start EXECUTE FUNCTION note_timeout()`);
  await open();
  expect(await database.query("SELECT DISTINCT bound FROM timeouts")).toEqual([{ bound: "0" }]);
});

describe("a store that must already exist", () => {
  const openThere = (instance = "default") => openPostgresStore(database.url, instance, { mustBeThere: true });

  test("is refused if it does not exist, and nothing is created", async () => {
    await expect(openThere()).rejects.toThrow(/^There is no store at postgres:.*USERLOCK_STORE\.$/);
    const made = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    expect(await database.query(made)).toEqual([]);
  });

  test("is refused if it has another instance only, and nothing is written", async () => {
    await open();
    await expect(openThere("other")).rejects.toThrow(StoreRefused);
    expect(await database.query("SELECT instance FROM instances")).toEqual([{ instance: "default" }]);
  });
});

describe("a database that is not a store is refused", () => {
  test("if the search path has no existing schema", async () => {
    await expectRefused(`${database.url}?options=-c%20search_path%3Dnowhere`, /no schema.*search_path.*\.$/);
  });

  test("if a newer userlock has written it", async () => {
    await (await open()).close();
    await database.query("UPDATE userlock_schema SET version = 1000");
    await expectRefused(database.url, /version 1000.*newer userlock.*\.$/);
  });

  test("if another program uses it", async () => {
    await database.query("CREATE TABLE events (id bigint)");
    await expectRefused(database.url, /another program.*\.$/);
    expect(await database.query("SELECT to_regclass('userlock_schema') AS made")).toEqual([{ made: null }]);
  });

  test("if its encoding is not UTF8", async () => {
    const latin = await newDatabase("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    try {
      await expectRefused(latin.url, /encoding LATIN1.*UTF8.*\.$/);
    } finally {
      await latin.drop();
    }
  });

  test("if it does not exist or the password is wrong", async () => {
    const address = (change: Partial<URL>) => Object.assign(new URL(database.url), change).href;
    await expectRefused(address({ pathname: "/nothing" }), /nothing.*cannot be used as a store.*does not exist/);
    await expectRefused(address({ password: "wrong-password" }), /cannot be used as a store.*password authentication/);
  });

  test("if its server does not answer within a few seconds", async () => {
    await expectRefused(
      "postgres://ann:the-password@127.0.0.1:1/userlock",
      /127\.0\.0\.1:1\/userlock cannot be reached/,
    );
  });

  test("if it is read-only", async () => {
    const { pathname } = new URL(database.url);
    await database.query(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = on`);
    await expectRefused(database.url, /read-only/);
  });
});

describe("the PostgreSQL schema", () => {
  const RELATIONS = `
    SELECT c.relname AS index, i.indpred IS NULL AND NOT i.indisprimary AS is_open_to_all, (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1) AS first
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace`;

  test("has the instance first in every key and index", async () => {
    await open();
    const indexes = await database.query<{ first: string }>(RELATIONS);
    expect(indexes.length).toBeGreaterThan(10);
    expect(indexes.filter(({ first }) => first !== "instance")).toEqual([]);
  });

  test("lets no index but the primary key serve a look-up by key, whenever the plan was made", async () => {
    await open();
    const indexes = await database.query<{ is_open_to_all: boolean }>(RELATIONS);
    expect(indexes.filter((index) => index.is_open_to_all)).toEqual([]);
  });

  test.each([
    ["email", { field: "state.email.address", is: "u7@example.com" }, []],
    ["lock_until", { field: "state.lock.until", atMost: NOW }, [{ field: "state.lock.until" }]],
    [
      "subject",
      {
        all: [
          { field: "state.revoked", is: false },
          { field: "state.subject", is: "s7" },
        ],
      },
      [],
    ],
    ["user_id", { field: "state.userId", is: "u7" }, []],
    ["created", { not: { field: "owner.type", is: "system" } }, [{ field: "created" }]],
  ] as const)("serves a search by %s from its index", async (name, where, keys) => {
    const store = await open();
    const state = (index: number) => ({
      email: { address: `u${index}@example.com` },
      ...(index % 100 === 0 && { lock: { until: NOW + index } }),
      subject: `s${index}`,
      userId: `u${index}`,
      revoked: false,
    });
    await Promise.all(
      Array.from({ length: 3_000 }, (_, index) => store.append(change(`u${index}`, { state: state(index) }))),
    );
    await database.query("ANALYZE");
    const order = { keys, descending: false };
    const { text, values } = searchStatement("default", { kind: "user", where, order, offset: 0, limit: 10 });
    const plan = await query<Record<string, string>>(database.url, `EXPLAIN ${text}`, values);
    expect(plan.map((line) => line["QUERY PLAN"]).join("\n")).toMatch(`streams_by_${name}`);
  });
});

test.each([
  ["id", [], [], "streams_pkey"],
  ["created", [{ field: "created" }], [NOW], "streams_by_created"],
] as const)("begins a page after a place by %s in its index", async (_, keys, values, index) => {
  const store = await open();
  await Promise.all(Array.from({ length: 3_000 }, (_, n) => store.append(change(`u${n}`, { time: NOW + n }))));
  await database.query("ANALYZE");
  for (const descending of [false, true]) {
    const page = { kind: "user", where: { all: [] }, offset: 0, limit: 10, total: false } as const;
    const statement = searchStatement("default", { ...page, order: { keys, descending }, after: { values, id: "u7" } });
    const rows = await query<Record<string, string>>(database.url, `EXPLAIN ${statement.text}`, statement.values);
    const plan = rows.map((line) => line["QUERY PLAN"]).join("\n");
    expect(plan).toMatch(new RegExp(`using ${index}[^]*Index Cond:.*${_} [<>]`));
    expect(plan).not.toMatch(/Seq Scan/);
  }
});

test("updates no index of streams when a change touches no indexed field", async () => {
  const store = await open();
  const state = (locks: number) => ({ email: { address: "änne@example.com" }, locks });
  for (let version = 0; version < 50; version++) {
    await store.append(change("u1", { expectedVersion: version, state: state(version) }));
  }
  const counts =
    "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS bare FROM pg_stat_user_tables WHERE relname = 'streams'";
  let updates = { all: 0, bare: 0 };
  await until(async () => {
    [updates] = (await database.query(counts)) as [typeof updates];
    return updates.all === 49;
  });
  expect(updates.bare).toBe(updates.all);
});

describe("a store that was empty when it was opened", () => {
  /** Rows read from all tables so far. A connection reports its count when it closes. */
  async function rowsRead(): Promise<number> {
    const open = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'userlock'";
    await until(async () => (await database.query(open)).length === 0);
    const [{ read } = { read: 0 }] = await database.query<{ read: number }>(
      "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS read FROM pg_stat_user_tables",
    );
    return read;
  }

  const many = (count: number, name: string, more: (id: string) => Partial<Append>) =>
    Array.from({ length: count }, (_, n) => change(`${name} ${n}`, more(`${name} ${n}`)));
  const full = (id: string): Partial<Append> => ({
    state: { subject: id, userId: id },
    claims: { add: [`name:${id}`], remove: [] },
    receipt: receipt(id),
  });

  test.each<[what: string, use: (store: EventStore, id: string) => Promise<unknown>]>([
    ["a stream by its id", (store, id) => store.load("user", id)],
    [
      "a stream by its claim",
      (store, id) => store.loadByClaimWith(`name:${id}`, { kind: "user", field: "state.userId" }),
    ],
    ["a receipt", (store, id) => store.loadReceipt(id, NOW)],
    ["the next page of the log", async (store) => store.read({ from: await store.head(), limit: 10 })],
    [
      "a required stream",
      (store, id) => store.append(change("none", { requires: [{ kind: "user", id, version: 9 }] })),
    ],
    [
      "a stream that must be absent",
      (store, id) => store.append(change("none", { absent: { kind: "user", subject: id } })),
    ],
    ["the holder of a claim", (store, id) => store.append(claiming("none", [`name:${id}`]))],
    [
      "a changed stream",
      (store, id) => store.append({ ...change(id, { expectedVersion: 1 }), ...full(`${id} again`) }),
    ],
  ])("finds %s by an index after it has grown, with the plans from when it was empty", async (_, use) => {
    const [early, other] = [await open(), await open()];
    await Promise.all(many(3, "few", full).map(other.append));
    // The planner learns that each table fits on one page, so a full scan seems cheapest.
    await database.query("VACUUM ANALYZE");
    // One by one, so that each connection is used, and often enough that its plans are cached.
    for (let n = 0; n < 40; n++) await use(early, `few ${n % 3}`);
    await Promise.all(many(2_000, "many", full).map(other.append));
    for (let n = 0; n < 40; n++) await use(early, `many ${n}`);
    for (const store of [other, early]) await store.close();
    expect(await rowsRead()).toBeLessThan(1_500);
  });
});
