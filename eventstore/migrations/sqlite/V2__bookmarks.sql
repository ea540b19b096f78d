-- How far the holder of a lease has come in carrying the log somewhere else. One row per lease, updated in place.
CREATE TABLE log_bookmarks (
    name     TEXT    PRIMARY KEY,
    token    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB    NOT NULL
) STRICT;
