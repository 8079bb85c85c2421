-- What nodes have drawn of limit windows. Keys' windows (0) and workspaces' (1). Also kept: what was asked last. Small
-- rows that change all the time: room in their pages, and no index on what changes with every draw.
CREATE TABLE limit_windows (
    scope          bigint NOT NULL,
    number         bigint NOT NULL,
    seconds        bigint NOT NULL,
    -- Which of the windows of this length.
    slot           bigint NOT NULL,
    -- The fixed window, counted from the Unix epoch, and what was granted in it and in the one before.
    bucket         bigint NOT NULL,
    granted_now    bigint NOT NULL,
    granted_before bigint NOT NULL,
    granted_last   bigint NOT NULL,
    at_ms          bigint NOT NULL,
    -- From then on, in Unix seconds, the row says nothing.
    ends_at        bigint NOT NULL,
    asked_limit    bigint NOT NULL,
    asked_needed   bigint NOT NULL,
    asked_smallest bigint NOT NULL,
    asked_want     bigint NOT NULL,
    asked_already  bigint NOT NULL,
    asked_nodes    bigint NOT NULL,
    PRIMARY KEY (scope, number, seconds, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX limit_windows_ends_at ON limit_windows (ends_at);

-- The same of smooth windows: when everything granted has drained, in Unix nanoseconds.
CREATE TABLE limit_drains (
    scope          bigint NOT NULL,
    number         bigint NOT NULL,
    seconds        bigint NOT NULL,
    slot           bigint NOT NULL,
    drained_at_ns  bigint NOT NULL,
    granted_last   bigint NOT NULL,
    at_ms          bigint NOT NULL,
    ends_at        bigint NOT NULL,
    asked_limit    bigint NOT NULL,
    asked_needed   bigint NOT NULL,
    asked_smallest bigint NOT NULL,
    PRIMARY KEY (scope, number, seconds, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX limit_drains_ends_at ON limit_drains (ends_at);
