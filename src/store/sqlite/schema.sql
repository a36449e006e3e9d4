-- The store of userlock in an SQLite file, version 1. Several instances may share a file: every key begins with the
-- instance. Times are microseconds since the Unix epoch. Actors, data and states are JSON.
--
-- schema.ts replaces the variables (:field_definitions, :field_indexes) by the fields of indexed-fields.ts.

-- The log. Positions are unique in the whole file and never reused.
CREATE TABLE events (
  position   INTEGER PRIMARY KEY AUTOINCREMENT,
  instance   TEXT NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  version    INTEGER NOT NULL, -- of the stream after this event
  type       TEXT NOT NULL,
  time       INTEGER NOT NULL,
  owner_type TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  user_id    TEXT,             -- the user that the event is about
  actor      TEXT NOT NULL,
  subject    TEXT NOT NULL,    -- of the actor
  data       TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_organization ON events (instance, owner_id, position) WHERE owner_type = 'org';
CREATE INDEX events_by_user ON events (instance, user_id, position) WHERE user_id IS NOT NULL;
CREATE INDEX events_by_actor ON events (instance, subject, position);

-- One row per object: its state after its last event. Fields that searches use have indexed columns. A change that
-- leaves these columns alone writes none of their indexes.
CREATE TABLE streams (
  instance   TEXT NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  version    INTEGER NOT NULL,
  owner_type TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  created    INTEGER NOT NULL,
  changed    INTEGER NOT NULL,
  state      TEXT NOT NULL,
  :field_definitions,
  PRIMARY KEY (instance, kind, id)
) STRICT;
CREATE INDEX streams_by_created ON streams (instance, kind, created, id);
:field_indexes

-- Unique names. Each belongs to one stream.
CREATE TABLE claims (
  instance TEXT NOT NULL,
  name     TEXT NOT NULL,
  kind     TEXT NOT NULL,
  id       TEXT NOT NULL,
  PRIMARY KEY (instance, name)
) STRICT, WITHOUT ROWID;

-- Answers to calls with an idempotency key.
CREATE TABLE receipts (
  instance    TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer      BLOB NOT NULL,
  expires     INTEGER NOT NULL,
  PRIMARY KEY (instance, key)
) STRICT;
CREATE INDEX receipts_by_expiry ON receipts (instance, expires);
