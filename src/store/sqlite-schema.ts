import type { DatabaseSync } from "node:sqlite";
import { pendingSteps, type SchemaStep } from "./migrate.ts";
import { StoreRefused } from "./port.ts";

/** Marks a file as userlock's (https://www.sqlite.org/pragma.html#pragma_application_id): "ulck". */
const APPLICATION_ID = 0x756c636b;

const STEPS: readonly SchemaStep[] = [
  `
  CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    version  INTEGER NOT NULL,
    type     TEXT NOT NULL,
    time     INTEGER NOT NULL, -- microseconds since the Unix epoch
    actor    TEXT NOT NULL,    -- JSON
    data     TEXT NOT NULL,    -- JSON
    UNIQUE (instance, kind, id, version)
  ) STRICT;

  CREATE TABLE streams (
    instance   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    owner_type TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    created    INTEGER NOT NULL,
    changed    INTEGER NOT NULL,
    state      TEXT NOT NULL,  -- JSON
    PRIMARY KEY (instance, kind, id)
  ) STRICT;

  CREATE INDEX streams_by_created ON streams (instance, kind, created, id);
  CREATE INDEX streams_by_email ON streams (instance, kind, json_extract(state, '$.email.address'));

  CREATE TABLE claims (
    instance TEXT NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    PRIMARY KEY (instance, name)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE INDEX streams_by_lock_end ON streams (instance, kind, json_extract(state, '$.lock.until'))
    WHERE json_extract(state, '$.lock.until') IS NOT NULL;
  CREATE INDEX streams_by_subject ON streams (instance, kind, json_extract(state, '$.subject'));
  CREATE INDEX streams_by_user ON streams (instance, kind, json_extract(state, '$.userId'));
  `,
  `
  ALTER TABLE events ADD COLUMN owner_type TEXT NOT NULL DEFAULT 'system';
  ALTER TABLE events ADD COLUMN owner_id TEXT NOT NULL DEFAULT '';
  ALTER TABLE events ADD COLUMN user_id TEXT;

  UPDATE events SET
    owner_type = streams.owner_type,
    owner_id = streams.owner_id,
    user_id = iif(streams.kind = 'user', streams.id, json_extract(streams.state, '$.userId'))
  FROM streams
  WHERE streams.instance = events.instance AND streams.kind = events.kind AND streams.id = events.id;

  CREATE INDEX events_by_organization ON events (instance, owner_id, position) WHERE owner_type = 'org';
  -- Those of the user himself are found by the key of the table.
  CREATE INDEX events_by_user ON events (instance, user_id, position) WHERE user_id IS NOT NULL AND kind <> 'user';
  CREATE INDEX events_by_actor ON events (instance, json_extract(actor, '$.subject'), position);

  CREATE TABLE receipts (
    instance    TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer      BLOB NOT NULL,
    expires     INTEGER NOT NULL, -- microseconds since the Unix epoch
    PRIMARY KEY (instance, key)
  ) STRICT;

  CREATE INDEX receipts_by_expiry ON receipts (instance, expires);
  `,
];

/**
 * Brings the file to the newest schema, in one transaction, so that processes which start together wait for one
 * another. Throws StoreRefused if the file is another program's or a newer userlock's.
 */
export function migrate(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = pragma(database, "user_version");
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
    if (pragma(database, "application_id") !== APPLICATION_ID && (version > 0 || tables.n > 0)) {
      throw new StoreRefused("The file is an SQLite database of another program: name another file.");
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

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] as number;
}
