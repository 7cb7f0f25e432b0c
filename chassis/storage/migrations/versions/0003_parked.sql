-- What a consumer could not apply, and what waits behind it, in the order in which the consumer met it. A consumer is a
-- projection, by its name, of which each generation has its own; or `reaction:<name>`, which has no generations.
CREATE TABLE parked (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    place      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    consumer   text        NOT NULL,
    generation integer,
    service    text        NOT NULL,
    sequence   bigint      NOT NULL,
    type       text        NOT NULL,
    subject    text        NOT NULL,
    key        text,                                 -- later events of this key wait; without one, all of this subject
    headers    jsonb       NOT NULL,
    data       bytea       NOT NULL,
    exception  text,                                 -- why it could not be applied; NULL: it waits behind another
    traceback  text,
    attempts   integer     NOT NULL,                 -- times it was tried, counted before
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at   timestamptz,                          -- when an operator last had it tried again
    UNIQUE NULLS NOT DISTINCT (consumer, generation, service, sequence),
    FOREIGN KEY (consumer, generation) REFERENCES generations (projection, generation) ON DELETE CASCADE
);
CREATE INDEX parked_by_key ON parked (consumer, generation, key);
CREATE INDEX parked_by_subject ON parked (consumer, generation, subject);

-- What an operator gave up, for ever: no generation of the projection applies it, a rebuild skips it.
CREATE TABLE discarded (
    consumer     text        NOT NULL,
    service      text        NOT NULL,
    sequence     bigint      NOT NULL,
    id           uuid        NOT NULL UNIQUE,        -- under which it was parked
    place        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    type         text        NOT NULL,
    subject      text        NOT NULL,
    key          text,
    headers      jsonb       NOT NULL,
    exception    text,
    attempts     integer     NOT NULL,
    parked_at    timestamptz NOT NULL,
    discarded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    discarded_by text        NOT NULL,
    reason       text        NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (consumer, service, sequence)
);

-- The process that last counted an attempt: it counts once, however often it starts over.
ALTER TABLE generations ADD COLUMN attempted_by uuid;

ALTER TABLE inbox
    DROP CONSTRAINT inbox_outcome_check,
    ADD CONSTRAINT inbox_outcome_check CHECK (outcome IN ('handled', 'refused', 'discarded'));
