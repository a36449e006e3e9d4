import type { DatabaseSync } from "node:sqlite";
import { pendingSteps, type SchemaStep } from "../migrate.ts";
import { StoreRefused } from "../port.ts";

/** Marks a file as userlock's (https://www.sqlite.org/pragma.html#pragma_application_id): "ulck". */
const APPLICATION_ID = 0x756c636b;

/** From nothing to the newest schema. */
export const STEPS: readonly SchemaStep[] = [
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
  // A change writes no index but that of its actor: what a stream is found by has columns, which seldom change, and the
  // events of a stream are a chain from the last one on. A key of events by stream would be written at a random place.
  // What an older userlock still writes would be in neither: every event has a subject now, so that it is refused.
  `
  ALTER TABLE streams ADD COLUMN email ANY;
  ALTER TABLE streams ADD COLUMN lock_until ANY;
  ALTER TABLE streams ADD COLUMN subject ANY;
  ALTER TABLE streams ADD COLUMN user_id ANY;
  ALTER TABLE streams ADD COLUMN last_event INTEGER; -- position

  DROP INDEX streams_by_email;
  DROP INDEX streams_by_lock_end;
  DROP INDEX streams_by_subject;
  DROP INDEX streams_by_user;

  UPDATE streams SET
    email = json_extract(state, '$.email.address'),
    lock_until = json_extract(state, '$.lock.until'),
    subject = json_extract(state, '$.subject'),
    user_id = json_extract(state, '$.userId'),
    last_event = (
      SELECT position FROM events
      WHERE events.instance = streams.instance AND events.kind = streams.kind AND events.id = streams.id
        AND events.version = streams.version);

  CREATE INDEX streams_by_email ON streams (instance, kind, email, id);
  CREATE INDEX streams_by_lock_end ON streams (instance, kind, lock_until, id) WHERE lock_until IS NOT NULL;
  CREATE INDEX streams_by_subject ON streams (instance, kind, subject, id) WHERE subject IS NOT NULL;
  CREATE INDEX streams_by_user ON streams (instance, kind, user_id, created, id) WHERE user_id IS NOT NULL;

  CREATE TABLE log (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    instance   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    type       TEXT NOT NULL,
    time       INTEGER NOT NULL, -- microseconds since the Unix epoch
    actor      TEXT NOT NULL,    -- JSON
    subject    TEXT NOT NULL,    -- of the actor
    data       TEXT NOT NULL,    -- JSON
    owner_type TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    user_id    TEXT,
    previous   INTEGER           -- position of the stream's event before this one
  ) STRICT;

  INSERT INTO log
  SELECT position, instance, kind, id, version, type, time, actor, coalesce(json_extract(actor, '$.subject'), ''), data,
    owner_type, owner_id, user_id, (
      SELECT position FROM events AS before
      WHERE before.instance = events.instance AND before.kind = events.kind AND before.id = events.id
        AND before.version = events.version - 1)
  FROM events ORDER BY position;

  DROP TABLE events;
  ALTER TABLE log RENAME TO events;
  CREATE INDEX events_by_organization ON events (instance, owner_id, position) WHERE owner_type = 'org';
  -- Those of the user himself are found from his last one on, or from one of every 64.
  CREATE INDEX events_by_milestone ON events (instance, id, position) WHERE kind = 'user' AND version % 64 = 0;
  CREATE INDEX events_by_user ON events (instance, user_id, position) WHERE user_id IS NOT NULL AND kind <> 'user';
  CREATE INDEX events_by_actor ON events (instance, subject, position);
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
