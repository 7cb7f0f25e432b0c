-- What each comparison of this store with the stream found. Rows are few: one a run.
CREATE TABLE reconciliations (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor    text        NOT NULL,                      -- user@host of who compared
    position bigint      NOT NULL,                      -- the store's last event that was compared
    fine     boolean     NOT NULL,                      -- every event is on the stream once and in order, and nothing else
    finding  jsonb       NOT NULL                       -- what was counted, and what is wrong
);
