import type { ClientBase } from "pg";
import { pendingSteps } from "../migrate.ts";
import { StoreRefused } from "../port.ts";
import { STEPS } from "./steps.ts";

/** The oldest major version of the server on which all of this runs. */
const OLDEST_SERVER = 14;
/** Upper and lower case as in JavaScript. */
export const ICU = '"und-x-icu"';
/** Lock under which schemas are brought up to date: "userlock" in ASCII. */
const MIGRATION_LOCK = "8463501140578558827";
/** How long a start waits for the other processes that start, milliseconds. */
const START_TIMEOUT_MS = 60_000;

/**
 * Brings the tables in the first schema of the search path to the newest version, and finds where the log of the
 * instance goes on: in one transaction, one process after another. Resolves with the schema, quoted; with undefined,
 * and nothing changed, if the store must be there and is not. Throws StoreRefused if it cannot be done here.
 */
export async function migrate(client: ClientBase, instance: string, mustBeThere: boolean): Promise<string | undefined> {
  const giveUp = async () => {
    await client.query("ROLLBACK");
    return undefined;
  };
  await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
  try {
    await client.query(
      `SET LOCAL lock_timeout = ${START_TIMEOUT_MS}; SET LOCAL statement_timeout = ${START_TIMEOUT_MS}`,
    );
    await client.query("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    // Its turn has come: what a step takes depends on how much there is.
    await client.query("SET LOCAL statement_timeout = 0");
    await expectFit(client);
    const schema = await enterSchema(client);
    const version = await versionOf(client);
    if (version === 0 && mustBeThere) return await giveUp();
    const steps = pendingSteps(STEPS, version);
    if (version === 0) await client.query("CREATE TABLE IF NOT EXISTS userlock_schema (version integer NOT NULL)");
    for (const step of steps) await client.query(step);
    if (steps.length > 0) {
      await client.query("DELETE FROM userlock_schema");
      await client.query("INSERT INTO userlock_schema (version) VALUES ($1)", [STEPS.length]);
    }
    const isNew = await addInstance(client, instance);
    if (isNew && mustBeThere) return await giveUp();
    await goOnWithLog(client, instance);
    await client.query("COMMIT");
    return schema;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
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
      `The database has the encoding ${encoding}: make one with UTF8 (createdb -T template0 -E UTF8).`,
    );
  }
  if (!has_icu) throw new StoreRefused("The server was built without ICU, which userlock needs to compare names.");
}

/** From here on names are looked up in the first schema alone: tables of the others are other programs' or stores'. */
async function enterSchema(client: ClientBase): Promise<string> {
  const { rows } = await client.query(
    "SELECT set_config('search_path', quote_ident(current_schema()), true) AS schema WHERE current_schema() IS NOT NULL",
  );
  if (rows.length > 0) return rows[0].schema;
  throw new StoreRefused("The database has no schema of those in the search_path: make one, or name another one.");
}

/** The version of the tables, 0 if there are none. */
async function versionOf(client: ClientBase): Promise<number> {
  const { rows: found } = await client.query(
    "SELECT to_regclass('userlock_schema') IS NOT NULL AS ours, to_regclass('events') IS NOT NULL AS anothers",
  );
  if (found[0].ours) return (await client.query("SELECT version FROM userlock_schema")).rows[0]?.version ?? 0;
  if (!found[0].anothers) return 0;
  throw new StoreRefused("The database has tables of another program: name another database, or another search_path.");
}

/** Whether the instance was not there. */
async function addInstance(client: ClientBase, instance: string): Promise<boolean> {
  const { rowCount } = await client.query(
    "INSERT INTO log_offsets (instance, ahead) VALUES ($1, 0) ON CONFLICT DO NOTHING",
    [instance],
  );
  return rowCount === 1;
}

/**
 * Transaction ids order the log. In a database that was restored from a dump they may begin anew, below those of its
 * events: from then on they are counted on from the last event.
 */
async function goOnWithLog(client: ClientBase, instance: string): Promise<void> {
  await client.query(
    `UPDATE log_offsets SET ahead = last.tx + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    FROM (SELECT max(tx) AS tx FROM events WHERE instance = $1 AND position > 0) AS last
    WHERE instance = $1 AND last.tx >= ahead + pg_snapshot_xmax(pg_current_snapshot())::text::bigint`,
    [instance],
  );
}
