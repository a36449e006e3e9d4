import type { SchemaStep } from "../migrate.ts";

/*
 * What searches look for in states gets columns of its own, which a change of anything else leaves as they are: the new
 * version of a row then needs no entry in any index (a heap-only tuple), and no JSON is read for them.
 */
export const SEARCH_COLUMNS: SchemaStep = `
  DROP INDEX streams_by_created, streams_by_email, streams_by_subject, streams_by_user, streams_by_lock_end;
  DROP STATISTICS streams_emails, streams_subjects, streams_users, streams_lock_ends;

  CREATE FUNCTION userlock_text_at(state json, path text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE json_typeof(state #> path) WHEN 'string' THEN state #>> path END
  $function$;
  CREATE FUNCTION userlock_number_at(state json, path text[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE json_typeof(state #> path) WHEN 'number' THEN (state #>> path)::float8 END
  $function$;

  -- Room for new versions of the rows beside the old ones.
  ALTER TABLE streams SET (fillfactor = 80);
  -- Each is what the state has as a text (lock_end: a number) there. Generated in one go, then as they are given.
  ALTER TABLE streams
    ADD COLUMN email    text COLLATE "C" GENERATED ALWAYS AS (userlock_text_at(state, '{email,address}')) STORED,
    ADD COLUMN subject  text COLLATE "C" GENERATED ALWAYS AS (userlock_text_at(state, '{subject}')) STORED,
    ADD COLUMN user_id  text COLLATE "C" GENERATED ALWAYS AS (userlock_text_at(state, '{userId}')) STORED,
    ADD COLUMN lock_end float8 GENERATED ALWAYS AS (userlock_number_at(state, '{lock,until}')) STORED;
  ALTER TABLE streams
    ALTER COLUMN email DROP EXPRESSION,
    ALTER COLUMN subject DROP EXPRESSION,
    ALTER COLUMN user_id DROP EXPRESSION,
    ALTER COLUMN lock_end DROP EXPRESSION;

  -- Every stream was created after 0, but only questions say so. (The version was said before, which changes.)
  CREATE INDEX streams_by_created ON streams (instance, kind, created, id) WHERE created > 0;
  CREATE INDEX streams_by_email ON streams (instance, kind, email) WHERE email IS NOT NULL;
  CREATE INDEX streams_by_subject ON streams (instance, kind, subject) WHERE subject IS NOT NULL;
  CREATE INDEX streams_by_user ON streams (instance, kind, user_id) WHERE user_id IS NOT NULL;
  CREATE INDEX streams_by_lock_end ON streams (instance, kind, lock_end) WHERE lock_end IS NOT NULL;

  CREATE TYPE userlock_append_row_2 AS (
    place      integer,
    kind       text COLLATE "C",
    id         text COLLATE "C",
    expected   bigint,
    append     uuid,
    time       bigint,
    owner_type text,
    owner_id   text,
    user_id    text,                       -- whom the events are about
    actor      json,
    state      json,
    events     json,                       -- [{type, data}]
    adds       text[],
    removes    text[],
    requires   json,                       -- [{kind, id, version}]; absent if there are none
    absent     json,                       -- {kind, subject}; absent if nothing must be
    receipt    json,                       -- {key, fingerprint, answer in base64, expires, now}
    email      text,                       -- for the columns of searches, as the next ones; absent if they are empty
    subject    text,
    of_user    text,
    lock_end   float8
  );

  -- Judges and writes a batch of appends, whose streams, claims and receipts are all different ones, and answers with
  -- an outcome for each. Needs READ COMMITTED: the locks come first, and what comes next sees all that they waited for.
  -- Each row is looked up by its whole key, one by one (LATERAL with OFFSET 0, or a subquery): the plans are made once a
  -- connection, perhaps while the tables are empty, and a plan that joins is then slower with each row that is added.
  -- That only the index of the key can be taken, all others see to by a condition which is true and only questions name.
  CREATE FUNCTION userlock_append_2(of_instance text, batch json) RETURNS json LANGUAGE plpgsql AS $function$
  DECLARE
    asked    userlock_append_row_2[] := array(
      SELECT r FROM json_populate_recordset(NULL::userlock_append_row_2, batch) AS r);
    accepted userlock_append_row_2[];
    results  json;
    adds     boolean;                      -- whether any of the accepted does
    removes  boolean;
    keeping  bigint;                       -- the clock of those that keep a receipt; absent if none does
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
      WHERE r.requires IS NOT NULL
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
      array_agg(r ORDER BY place) FILTER (WHERE outcome = 'appended'),
      bool_or((r).adds <> '{}') FILTER (WHERE outcome = 'appended'),
      bool_or((r).removes <> '{}') FILTER (WHERE outcome = 'appended'),
      max(coalesce(((r).receipt ->> 'now')::bigint, (r).time)) FILTER (WHERE outcome = 'appended' AND (r).receipt IS NOT NULL)
    INTO results, accepted, adds, removes, keeping
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

    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, tx,
        email, subject, user_id, lock_end)
      SELECT of_instance, r.kind, r.id, json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time, r.state, this,
        r.email, r.subject, r.of_user, r.lock_end
      FROM unnest(accepted) AS r WHERE r.expected = 0 ORDER BY r.kind, r.id;
    -- These are there, and locked: the insert only finds them.
    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state, tx,
        email, subject, user_id, lock_end)
      SELECT of_instance, r.kind, r.id, r.expected + json_array_length(r.events), r.owner_type, r.owner_id, r.time, r.time,
        r.state, this, r.email, r.subject, r.of_user, r.lock_end
      FROM unnest(accepted) AS r WHERE r.expected > 0
      ON CONFLICT (instance, kind, id) DO UPDATE SET
        version = excluded.version, owner_type = excluded.owner_type, owner_id = excluded.owner_id,
        changed = excluded.changed, state = excluded.state, tx = excluded.tx,
        email = excluded.email, subject = excluded.subject, user_id = excluded.user_id, lock_end = excluded.lock_end;
    INSERT INTO events (instance, tx, position, kind, id, version, type, time, owner_type, owner_id, user_id, actor, data, append)
      SELECT of_instance, this, row_number() OVER (ORDER BY r.place, e.place), r.kind, r.id, r.expected + e.place,
        e.event ->> 'type', r.time, r.owner_type, r.owner_id, r.user_id, r.actor, e.event -> 'data', r.append
      FROM unnest(accepted) AS r, json_array_elements(r.events) WITH ORDINALITY AS e(event, place);

    IF removes THEN
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
    END IF;
    IF adds THEN
      INSERT INTO claims (instance, name, kind, id)
        SELECT DISTINCT of_instance, a.name, r.kind, r.id FROM unnest(accepted) AS r, unnest(r.adds) AS a(name)
        -- Those that the stream holds already. One that another has taken since it was judged must collide.
        WHERE (
          SELECT c.id FROM claims c
          WHERE c.instance = of_instance AND c.name = a.name AND c.kind = r.kind AND c.id = r.id
        ) IS NULL
        ORDER BY a.name;
    END IF;
    IF keeping IS NOT NULL THEN
      -- What has expired: in the way, and some more, so that it does not pile up.
      DELETE FROM receipts WHERE ctid = ANY (array(
        SELECT k.ctid FROM receipts k
        WHERE k.instance = of_instance AND k.expires > 0 AND k.expires <= keeping
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
        WHERE receipts.expires <= keeping;
      GET DIAGNOSTICS written = ROW_COUNT;
      IF written < (SELECT count(r.receipt) FROM unnest(accepted) AS r) THEN
        RAISE serialization_failure USING MESSAGE = 'userlock: another transaction has left a receipt';
      END IF;
    END IF;
    RETURN results;
  END
  $function$;

  -- For servers that were started before this step.
  CREATE OR REPLACE FUNCTION userlock_append_1(of_instance text, batch json) RETURNS json LANGUAGE sql AS $function$
    SELECT userlock_append_2(of_instance, json_agg(whole ORDER BY place))
    FROM (
      SELECT *,
        userlock_text_at(state, '{email,address}') AS email,
        userlock_text_at(state, '{subject}') AS subject,
        userlock_text_at(state, '{userId}') AS of_user,
        userlock_number_at(state, '{lock,until}') AS lock_end
      FROM json_populate_recordset(NULL::userlock_append_row_1, batch)
    ) AS whole
  $function$;
`;
