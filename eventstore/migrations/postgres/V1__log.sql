CREATE TABLE events (
    position       bigint      NOT NULL,
    stream_id      uuid        NOT NULL,
    -- "C": names are compared as bytes; a locale's collation would cost more than the rest of the look-up.
    category       text        COLLATE "C" NOT NULL,
    version        bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    type           text        COLLATE "C" NOT NULL,
    schema_version smallint    NOT NULL,
    data           jsonb       NOT NULL,
    metadata       jsonb       NOT NULL,
    recorded_at    timestamptz NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (position)
);
-- Serves a stream read, the look-up of its last version, and everything that shares an id.
CREATE UNIQUE INDEX events_stream ON events (stream_id, category, version);
-- An insert-only table is still to be frozen and analysed in small steps.
ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE FUNCTION log_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION log_refuse_change();

-- One row, updated by every commit: room on its page lets each new version take the place of a dead one.
CREATE TABLE log_head (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint  NOT NULL,
    epoch    uuid    NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO log_head VALUES (true, 0, gen_random_uuid());

-- The oldest build, by generation, that understands this schema.
CREATE TABLE log_schema (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    oldest_binary integer NOT NULL
);
INSERT INTO log_schema VALUES (true, 1);

-- Connections that may append. Striking one off is how the outcome of its last batch becomes final.
CREATE TABLE log_appenders (
    session   uuid        PRIMARY KEY,
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE log_leases (
    name       text        COLLATE "C" PRIMARY KEY,
    owner      uuid        NOT NULL,
    token      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE subject_keys (
    subject text  COLLATE "C" PRIMARY KEY,
    key_id  uuid  NOT NULL,
    wrapped bytea NOT NULL
);

-- Stores a batch of appends. READ COMMITTED: once the head is locked, every statement sees all earlier commits and nobody else
-- can commit events, so the checks hold until the end of the transaction.
--
-- A batch is flat arrays. An append is a run of entries (one per stream, `append_entries` gives the length of each run), an entry
-- is a run of events, `entry_before` counts the events of the batch before it. `entry_stream` is the place of the entry's stream
-- among the distinct streams of the batch. `expected` is a version, or -1 for any.
--
-- Gives, per entry, the version before its first event (`base`) and how many events are stored before it from `start` on
-- (`place`). All entries of an append that conflicts have -1 as base and the actual version of their stream as place.
CREATE FUNCTION log_append(
    appender uuid,
    append_entries int[], entry_stream int[], entry_before bigint[], entry_events int[], expected bigint[],
    streams uuid[], categories text[],
    event_entry int[], event_offset int[], event_stream uuid[], event_category text[],
    event_ids uuid[], types text[], schema_versions smallint[], datas jsonb[], metadatas jsonb[],
    OUT recorded timestamptz, OUT start bigint, OUT base bigint[], OUT place bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    current bigint[];       -- last version per distinct stream, as the batch goes on
    taken   bigint := 0;    -- events stored so far
    first   int := 1;       -- first entry of the append at hand
    last    int;
    refused boolean;
BEGIN
    SELECT h.position INTO start FROM log_head h FOR UPDATE;
    PERFORM FROM log_appenders a WHERE a.session = appender;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this appender has been struck off' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    recorded := clock_timestamp();
    SELECT array_agg(coalesce((SELECT e.version FROM events e WHERE e.stream_id = s.id AND e.category = s.category
                               ORDER BY e.version DESC LIMIT 1), 0) ORDER BY s.nth)
      INTO current
      FROM unnest(streams, categories) WITH ORDINALITY AS s (id, category, nth);

    -- The usual batch has each stream once and no conflict: nothing in it depends on anything else in it, and entry and stream
    -- have the same number.
    IF cardinality(streams) = cardinality(expected)
       AND NOT EXISTS (SELECT FROM unnest(expected, current) AS c (expected, actual) WHERE c.expected NOT IN (-1, c.actual))
    THEN
        base := current;
        place := entry_before;
        taken := cardinality(event_ids);
    ELSE
        base := expected;
        place := expected;
        FOR append IN 1 .. cardinality(append_entries) LOOP
            last := first + append_entries[append] - 1;
            refused := false;
            FOR entry IN first .. last LOOP
                base[entry] := current[entry_stream[entry]];
                refused := refused OR expected[entry] NOT IN (-1, base[entry]);
            END LOOP;
            FOR entry IN first .. last LOOP
                IF refused THEN
                    place[entry] := base[entry];
                    base[entry] := -1;
                ELSE
                    place[entry] := taken;
                    taken := taken + entry_events[entry];
                    current[entry_stream[entry]] := base[entry] + entry_events[entry];
                END IF;
            END LOOP;
            first := last + 1;
        END LOOP;
    END IF;

    IF taken > 0 THEN
        INSERT INTO events (position, stream_id, category, version, event_id, type, schema_version, data, metadata, recorded_at)
        SELECT start + place[e.entry] + e.nth, e.stream, e.category, base[e.entry] + e.nth, e.id, e.type, e.schema_version, e.data,
               e.metadata, recorded
          -- Unnested side by side in a target list, which streams the rows; as a table function they would all be copied first.
          FROM (SELECT unnest(event_entry) AS entry, unnest(event_offset) AS nth, unnest(event_stream) AS stream,
                       unnest(event_category) AS category, unnest(event_ids) AS id, unnest(types) AS type,
                       unnest(schema_versions) AS schema_version, unnest(datas) AS data, unnest(metadatas) AS metadata) AS e
         WHERE base[e.entry] >= 0;
        UPDATE log_head SET position = start + taken;
    END IF;
END
$$;

-- Strikes an appender off. When this has committed, its last batch is either in the log or never will be.
CREATE FUNCTION log_strike_off(appender uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM log_head FOR UPDATE;
    DELETE FROM log_appenders a WHERE a.session = appender;
END
$$;
