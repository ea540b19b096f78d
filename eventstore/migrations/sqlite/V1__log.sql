CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    stream_id      BLOB    NOT NULL,
    category       TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    event_id       BLOB    NOT NULL,
    type           TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    data           TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    recorded_at    INTEGER NOT NULL -- microseconds since 1970, UTC
) STRICT;
-- Serves a stream read, the look-up of its last version, and everything that shares an id.
CREATE UNIQUE INDEX events_stream ON events (stream_id, category, version);

CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE log_head (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    epoch    BLOB    NOT NULL
) STRICT;
INSERT INTO log_head VALUES (1, 0, randomblob(16));

-- The oldest build, by generation, that understands this schema.
CREATE TABLE log_schema (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    oldest_binary INTEGER NOT NULL
) STRICT;
INSERT INTO log_schema VALUES (1, 1);

CREATE TABLE log_leases (
    name       TEXT    PRIMARY KEY,
    owner      BLOB    NOT NULL,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL -- microseconds since 1970, UTC
) STRICT;

CREATE TABLE subject_keys (
    subject TEXT PRIMARY KEY,
    key_id  BLOB NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;
