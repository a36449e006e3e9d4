import { readFileSync } from "node:fs";
import type { ClientBase } from "pg";
import { INDEXED_FIELDS } from "../indexed-fields.ts";
import { pendingSteps, type SchemaStep } from "../migrate.ts";
import { StoreRefused } from "../port.ts";

/** The oldest supported major version of the server. */
const OLDEST_SERVER = 14;
/** A collation with the case mappings of JavaScript. */
export const ICU = '"und-x-icu"';
/** All steps, from an empty database to the newest schema. */
export const STEPS: readonly SchemaStep[] = [firstStep()];
/** With Citus, all rows of an instance are on one node. */
const DISTRIBUTE = [
  // Every node can read it.
  "SELECT create_reference_table('userlock_schema')",
  "SELECT create_distributed_table('instances', 'instance', colocate_with => 'none')",
  ...["events", "streams", "claims", "receipts"].map(
    (table) => `SELECT create_distributed_table('${table}', 'instance', colocate_with => 'instances')`,
  ),
  "SELECT create_distributed_function('userlock_append(text, json)', 'of_instance', colocate_with => 'instances')",
];
/** The advisory lock of schema upgrades: "userlock" in ASCII. */
const MIGRATION_LOCK = "8463501140578558827";
/** How long a start waits for other processes that start, milliseconds. */
const START_TIMEOUT_MS = 60_000;

/**
 * Upgrades the tables in the first schema of the search path and adds the instance, in one transaction, one process at
 * a time. Resolves with the quoted schema, or with undefined and no change if the store must exist and does not. Throws
 * StoreRefused if it cannot be done.
 */
export async function migrate(client: ClientBase, instance: string, mustBeThere: boolean): Promise<string | undefined> {
  const giveUp = async () => {
    await client.query("ROLLBACK");
    return undefined;
  };
  await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
  try {
    await client.query(`SET LOCAL lock_timeout = ${START_TIMEOUT_MS}`);
    await client.query(`SET LOCAL statement_timeout = ${START_TIMEOUT_MS}`);
    await client.query("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    // This process has the lock. A step may take long on a large store.
    await client.query("SET LOCAL statement_timeout = 0");
    await expectFit(client);
    const schema = await enterSchema(client);
    const version = await versionOf(client);
    if (version === 0 && mustBeThere) return await giveUp();
    const steps = pendingSteps(STEPS, version);
    if (steps.length > 0) await upgrade(client, version, steps);
    const isNew = await addInstance(client, instance);
    if (isNew && mustBeThere) return await giveUp();
    await client.query("COMMIT");
    return schema;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Statements are sent one by one, as Citus requires. */
async function upgrade(client: ClientBase, version: number, steps: readonly SchemaStep[]): Promise<void> {
  const { rowCount: citus } = await client.query("SELECT FROM pg_extension WHERE extname = 'citus'");
  // Makes Citus use one connection per worker, as a transaction that changes dependent tables requires.
  if (citus) await client.query("SET LOCAL citus.multi_shard_modify_mode = 'sequential'");
  if (version === 0) await client.query("CREATE TABLE IF NOT EXISTS userlock_schema (version integer NOT NULL)");
  for (const step of steps) for (const statement of statementsOf(step)) await client.query(statement);
  if (citus && version === 0) for (const statement of DISTRIBUTE) await client.query(statement);
  await client.query("DELETE FROM userlock_schema");
  await client.query("INSERT INTO userlock_schema (version) VALUES ($1)", [STEPS.length]);
}

async function expectFit(client: ClientBase): Promise<void> {
  const { rows } = await client.query(
    `SELECT current_setting('server_version_num')::int / 10000 AS server, current_setting('server_encoding') AS encoding,
      EXISTS (SELECT FROM pg_collation WHERE collname = $1) AS has_icu`,
    [ICU.replaceAll('"', "")],
  );
  const { server, encoding, has_icu } = rows[0];
  if (server < OLDEST_SERVER) {
    throw new StoreRefused(`The server is PostgreSQL ${server}: userlock needs ${OLDEST_SERVER} or newer.`);
  }
  if (encoding !== "UTF8") {
    throw new StoreRefused(
      `The database has the encoding ${encoding}. Create one with UTF8 (createdb -T template0 -E UTF8).`,
    );
  }
  if (!has_icu) throw new StoreRefused("The server was built without ICU, which userlock needs to compare names.");
}

/** From here on names are looked up only in the first schema. Tables in others belong to other programs or stores. */
async function enterSchema(client: ClientBase): Promise<string> {
  const { rows } = await client.query(
    "SELECT set_config('search_path', quote_ident(current_schema()), true) AS schema WHERE current_schema() IS NOT NULL",
  );
  if (rows.length > 0) return rows[0].schema;
  throw new StoreRefused("The database has no schema of the search_path. Create one, or set another search_path.");
}

/** The version of the tables; 0 before the first start. */
async function versionOf(client: ClientBase): Promise<number> {
  const { rows: found } = await client.query(
    "SELECT to_regclass('userlock_schema') IS NOT NULL AS ours, to_regclass('events') IS NOT NULL AS anothers",
  );
  if (found[0].ours) return (await client.query("SELECT version FROM userlock_schema")).rows[0]?.version ?? 0;
  if (!found[0].anothers) return 0;
  throw new StoreRefused("The database has tables of another program. Use another database or search_path.");
}

/** Adds the instance. Resolves with whether it was new. */
async function addInstance(client: ClientBase, instance: string): Promise<boolean> {
  const { rowCount } = await client.query("INSERT INTO instances (instance) VALUES ($1) ON CONFLICT DO NOTHING", [
    instance,
  ]);
  return rowCount === 1;
}

/** The tables and indexes: schema.sql, with the columns of INDEXED_FIELDS. */
function firstStep(): SchemaStep {
  const types = { text: 'text COLLATE "C"', number: "float8" };
  const eachField = (text: (column: string, type: string) => string, separator = ", ") =>
    INDEXED_FIELDS.map(({ column, type }) => text(column, types[type])).join(separator);
  const variables: Record<string, string> = {
    field_definitions: eachField((column, type) => `${column} ${type}`),
    fields: eachField((column) => column),
    row_fields: eachField((column) => `r.${column}`),
    new_fields: eachField((column) => `${column} = excluded.${column}`),
  };
  const sql = readFileSync(new URL("schema.sql", import.meta.url), "utf8");
  const indexes = eachField(
    (column) =>
      `CREATE INDEX streams_by_${column} ON streams (instance, kind, ${column}) WHERE ${column} IS NOT NULL;\n`,
    "",
  );
  return sql.replace(/(?<!:):([a-z_]+)/g, (_, name) => variables[name] ?? "") + indexes;
}

/** The statements of a step, without comments between them. */
function statementsOf(step: SchemaStep): string[] {
  return step.match(/(?:--.*|\$function\$[\s\S]*?\$function\$|[^;])+;/g) ?? [];
}
