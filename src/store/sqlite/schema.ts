import { readFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { INDEXED_FIELDS } from "../indexed-fields.ts";
import { pendingSteps, type SchemaStep } from "../migrate.ts";
import { StoreRefused } from "../port.ts";

/** Marks a file as userlock's: "ulck" (https://www.sqlite.org/pragma.html#pragma_application_id). */
const APPLICATION_ID = 0x756c636b;

/** All steps, from an empty file to the newest schema. */
const STEPS: readonly SchemaStep[] = [firstStep()];

/**
 * Upgrades the file to the newest schema in one transaction, so that processes that start together wait for each other.
 * Throws StoreRefused if the file belongs to another program or a newer userlock.
 */
export function migrate(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = numberOf(database, "PRAGMA user_version");
    const isNew = version === 0 && numberOf(database, "SELECT count(*) FROM sqlite_schema") === 0;
    if (!isNew && numberOf(database, "PRAGMA application_id") !== APPLICATION_ID) {
      throw new StoreRefused("The file is an SQLite database of another program. Use another file.");
    }
    const steps = pendingSteps(STEPS, version);
    for (const step of steps) database.exec(step);
    if (steps.length > 0) {
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${STEPS.length}`);
    }
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/** The single number that the statement returns. */
function numberOf(database: DatabaseSync, sql: string): number {
  return Number(Object.values(database.prepare(sql).get() ?? {})[0]);
}

/** The tables and indexes: schema.sql, with the columns of INDEXED_FIELDS. */
function firstStep(): SchemaStep {
  const variables: Record<string, string> = {
    // Of any type. Searches do not match values of other types, but they sort as in the state.
    field_definitions: INDEXED_FIELDS.map(({ column }) => `${column} ANY`).join(",\n  "),
    field_indexes: INDEXED_FIELDS.map(indexOf).join("\n"),
  };
  const sql = readFileSync(new URL("schema.sql", import.meta.url), "utf8");
  return sql.replace(/^( *):([a-z_]+)/gm, (_, indent, name) => indent + variables[name]);
}

function indexOf({ column, order, isSortKey }: (typeof INDEXED_FIELDS)[number]): string {
  const columns = ["instance", "kind", column, ...order];
  // A sort by the field includes streams without it.
  const where = isSortKey ? "" : ` WHERE ${column} IS NOT NULL`;
  return `CREATE INDEX streams_by_${column} ON streams (${columns.join(", ")})${where};`;
}
