-- The oldest build, by generation, that understands this schema.
CREATE TABLE projection_schema (
    one           integer PRIMARY KEY CHECK (one = 1),
    oldest_binary integer NOT NULL
);
INSERT INTO projection_schema VALUES (1, 1);
