-- The store of userlock, version 1.
--
-- Each row belongs to one instance: every key and index begins with it, so that Citus can distribute the tables by it.
-- Text is compared by code points ("C"), so that no update of the system's locales breaks an index. JSON is stored as
-- `json`, the exact text, which is cheaper to write than jsonb. Times are microseconds since the Unix epoch.
--
-- Every index but that of the key is partial, with a condition that is always true and that only its own queries have.
-- So look-ups by key use the primary key, even by a plan that was made while the tables were empty.
--
-- schema.ts replaces the variables (such as :fields) by the fields of indexed-fields.ts.

-- Locked by each append until its commit. This orders the log of the instance.
CREATE TABLE instances (
  instance text COLLATE "C" PRIMARY KEY
);

-- The log.
CREATE TABLE events (
  instance   text COLLATE "C" NOT NULL,
  batch      bigint NOT NULL,            -- appends that were committed together, counted by instance
  position   integer NOT NULL,           -- within the batch, from 1
  kind       text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,            -- of the stream after this event
  type       text COLLATE "C" NOT NULL,
  time       bigint NOT NULL,
  owner_type text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  user_id    text COLLATE "C",           -- the user that the event is about
  actor      json NOT NULL,
  data       json NOT NULL,
  append     uuid NOT NULL,              -- identifies the append, for a retry after its answer was lost
  PRIMARY KEY (instance, kind, id, version)
);
CREATE UNIQUE INDEX events_in_order ON events (instance, batch, position) WHERE position > 0;
CREATE INDEX events_by_organization ON events (instance, owner_id, batch, position) WHERE owner_type = 'org';
CREATE INDEX events_by_user ON events (instance, user_id, batch, position) WHERE user_id IS NOT NULL;
-- A subject may be longer than an index entry can be.
CREATE INDEX events_by_actor ON events (instance, (left(actor ->> 'subject', 200) COLLATE "C"), batch, position)
  WHERE position > 0;

-- One row per object: its state after its last event. Fields that searches use have indexed columns. A change that
-- leaves these columns alone writes no index (a heap-only update), for which pages reserve room.
CREATE TABLE streams (
  instance   text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  owner_type text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  created    bigint NOT NULL,
  changed    bigint NOT NULL,
  state      json NOT NULL,
  :field_definitions,
  PRIMARY KEY (instance, kind, id)
) WITH (fillfactor = 80);
CREATE INDEX streams_by_created ON streams (instance, kind, created, id) WHERE created > 0;

-- Unique names. Each belongs to one stream.
CREATE TABLE claims (
  instance text COLLATE "C" NOT NULL,
  name     text COLLATE "C" NOT NULL,
  kind     text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  PRIMARY KEY (instance, name)
);

-- Answers to calls with an idempotency key.
CREATE TABLE receipts (
  instance    text COLLATE "C" NOT NULL,
  key         text COLLATE "C" NOT NULL,
  fingerprint text NOT NULL,
  answer      bytea NOT NULL,
  expires     bigint NOT NULL,
  append      uuid NOT NULL,
  PRIMARY KEY (instance, key)
);
CREATE INDEX receipts_by_end ON receipts (instance, expires) WHERE expires > 0;

CREATE TYPE userlock_append_row AS (
  place      integer,
  kind       text COLLATE "C",
  id         text COLLATE "C",
  expected   bigint,                     -- version of the stream
  append     uuid,
  time       bigint,
  owner_type text,
  owner_id   text,
  about      text,                       -- the user that the events are about
  actor      json,
  state      json,
  events     json,                       -- [{type, data}]
  adds       text[],                     -- claims
  removes    text[],
  requires   json,                       -- [{kind, id, version}]; absent if the list is empty
  absent     json,                       -- {kind, subject}; absent if nothing must be
  receipt    json,                       -- {key, fingerprint, answer in base64, expires, now}
  :field_definitions
);

-- Judges and writes a batch of appends whose streams, claims and receipts all differ. Returns an outcome for each.
-- Needs READ COMMITTED: each statement sees commits from before the locks that the function holds. The connection keeps
-- plans, perhaps from when the tables were empty. So each row is looked up by its whole key (LATERAL with OFFSET 0, or
-- a subquery), because a join would get slower with each new row. (SELECT asked) hides the number of rows from the
-- planner, which would otherwise plan each call anew. The function's settings hold on the workers of Citus, too.
CREATE FUNCTION userlock_append(of_instance text, appends json) RETURNS json LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
DECLARE
  asked    userlock_append_row[] := array(
    SELECT r FROM json_populate_recordset(NULL::userlock_append_row, appends) AS r);
  accepted userlock_append_row[];
  results  json;
  adds     boolean;                      -- whether any of the accepted does
  removes  boolean;
  keeping  bigint;                       -- the clock of those that keep a receipt; absent if none does
  gone     text[];
  last     bigint;
BEGIN
  -- Locks in one order, so that no two transactions wait for each other.
  PERFORM 1
  FROM (
    SELECT r.kind, r.id FROM unnest((SELECT asked)) AS r
    UNION
    SELECT q.kind, q.id FROM unnest((SELECT asked)) AS r, json_to_recordset(r.requires) AS q(kind text, id text)
    WHERE r.requires IS NOT NULL
    ORDER BY kind, id
  ) AS key
  CROSS JOIN LATERAL (
    SELECT 1 FROM streams s
    WHERE s.instance = of_instance AND s.kind = key.kind AND s.id = key.id
    FOR NO KEY UPDATE
  ) AS locked;

  WITH judged AS MATERIALIZED (
    SELECT r, r.place, taken.name AS claim,
      CASE
        -- An earlier attempt of this append was committed, and its answer was lost.
        WHEN coalesce(s.version, 0) > r.expected AND r.append = (
          SELECT e.append FROM events e
          WHERE e.instance = of_instance AND e.kind = r.kind AND e.id = r.id AND e.version = r.expected + 1
        ) THEN 'done'
        WHEN r.receipt IS NOT NULL AND coalesce((r.receipt ->> 'now')::bigint, r.time) < (
          SELECT k.expires FROM receipts k WHERE k.instance = of_instance AND k.key = r.receipt ->> 'key'
        ) THEN 'repeated'
        WHEN coalesce(s.version, 0) <> r.expected OR EXISTS (
          SELECT FROM json_to_recordset(r.requires) AS q(kind text, id text, version bigint)
          WHERE q.version <> coalesce((
            SELECT o.version FROM streams o WHERE o.instance = of_instance AND o.kind = q.kind AND o.id = q.id
          ), 0)
        ) OR r.absent IS NOT NULL AND (
          SELECT o.id FROM streams o
          WHERE o.instance = of_instance AND o.kind = r.absent ->> 'kind' AND o.subject = r.absent ->> 'subject'
          LIMIT 1
        ) IS NOT NULL THEN 'conflict'
        WHEN taken.name IS NOT NULL THEN 'claimed'
        ELSE 'appended'
      END AS outcome
    FROM unnest((SELECT asked)) AS r
    LEFT JOIN LATERAL (
      SELECT o.version FROM streams o
      WHERE o.instance = of_instance AND o.kind = r.kind AND o.id = r.id
      OFFSET 0
    ) AS s ON true
    LEFT JOIN LATERAL (
      SELECT a.name FROM unnest(r.adds) WITH ORDINALITY AS a(name, place)
      CROSS JOIN LATERAL (
        SELECT c.kind, c.id FROM claims c WHERE c.instance = of_instance AND c.name = a.name OFFSET 0
      ) AS holder
      WHERE (holder.kind, holder.id) <> (r.kind, r.id)
      ORDER BY a.place LIMIT 1
    ) AS taken ON true
  )
  SELECT
    json_agg(CASE outcome
      WHEN 'done' THEN json_build_object('outcome', 'appended')
      WHEN 'claimed' THEN json_build_object('outcome', outcome, 'claim', claim)
      ELSE json_build_object('outcome', outcome)
    END ORDER BY place),
    array_agg(r ORDER BY place) FILTER (WHERE outcome = 'appended'),
    bool_or((r).adds <> '{}') FILTER (WHERE outcome = 'appended'),
    bool_or((r).removes <> '{}') FILTER (WHERE outcome = 'appended'),
    max(coalesce(((r).receipt ->> 'now')::bigint, (r).time)) FILTER (WHERE outcome = 'appended' AND (r).receipt IS NOT NULL)
  INTO results, accepted, adds, removes, keeping
  FROM judged;

  IF accepted IS NULL THEN
    RETURN results;
  END IF;

  INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, :fields)
    SELECT of_instance, r.kind, r.id, json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time, r.state,
      :row_fields
    FROM unnest((SELECT accepted)) AS r WHERE r.expected = 0 ORDER BY r.kind, r.id;
  -- These streams exist and are locked, so this always updates.
  INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, :fields)
    SELECT of_instance, r.kind, r.id, r.expected + json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time,
      r.state, :row_fields
    FROM unnest((SELECT accepted)) AS r WHERE r.expected > 0
    ON CONFLICT (instance, kind, id) DO UPDATE SET
      version = excluded.version, owner_type = excluded.owner_type, owner_id = excluded.owner_id,
      changed = excluded.changed, state = excluded.state, :new_fields;

  IF adds OR removes THEN
    -- Claims that a stream holds. Only its own appends change them, and it is locked.
    SELECT array_agg(held.name) INTO gone
    FROM unnest((SELECT accepted)) AS r, unnest(r.removes || r.adds) AS own(name)
    CROSS JOIN LATERAL (
      SELECT c.name FROM claims c
      WHERE c.instance = of_instance AND c.name = own.name AND c.kind = r.kind AND c.id = r.id
      OFFSET 0
    ) AS held;
    IF gone IS NOT NULL THEN
      DELETE FROM claims c WHERE c.instance = of_instance AND c.name = ANY (gone);
    END IF;
    -- A claim that another stream has taken meanwhile collides.
    INSERT INTO claims (instance, name, kind, id)
      SELECT DISTINCT of_instance, a.name, r.kind, r.id FROM unnest((SELECT accepted)) AS r, unnest(r.adds) AS a(name)
      ORDER BY a.name;
  END IF;

  IF keeping IS NOT NULL THEN
    -- Deletes expired receipts with the same keys, and some more, so that they do not pile up.
    SELECT array_agg(old.key) INTO gone
    FROM (
      SELECT k.key FROM receipts k
      WHERE k.instance = of_instance AND k.expires > 0 AND k.expires <= keeping
      ORDER BY k.expires LIMIT 2 * cardinality(accepted)
      FOR UPDATE SKIP LOCKED
    ) AS old;
    gone := gone || array(SELECT r.receipt ->> 'key' FROM unnest((SELECT accepted)) AS r WHERE r.receipt IS NOT NULL);
    DELETE FROM receipts k WHERE k.instance = of_instance AND k.key = ANY (gone) AND k.expires <= keeping;
    -- A receipt that another transaction has stored meanwhile collides.
    INSERT INTO receipts (instance, key, fingerprint, answer, expires, append)
      SELECT of_instance, r.receipt ->> 'key', r.receipt ->> 'fingerprint', decode(r.receipt ->> 'answer', 'base64'),
        (r.receipt ->> 'expires')::bigint, r.append
      FROM unnest((SELECT accepted)) AS r WHERE r.receipt IS NOT NULL
      ORDER BY (r.receipt ->> 'key') COLLATE "C";
  END IF;

  -- Held until the commit, so that batches commit in the order of their numbers. It comes last, to be held briefly.
  PERFORM 1 FROM instances i WHERE i.instance = of_instance FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE 'userlock: the instance is not in the store';
  END IF;
  SELECT e.batch INTO last FROM events e
    WHERE e.instance = of_instance AND e.position > 0 ORDER BY e.batch DESC, e.position DESC LIMIT 1;
  INSERT INTO events (instance, batch, position, kind, id, version, type, time, owner_type, owner_id, user_id, actor,
      data, append)
    SELECT of_instance, coalesce(last, 0) + 1, row_number() OVER (ORDER BY r.place, e.place), r.kind, r.id,
      r.expected + e.place, e.event ->> 'type', r.time, r.owner_type, r.owner_id, r.about, r.actor, e.event -> 'data',
      r.append
    FROM unnest((SELECT accepted)) AS r, json_array_elements(r.events) WITH ORDINALITY AS e(event, place);
  RETURN results;
END
$function$;
