import type { SchemaStep } from "../migrate.ts";
import { SEARCH_COLUMNS } from "./search-columns.ts";

/*
 * All text is compared by code points ("C"), so that no update of the system's locales breaks an index. Every key and
 * index begins with the instance. JSON is kept as `json`, the exact text, which is cheaper to write than jsonb.
 */
export const STEPS: readonly SchemaStep[] = [
  `
  CREATE TABLE events (
    instance   text COLLATE "C" NOT NULL,
    tx         bigint NOT NULL,            -- id of the transaction, counted on where the server's own began anew
    position   integer NOT NULL,           -- within the transaction
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    type       text COLLATE "C" NOT NULL,
    time       bigint NOT NULL,            -- microseconds since the Unix epoch
    owner_type text COLLATE "C" NOT NULL,
    owner_id   text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C",
    actor      json NOT NULL,
    data       json NOT NULL,
    append     uuid NOT NULL,              -- the append that brought it, to know it again when no answer came
    PRIMARY KEY (instance, kind, id, version)
  );
  CREATE UNIQUE INDEX events_in_order ON events (instance, tx, position) WHERE position > 0;
  CREATE INDEX events_by_organization ON events (instance, owner_id, tx, position) WHERE owner_type = 'org';
  CREATE INDEX events_by_user ON events (instance, user_id, tx, position) WHERE user_id IS NOT NULL;
  -- A subject may be longer than an entry of an index can be.
  CREATE INDEX events_by_actor ON events (instance, (left(actor ->> 'subject', 200) COLLATE "C"), tx, position)
    WHERE position > 0;

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
    tx         bigint NOT NULL,            -- that of the last event
    PRIMARY KEY (instance, kind, id)
  );
  CREATE INDEX streams_by_created ON streams (instance, kind, created, id) WHERE version > 0;
  CREATE INDEX streams_by_email ON streams (instance, kind,
    (CASE json_typeof(state #> '{email,address}') WHEN 'string' THEN state #>> '{email,address}' END COLLATE "C"))
    WHERE CASE json_typeof(state #> '{email,address}') WHEN 'string' THEN state #>> '{email,address}' END IS NOT NULL;
  CREATE INDEX streams_by_subject ON streams (instance, kind,
    (CASE json_typeof(state #> '{subject}') WHEN 'string' THEN state #>> '{subject}' END COLLATE "C"))
    WHERE CASE json_typeof(state #> '{subject}') WHEN 'string' THEN state #>> '{subject}' END IS NOT NULL;
  CREATE INDEX streams_by_user ON streams (instance, kind,
    (CASE json_typeof(state #> '{userId}') WHEN 'string' THEN state #>> '{userId}' END COLLATE "C"))
    WHERE CASE json_typeof(state #> '{userId}') WHEN 'string' THEN state #>> '{userId}' END IS NOT NULL;
  CREATE INDEX streams_by_lock_end ON streams (instance, kind,
    (CASE json_typeof(state #> '{lock,until}') WHEN 'number' THEN (state #>> '{lock,until}')::float8 END))
    WHERE CASE json_typeof(state #> '{lock,until}') WHEN 'number' THEN (state #>> '{lock,until}')::float8 END IS NOT NULL;

  -- The planner takes none from an index with a condition.
  CREATE STATISTICS streams_emails ON
    (CASE json_typeof(state #> '{email,address}') WHEN 'string' THEN state #>> '{email,address}' END) FROM streams;
  CREATE STATISTICS streams_subjects ON
    (CASE json_typeof(state #> '{subject}') WHEN 'string' THEN state #>> '{subject}' END) FROM streams;
  CREATE STATISTICS streams_users ON
    (CASE json_typeof(state #> '{userId}') WHEN 'string' THEN state #>> '{userId}' END) FROM streams;
  CREATE STATISTICS streams_lock_ends ON
    (CASE json_typeof(state #> '{lock,until}') WHEN 'number' THEN (state #>> '{lock,until}')::float8 END) FROM streams;

  CREATE TABLE claims (
    instance text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (instance, name)
  );

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

  CREATE TABLE log_offsets (
    instance text COLLATE "C" PRIMARY KEY,
    ahead    bigint NOT NULL               -- how far tx runs ahead of the server's own count
  );

  CREATE TYPE userlock_append_row_1 AS (
    place      integer,
    kind       text COLLATE "C",
    id         text COLLATE "C",
    expected   bigint,
    append     uuid,
    time       bigint,
    owner_type text,
    owner_id   text,
    user_id    text,
    actor      json,
    state      json,
    events     json,                       -- [{type, data}]
    adds       text[],
    removes    text[],
    requires   json,                       -- [{kind, id, version}]
    receipt    json                        -- {key, fingerprint, answer in base64, expires}
  );

  -- Judges and writes a batch of appends, whose streams, claims and receipts are all different ones, and answers with
  -- an outcome for each. Needs READ COMMITTED: the locks come first, and what comes next sees all that they waited for.
  -- Each row is looked up by its whole key, one by one (LATERAL with OFFSET 0, or a subquery): the plans are made once a
  -- connection, perhaps while the tables are empty, and a plan that joins is then slower with each row that is added.
  -- That only the index of the key can be taken, all others see to by a condition which is true and only questions name.
  CREATE FUNCTION userlock_append_1(of_instance text, batch json) RETURNS json LANGUAGE plpgsql AS $function$
  DECLARE
    asked    userlock_append_row_1[] := array(
      SELECT r FROM json_populate_recordset(NULL::userlock_append_row_1, batch) AS r);
    accepted userlock_append_row_1[];
    results  json;
    newest   bigint;
    this     bigint;
    written  bigint;
  BEGIN
    -- In one order, so that nobody waits in a circle.
    SELECT max(locked.tx) INTO newest
    FROM (
      SELECT r.kind, r.id FROM unnest(asked) AS r
      UNION
      SELECT q.kind, q.id FROM unnest(asked) AS r, json_to_recordset(r.requires) AS q(kind text, id text)
      ORDER BY kind, id
    ) AS key
    CROSS JOIN LATERAL (
      SELECT s.tx FROM streams s
      WHERE s.instance = of_instance AND s.kind = key.kind AND s.id = key.id
      FOR NO KEY UPDATE
    ) AS locked;

    WITH judged AS MATERIALIZED (
      SELECT r, r.place, coalesce(s.created, r.time) AS created, taken.name AS claim,
        CASE
          -- An earlier try of this very append was committed, and its answer was lost.
          WHEN coalesce(s.version, 0) > r.expected AND r.append = (
            SELECT e.append FROM events e
            WHERE e.instance = of_instance AND e.kind = r.kind AND e.id = r.id AND e.version = r.expected + 1
          ) THEN 'done'
          WHEN r.receipt IS NOT NULL AND r.time < (
            SELECT k.expires FROM receipts k WHERE k.instance = of_instance AND k.key = r.receipt ->> 'key'
          ) THEN 'repeated'
          WHEN coalesce(s.version, 0) <> r.expected OR EXISTS (
            SELECT FROM json_to_recordset(r.requires) AS q(kind text, id text, version bigint)
            WHERE q.version <> coalesce((
              SELECT o.version FROM streams o WHERE o.instance = of_instance AND o.kind = q.kind AND o.id = q.id
            ), 0)
          ) THEN 'conflict'
          WHEN taken.name IS NOT NULL THEN 'claimed'
          ELSE 'appended'
        END AS outcome
      FROM unnest(asked) AS r
      LEFT JOIN LATERAL (
        SELECT o.version, o.created FROM streams o
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
        WHEN 'done' THEN json_build_object('outcome', 'appended', 'created', created)
        WHEN 'appended' THEN json_build_object('outcome', outcome, 'created', created)
        WHEN 'claimed' THEN json_build_object('outcome', outcome, 'claim', claim)
        ELSE json_build_object('outcome', outcome)
      END ORDER BY place),
      array_agg(r ORDER BY place) FILTER (WHERE outcome = 'appended')
    INTO results, accepted
    FROM judged;

    IF accepted IS NULL THEN
      RETURN results;
    END IF;

    -- The id of a transaction is older than the locks for which it waited. What a younger one has written to these
    -- streams must not come after this in the log: so this is tried again, with a new id.
    SELECT ahead + pg_current_xact_id()::text::bigint INTO this FROM log_offsets WHERE instance = of_instance;
    IF newest > this THEN
      RAISE serialization_failure USING MESSAGE = 'userlock: a younger transaction came first';
    END IF;

    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, tx)
      SELECT of_instance, r.kind, r.id, json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time, r.state, this
      FROM unnest(accepted) AS r WHERE r.expected = 0 ORDER BY r.kind, r.id;
    -- These are there, and locked: the insert only finds them.
    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, tx)
      SELECT of_instance, r.kind, r.id, r.expected + json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time,
        r.state, this
      FROM unnest(accepted) AS r WHERE r.expected > 0
      ON CONFLICT (instance, kind, id) DO UPDATE SET
        version = excluded.version, owner_type = excluded.owner_type, owner_id = excluded.owner_id,
        changed = excluded.changed, state = excluded.state, tx = excluded.tx;
    INSERT INTO events (instance, tx, position, kind, id, version, type, time, owner_type, owner_id, user_id, actor, data, append)
      SELECT of_instance, this, row_number() OVER (ORDER BY r.place, e.place), r.kind, r.id, r.expected + e.place,
        e.event ->> 'type', r.time, r.owner_type, r.owner_id, r.user_id, r.actor, e.event -> 'data', r.append
      FROM unnest(accepted) AS r, json_array_elements(r.events) WITH ORDINALITY AS e(event, place);

    DELETE FROM claims WHERE ctid = ANY (array(
      SELECT held.place
      FROM unnest(accepted) AS r, unnest(r.removes) AS gone
      CROSS JOIN LATERAL (
        SELECT c.ctid AS place FROM claims c
        WHERE c.instance = of_instance AND c.name = gone AND c.kind = r.kind AND c.id = r.id
        OFFSET 0
      ) AS held
      WHERE gone <> ALL (r.adds)
    ));
    INSERT INTO claims (instance, name, kind, id)
      SELECT DISTINCT of_instance, a.name, r.kind, r.id FROM unnest(accepted) AS r, unnest(r.adds) AS a(name)
      -- Those that the stream holds already. One that another has taken since it was judged must collide.
      WHERE (
        SELECT c.id FROM claims c
        WHERE c.instance = of_instance AND c.name = a.name AND c.kind = r.kind AND c.id = r.id
      ) IS NULL
      ORDER BY a.name;

    IF EXISTS (SELECT FROM unnest(accepted) AS r WHERE r.receipt IS NOT NULL) THEN
      -- What has expired: in the way, and some more, so that it does not pile up.
      DELETE FROM receipts WHERE ctid = ANY (array(
        SELECT k.ctid FROM receipts k
        WHERE k.instance = of_instance AND k.expires > 0 AND k.expires <= (SELECT min(r.time) FROM unnest(accepted) AS r)
        ORDER BY k.expires LIMIT 2 * cardinality(accepted)
        FOR UPDATE SKIP LOCKED
      ));
      INSERT INTO receipts (instance, key, fingerprint, answer, expires, append)
        SELECT of_instance, r.receipt ->> 'key', r.receipt ->> 'fingerprint', decode(r.receipt ->> 'answer', 'base64'),
          (r.receipt ->> 'expires')::bigint, r.append
        FROM unnest(accepted) AS r WHERE r.receipt IS NOT NULL
        ORDER BY (r.receipt ->> 'key') COLLATE "C"
        ON CONFLICT (instance, key) DO UPDATE SET
          fingerprint = excluded.fingerprint, answer = excluded.answer, expires = excluded.expires, append = excluded.append
        WHERE receipts.expires <= (SELECT max(r.time) FROM unnest(accepted) AS r);
      GET DIAGNOSTICS written = ROW_COUNT;
      IF written < (SELECT count(r.receipt) FROM unnest(accepted) AS r) THEN
        RAISE serialization_failure USING MESSAGE = 'userlock: another transaction has left a receipt';
      END IF;
    END IF;
    RETURN results;
  END
  $function$;
  `,
  SEARCH_COLUMNS,
];
