// Proves that the PostgreSQL store does what Citus needs, on a server without Citus. Every statement reaches one
// instance, and the schema distributes itself by instance.
import { jest } from "@jest/globals";
import { Client } from "pg";
import type { EventStore } from "../../src/store/port.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import type { Filter } from "../../src/store/query.ts";
import { change, claiming, NOW, outcomesOf, receipt } from "../support/stores/appends.ts";
import { type Database, newDatabase } from "../support/stores/postgres.ts";

const TABLES = ["instances", "events", "streams", "claims", "receipts"];

interface Sent {
  text: string;
  values: unknown[];
}

let database: Database;
let sent: Sent[];

beforeEach(async () => {
  database = await newDatabase();
  sent = [];
  const { query } = Client.prototype;
  jest.spyOn(Client.prototype, "query").mockImplementation(function (this: Client, ...parameters: unknown[]) {
    const [statement, values] = parameters as [string | Sent, unknown[] | undefined];
    sent.push(typeof statement === "string" ? { text: statement, values: values ?? [] } : statement);
    return Reflect.apply(query, this, parameters);
  });
});

afterEach(async () => {
  jest.restoreAllMocks();
  await database.drop();
});

/** Calls every method of the store, in each form that has its own statements. */
async function useAll(store: EventStore): Promise<void> {
  const stop = store.onAppend(() => {});
  await store.append({ ...claiming("u1", ["name:a", "name:b"]), receipt: receipt("one") });
  await outcomesOf([
    store.append({ ...claiming("u1", ["name:c"], ["name:a"], 1), receipt: receipt("two"), now: NOW + 90_000_000 }),
    store.append(change("u2", { requires: [{ kind: "user", id: "u1", version: 1 }] })),
    store.append(change("u3", { absent: { kind: "token", subject: "nobody" } })),
    store.append(claiming("u4", ["name:b"])),
  ]);
  await store.load("user", "u1");
  await store.loadByClaim("name:b");
  await store.loadByClaimWith("name:b", { kind: "user", field: "state.userId" });
  await store.loadReceipt("one", NOW);
  await store.keep(receipt("three"), NOW);
  await store.check();
  await store.head();
  const filters = [
    undefined,
    { userIds: ["u1", "u2"] },
    { organizations: ["acme"], types: ["user.created"] },
    { actor: "operator", since: 1, before: NOW * 2 },
    { userIds: ["u1"], organizations: ["acme"], actor: "operator", ownerTypes: ["org" as const] },
  ];
  for (const where of filters) {
    for (const descending of [false, true]) {
      const { cursor: from } = await store.read({ limit: 1, descending, ...(where && { where }) });
      await store.read({ from, limit: 100, descending, ...(where && { where }) });
    }
  }
  const searches: Filter[] = [
    { all: [] },
    { field: "state.email.address", is: "a@example.com" },
    { field: "state.email.address", text: "contains_ignore_case", value: "Ä" },
    { field: "state.lock.until", atMost: NOW },
    { any: [{ rare: { field: "id", is: "u1" } }, { claim: "name:", contains: "b" }] },
    { not: { some: "state.usernames", where: { field: "element.name", is: "ann" } } },
  ];
  for (const where of searches) {
    const order = { keys: [{ field: "created" }], descending: false };
    await store.search({ kind: "user", where, order, offset: 0, limit: 10 });
    await store.search({ kind: "user", where, order, offset: 0, limit: 10, total: false }, { isLookUp: true });
  }
  await store.count({
    kind: "user",
    where: { any: searches },
    tests: searches,
    part: { where: { all: [] }, tests: searches, top: { field: "state.lock.reason", limit: 3 } },
  });
  stop();
}

type Plan = { Plans?: Plan[] } & Record<string, unknown>;

/** The scans of userlock's tables in a plan, each with its table and the conditions on its rows. */
function scansOf(plan: Plan): { table: string; condition: string }[] {
  const own = TABLES.includes(plan["Relation Name"] as string) && String(plan["Node Type"]).endsWith("Scan");
  const condition = [plan["Index Cond"], plan["Recheck Cond"], plan.Filter, plan["One-Time Filter"]].join(" ");
  return [
    ...(own ? [{ table: plan["Relation Name"] as string, condition }] : []),
    ...(plan.Plans ?? []).flatMap(scansOf),
  ];
}

/** Runs work on its own connection, and rolls it back. */
async function undone<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query("BEGIN");
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The plans of the statements inside the append function during a call. */
async function plansWithin({ text, values }: Sent): Promise<{ text: string; plan: Plan }[]> {
  return undone(async (client) => {
    const settings = { log_min_duration: "0", log_nested_statements: "on", log_format: "json", log_level: "notice" };
    await client.query("LOAD 'auto_explain'");
    // Without the present rows, the append is decided and written as if it were new.
    for (const table of ["receipts", "claims", "events", "streams"]) await client.query(`DELETE FROM ${table}`);
    for (const [name, value] of Object.entries(settings)) await client.query(`SET auto_explain.${name} = ${value}`);
    const plans: { text: string; plan: Plan }[] = [];
    client.on("notice", ({ message = "" }) => {
      const { "Query Text": query, Plan: plan } = JSON.parse(message.slice(message.indexOf("{")));
      plans.push({ text: query, plan });
    });
    await client.query(text, values);
    return plans;
  });
}

describe("every statement of the store", () => {
  let statements: Sent[];

  beforeEach(async () => {
    const store = await openPostgresStore(database.url, "default");
    sent = [];
    await useAll(store);
    await store.close();
    const isOurs = ({ text }: Sent) => TABLES.some((table) => text.includes(table)) || text.includes("userlock_append");
    statements = sent.filter(isOurs);
    sent = [];
  });

  test("has its instance as a parameter, and finds the rows of each table by it", async () => {
    expect(statements.length).toBeGreaterThan(30);
    const scanned = new Set<string>();
    await undone(async (client) => {
      for (const { text, values } of statements) {
        expect(text).toMatch(/\$1\b/);
        expect(values[0]).toBe("default");
        const { rows } = await client.query(`EXPLAIN (FORMAT JSON) ${text}`, values);
        for (const { table, condition } of scansOf(rows[0]["QUERY PLAN"][0].Plan)) {
          expect({ text, condition }).toEqual({ text, condition: expect.stringMatching(/\binstance = /) });
          scanned.add(table);
        }
      }
    });
    expect([...scanned].sort()).toEqual(["claims", "events", "receipts", "streams"]);
  });

  test("inside the append function finds the rows of each table by the instance", async () => {
    const calls = statements.filter(({ text }) => text.includes("userlock_append"));
    expect(calls.length).toBeGreaterThan(1);
    const scanned = new Set<string>();
    for (const call of calls) {
      for (const { text, plan } of await plansWithin(call)) {
        for (const { table, condition } of scansOf(plan)) {
          expect({ text, condition }).toEqual({ text, condition: expect.stringMatching(/\binstance = /) });
          scanned.add(table);
        }
        if (plan.Operation === "Insert")
          expect(text).toMatch(/^INSERT INTO [a-z]+ \(instance, [^)]*\)\s+SELECT (DISTINCT )?of_instance, /);
      }
    }
    expect([...scanned].sort()).toEqual([...TABLES].sort());
  });

  test("deletes by key, counts no rows of an upsert, and uses no ctid", async () => {
    const [{ body } = { body: "" }] = await database.query<{ body: string }>(
      "SELECT prosrc AS body FROM pg_proc WHERE proname = 'userlock_append'",
    );
    for (const text of [body, ...statements.map((statement) => statement.text)]) {
      expect(text).not.toMatch(/\bctid\b|ROW_COUNT/i);
      // An upsert may overwrite. Only an upsert of given values has a condition, on its own row.
      const upserts = text.match(/INSERT INTO[^;]*ON CONFLICT[^;]*/g) ?? [];
      for (const upsert of upserts) expect(upsert).not.toMatch(/SELECT[^;]*DO UPDATE SET[^;]*WHERE/);
      for (const removal of text.match(/DELETE FROM[^;]*/g) ?? []) {
        expect(removal).toMatch(
          /^DELETE FROM [a-z]+ [a-z] WHERE [a-z]\.instance = of_instance AND [a-z]\.(name|key) = /,
        );
      }
    }
  });

  test("is planned with the values of its parameters, so that Citus can route it", async () => {
    const store = await openPostgresStore(database.url, "default");
    await store.load("user", "u1");
    await store.close();
    expect(JSON.stringify(sent)).not.toContain("plan_cache_mode");
  });
});

test("every function sets its own search_path, because Citus workers ignore the session's", async () => {
  await database.query('CREATE SCHEMA "Own, one"');
  const url = `${database.url}?options=${encodeURIComponent('-c search_path="Own,\\ one",public')}`;
  const store = await openPostgresStore(url, "default");
  await store.close();
  const functions = await database.query<{ settings: string[] | null }>(
    `SELECT proconfig AS settings FROM pg_proc WHERE pronamespace = '"Own, one"'::regnamespace`,
  );
  expect(functions.length).toBeGreaterThan(0);
  for (const { settings } of functions) expect(settings).toContain('search_path="Own, one"');
});

describe("a database with the citus extension", () => {
  /** A substitute for the extension, whose functions record their arguments. */
  async function pretendCitus(): Promise<void> {
    await database.query("CREATE TABLE public.calls (n serial, call text)");
    for (const [name, parameters] of [
      ["create_reference_table", "of regclass"],
      ["create_distributed_table", "of regclass, by text, colocate_with text"],
      ["create_distributed_function", "of regprocedure, by text, colocate_with text"],
    ] as const) {
      const given = parameters.includes("by") ? "format('%s by %s, %s', of, by, colocate_with)" : "of::text";
      await database.query(`
        CREATE FUNCTION ${name}(${parameters}) RETURNS void LANGUAGE sql AS $$
          INSERT INTO calls (call) SELECT '${name}: ' || ${given} || ' ('
            || current_setting('citus.multi_shard_modify_mode') || ')' $$`);
    }
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query("SET allow_system_table_mods = on");
    await client.query(`
      INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
      VALUES (99999, 'citus', 10, 'public'::regnamespace, false, '0')`);
    await client.end();
  }
  const calls = async () =>
    (await database.query<{ call: string }>("SELECT call FROM calls ORDER BY n")).map(({ call }) => call);

  test("gets its tables distributed by instance, colocated, at the first start only", async () => {
    await pretendCitus();
    for (let start = 0; start < 2; start++) await (await openPostgresStore(database.url, "default")).close();
    expect(await calls()).toEqual([
      "create_reference_table: userlock_schema (sequential)",
      "create_distributed_table: instances by instance, none (sequential)",
      ...["events", "streams", "claims", "receipts"].map(
        (table) => `create_distributed_table: ${table} by instance, instances (sequential)`,
      ),
      "create_distributed_function: userlock_append(text,json) by of_instance, instances (sequential)",
    ]);
  });

  test("gets one statement in each query at a start", async () => {
    await pretendCitus();
    sent = [];
    await (await openPostgresStore(database.url, "default")).close();
    const created = sent.filter(({ text }) => /^\s*(--.*\s+)*CREATE/.test(text));
    expect(created.length).toBeGreaterThan(15);
    for (const { text } of sent) {
      const statement = text
        .replace(/\$function\$[\s\S]*\$function\$/, "")
        .replace(/--.*/g, "")
        .trim();
      expect(statement.replace(/;$/, "")).not.toContain(";");
    }
  });
});

test("a database without the citus extension is not distributed", async () => {
  await (await openPostgresStore(database.url, "default")).close();
  expect(sent.filter(({ text }) => /create_distributed|create_reference|citus\./.test(text))).toEqual([]);
});
