-- The append of 0001, with what a commit has of events and claims counted through by number: a query over them costs
-- the server more than what is done with each, and most commits have one event and a claim or two.

-- Append commits in one round trip, each whole or refused. Everything below the lock is serial per
-- service: that is what makes positions dense and in commit order, and claims exact.
--
-- commits: [{kind, id, expected, metadata, answer, key, fingerprint,
--            events: [{id, type, schema_version, data}], take: [{space, key, qualifier}], release: [same]}]
-- outcome: appended | repeated | wrong_version | claimed | key_reused; detail belongs to the outcome.
CREATE OR REPLACE FUNCTION append(commits jsonb)
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

        FOR i IN 0 .. jsonb_array_length(c->'take') - 1 LOOP
            claim := c->'take'->i;
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

        FOR i IN 0 .. jsonb_array_length(c->'events') - 1 LOOP
            e := c->'events'->i;
            head := head + 1;
            current := current + 1;
            INSERT INTO events VALUES (head, (e->>'id')::uuid, kind, stream, current, e->>'type',
                                       (e->>'schema_version')::smallint, e->'data', c->'metadata', moment);
        END LOOP;

        FOR i IN 0 .. jsonb_array_length(c->'release') - 1 LOOP
            claim := c->'release'->i;
            DELETE FROM claims x
             WHERE x.space = claim->>'space' AND x.key = claim->>'key' AND x.stream_id = stream;
        END LOOP;
        FOR i IN 0 .. jsonb_array_length(c->'take') - 1 LOOP
            claim := c->'take'->i;
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
