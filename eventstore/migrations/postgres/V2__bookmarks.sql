-- How far the holder of a lease has come in carrying the log somewhere else. One row per lease, updated in place.
CREATE TABLE log_bookmarks (
    name     text   COLLATE "C" PRIMARY KEY,
    token    bigint NOT NULL,
    position bigint NOT NULL,
    event_id uuid   NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
