-- building:   being rebuilt, or left by a rebuild that was interrupted and can go on
-- trial:      built aside by a check (verify, dry run), of no use after it
-- inspection: built up to a chosen event, to be looked at; never live
-- live:       what readers see; previous: what they saw before, kept fed for a while
-- returning:  the previous one on its way back; retired: to be dropped when nobody can be reading it any more
ALTER TABLE generations DROP CONSTRAINT generations_status_check;
UPDATE generations SET status = 'retired' WHERE status = 'failed';
ALTER TABLE generations
    ADD CONSTRAINT generations_status_check
        CHECK (status IN ('building', 'trial', 'inspection', 'live', 'previous', 'returning', 'retired')),
    ADD COLUMN fence       bigint  NOT NULL DEFAULT 0,  -- raised by each process that takes over building it
    ADD COLUMN revision    bigint  NOT NULL DEFAULT 0,  -- raised by what changes rows without moving positions
    ADD COLUMN attempts    integer NOT NULL DEFAULT 0,  -- processes that began what comes after `positions` and did not finish
    ADD COLUMN code        text    NOT NULL DEFAULT '', -- digest of the code that began to build it
    ADD COLUMN replaced_at timestamptz;                 -- since when it is `previous`, or `retired`
CREATE UNIQUE INDEX one_previous_generation ON generations (projection) WHERE status = 'previous';
CREATE UNIQUE INDEX one_building_generation ON generations (projection) WHERE status = 'building';

CREATE TABLE rebuilds (
    id          uuid        PRIMARY KEY,
    projection  text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('rebuild', 'dry_run', 'verify', 'inspection', 'rollback')),
    state       text        NOT NULL,
    generation  integer,                                -- the one built, or put back
    replaced    integer,                                -- the one that was live
    version     integer     NOT NULL,                   -- of the projection's code
    code        text        NOT NULL,                   -- digest of the code
    actor       text        NOT NULL,
    holder      text        NOT NULL,                   -- the process: user@host, process number
    reason      text,
    progress    jsonb       NOT NULL DEFAULT '{}',
    outcome     jsonb       NOT NULL DEFAULT '{}',      -- range, digests, differences
    error       text,
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz
);
CREATE INDEX rebuilds_of ON rebuilds (projection, begun_at);

ALTER TABLE projection_controls
    ADD COLUMN changed_by text,         -- who paused or resumed it last
    ADD COLUMN changed_at timestamptz;  -- and when
