-- The truth of one service: an append-only log of streams, and what keeps it exact.

CREATE TABLE events (
    position       bigint      PRIMARY KEY,          -- dense, in commit order, from 1
    event_id       uuid        NOT NULL UNIQUE,
    stream_kind    text        NOT NULL,
    stream_id      uuid        NOT NULL,
    version        integer     NOT NULL,             -- dense per stream, from 1
    type           text        NOT NULL,
    schema_version smallint    NOT NULL,
    data           jsonb       NOT NULL,
    metadata       jsonb       NOT NULL,             -- actor, correlation, causation, traceparent
    recorded_at    timestamptz NOT NULL,             -- never decreases with position
    UNIQUE (stream_id, stream_kind, version)
);

-- Keys that one stream may hold (a NIK, a legal entity number). Two streams may hold the same key only
-- when both name a qualifier and the qualifiers differ.
CREATE TABLE claims (
    space     text NOT NULL,
    key       text NOT NULL,
    qualifier text,
    stream_id uuid NOT NULL,
    PRIMARY KEY (space, key, stream_id)
);

CREATE TABLE idempotency_keys (
    key         text        PRIMARY KEY,
    fingerprint text        NOT NULL,
    answer      jsonb       NOT NULL,
    version     integer,
    position    bigint,
    recorded_at timestamptz NOT NULL
);

-- Append commits in one round trip, each whole or refused. Everything below the lock is serial per
-- service: that is what makes positions dense and in commit order, and claims exact.
--
-- commits: [{kind, id, expected, metadata, answer, key, fingerprint,
--            events: [{id, type, schema_version, data}], take: [{space, key, qualifier}], release: [same]}]
-- outcome: appended | repeated | wrong_version | claimed | key_reused; detail belongs to the outcome.
CREATE FUNCTION append(commits jsonb)
RETURNS TABLE (outcome text, version integer, "position" bigint, recorded_at timestamptz, detail jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c        jsonb;
    e        jsonb;
    claim    jsonb;
    head     bigint;
    moment   timestamptz;
    kind     text;
    stream   uuid;
    current  integer;
    seen     record;
    holder   uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    SELECT v.position, v.recorded_at INTO head, moment FROM events v ORDER BY v.position DESC LIMIT 1;
    head := coalesce(head, 0);
    -- A clock that steps back must not reorder recorded times.
    moment := greatest(clock_timestamp(), moment);

    <<next_commit>>
    FOR c IN SELECT value FROM jsonb_array_elements(commits) LOOP
        kind := c->>'kind';
        stream := (c->>'id')::uuid;

        -- The same event id again: the first attempt's answer was lost, its commit was not.
        SELECT v.version, v.position, v.recorded_at INTO seen
          FROM events v WHERE v.event_id = (c->'events'->-1->>'id')::uuid;
        IF FOUND THEN
            RETURN QUERY SELECT 'appended', seen.version, seen.position, seen.recorded_at, c->'answer';
            CONTINUE next_commit;
        END IF;

        IF c->>'key' IS NOT NULL THEN
            SELECT k.fingerprint, k.version, k.position, k.recorded_at, k.answer INTO seen
              FROM idempotency_keys k WHERE k.key = c->>'key';
            IF FOUND THEN
                RETURN QUERY SELECT
                    CASE WHEN seen.fingerprint = c->>'fingerprint' THEN 'repeated' ELSE 'key_reused' END,
                    seen.version, seen.position, seen.recorded_at, seen.answer;
                CONTINUE next_commit;
            END IF;
        END IF;

        SELECT v.version INTO current FROM events v
         WHERE v.stream_id = stream AND v.stream_kind = kind ORDER BY v.version DESC LIMIT 1;
        current := coalesce(current, 0);
        IF current <> (c->>'expected')::integer THEN
            RETURN QUERY SELECT 'wrong_version', current, NULL::bigint, NULL::timestamptz, NULL::jsonb;
            CONTINUE next_commit;
        END IF;

        FOR claim IN SELECT value FROM jsonb_array_elements(c->'take') LOOP
            SELECT x.stream_id INTO holder FROM claims x
             WHERE x.space = claim->>'space' AND x.key = claim->>'key' AND x.stream_id <> stream
               AND (x.qualifier IS NULL OR claim->>'qualifier' IS NULL OR x.qualifier = claim->>'qualifier')
             LIMIT 1;
            IF FOUND THEN
                RETURN QUERY SELECT 'claimed', current, NULL::bigint, NULL::timestamptz,
                                    claim || jsonb_build_object('holder', holder);
                CONTINUE next_commit;
            END IF;
        END LOOP;

        FOR e IN SELECT value FROM jsonb_array_elements(c->'events') LOOP
            head := head + 1;
            current := current + 1;
            INSERT INTO events VALUES (head, (e->>'id')::uuid, kind, stream, current, e->>'type',
                                       (e->>'schema_version')::smallint, e->'data', c->'metadata', moment);
        END LOOP;

        FOR claim IN SELECT value FROM jsonb_array_elements(c->'release') LOOP
            DELETE FROM claims x
             WHERE x.space = claim->>'space' AND x.key = claim->>'key' AND x.stream_id = stream;
        END LOOP;
        FOR claim IN SELECT value FROM jsonb_array_elements(c->'take') LOOP
            INSERT INTO claims VALUES (claim->>'space', claim->>'key', claim->>'qualifier', stream)
            ON CONFLICT (space, key, stream_id) DO UPDATE SET qualifier = excluded.qualifier;
        END LOOP;

        IF c->>'key' IS NOT NULL THEN
            INSERT INTO idempotency_keys
            VALUES (c->>'key', c->>'fingerprint', c->'answer', current, head, moment);
        END IF;

        RETURN QUERY SELECT 'appended', current, head, moment, c->'answer';
    END LOOP;
END $$;

-- Keep the answer of work that is not one commit, unless its key was used before; under the same lock as
-- append, or the two could race for one key.
CREATE FUNCTION remember(new_key text, new_fingerprint text, new_answer jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    INSERT INTO idempotency_keys (key, fingerprint, answer, recorded_at)
    SELECT new_key, new_fingerprint, new_answer, clock_timestamp()
     WHERE NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.key = new_key);
END $$;

-- What each reaction has handled. Attempts are counted before they are made; the outcome follows.
CREATE TABLE inbox (
    reaction   text        NOT NULL,
    event_id   uuid        NOT NULL,
    attempts   integer     NOT NULL,
    outcome    text        CHECK (outcome IN ('handled', 'refused')),
    detail     text,
    handled_at timestamptz,
    PRIMARY KEY (reaction, event_id)
);

-- Read models: every generation of a projection lives in a schema of its own; one is live.
CREATE TABLE generations (
    projection   text        NOT NULL,
    generation   integer     NOT NULL,
    version      integer     NOT NULL,               -- of the projection's code
    status       text        NOT NULL CHECK (status IN ('building', 'live', 'previous', 'failed')),
    positions    jsonb       NOT NULL DEFAULT '{}',  -- service -> last sequence applied
    log          text        NOT NULL DEFAULT '',    -- which incarnation of the stream
    log_sequence bigint      NOT NULL DEFAULT 0,     -- where to resume in it
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, generation)
);
CREATE UNIQUE INDEX one_live_generation ON generations (projection) WHERE status = 'live';

CREATE TABLE projection_controls (
    projection text PRIMARY KEY,
    paused     boolean NOT NULL DEFAULT false
);
