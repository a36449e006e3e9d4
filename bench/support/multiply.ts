import { DatabaseSync } from "node:sqlite";
import { readConfig } from "../../src/config.ts";
import { type UserCommand, user } from "../../src/domain/user.ts";
import { createLogger } from "../../src/log.ts";
import { start } from "../../src/server.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { appendAll, toAppend } from "./appends.ts";
import { settingsOf } from "./server.ts";
import { idOf } from "./users.ts";

/** Everybody's log begins like this, and ends without a lock. */
const STORY: UserCommand[] = [
  { type: "patch", profile: { email: { address: `${idOf(0)}@example.com`, verified: true } } },
  ...Array.from({ length: 4 }, (): UserCommand[] => [
    { type: "lock", reason: "bench", note: "" },
    { type: "unlock" },
  ]).flat(),
];

/**
 * Makes an SQLite file with so many users, each with so many events (10 at most). The first one's are made by the
 * store, and those of the others are copies with their ids, made by SQL, which takes a fraction of the time.
 */
export async function makeStore(file: string, { users, events }: { users: number; events: number }): Promise<void> {
  // It makes the schema, and the first token of an empty store.
  await (await start(readConfig(settingsOf(`sqlite:${file}`)), createLogger("silent"))).close();
  const store = await openSqliteStore(file, "default");
  let before = undefined as Awaited<ReturnType<typeof store.load>>;
  const create: UserCommand = {
    type: "create",
    id: idOf(0),
    owner: { type: "instance", id: "default" },
    profile: {},
    usernames: [],
  };
  for (const command of [create, ...STORY].slice(0, events)) {
    [before] = (await appendAll(store, [toAppend(idOf(0), before, command)])).records;
  }
  await store.close();

  copyFirst(file, users, events);
}

/** Columns that say where an event stands in the log. */
const POSITIONS = ["position", "previous", "last_event"];

/** Each copy is the first user's rows with another id, and with events that stand as many places further on. */
function copyFirst(file: string, users: number, events: number): void {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN");
  for (const table of ["events", "streams"]) {
    const columns = database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all() as { name: string }[];
    const copies = columns.map(({ name }) =>
      POSITIONS.includes(name)
        ? `${name} + n * ${events}`
        : `iif(typeof(${name}) = 'text', replace(${name}, $first, new), ${name})`,
    );
    database
      .prepare(`
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $last),
          ids (n, new) AS MATERIALIZED (SELECT n, printf('user-%07d', n) FROM numbers),
          of_first AS MATERIALIZED (SELECT * FROM ${table} WHERE kind = $kind AND id = $first)
        INSERT INTO ${table} (${columns.map(({ name }) => name)})
        SELECT ${copies} FROM ids CROSS JOIN of_first`)
      .run({ $first: idOf(0), $last: users - 1, $kind: user.kind });
  }
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}
