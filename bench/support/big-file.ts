import { DatabaseSync } from "node:sqlite";
import { headers, startBenchServer, usersOn } from "./server.ts";
import { idOf } from "./users.ts";

/**
 * Makes an SQLite file with `users` users, each with `events` events (10 at most), as the checkout's code writes them.
 * A server makes the first user. SQL copies that user under other ids, in a fraction of the time.
 */
export async function makeBigFile(
  file: string,
  { checkout, users, events }: { checkout: string; users: number; events: number },
): Promise<void> {
  const server = await startBenchServer({ checkout, store: `sqlite:${file}` });
  const client = usersOn(server);
  const id = idOf(0);
  const email = { address: `${id}@example.com`, verification: { case: "isVerified", value: true } } as const;
  // Each user's log begins like this, and ends without a lock.
  const story = [
    () => client.createUser({ user: { userId: id } }, { headers }),
    () => client.patchUser({ id, user: { contact: { email } } }, { headers }),
    ...Array.from({ length: 4 }, () => [
      () => client.lockUser({ id, reason: "bench" }, { headers }),
      () => client.unlockUser({ id }, { headers }),
    ]).flat(),
  ];
  for (const step of story.slice(0, events)) await step();
  await server.stop();

  copyFirst(file, users, events);
}

/** Columns with places in the log. */
const POSITIONS = ["position", "previous", "last_event"];

/** A copy has the first user's rows with another id and with later places in the log. */
function copyFirst(file: string, users: number, events: number): void {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN");
  for (const table of ["events", "streams", "claims"]) {
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
          of_first AS MATERIALIZED (SELECT * FROM ${table} WHERE kind = 'user' AND id = $first)
        INSERT INTO ${table} (${columns.map(({ name }) => name)})
        SELECT ${copies} FROM ids CROSS JOIN of_first`)
      .run({ $first: idOf(0), $last: users - 1 });
  }
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}
