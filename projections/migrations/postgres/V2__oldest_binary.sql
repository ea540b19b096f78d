-- The oldest build, by generation, that understands this schema.
CREATE TABLE projection_schema (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    oldest_binary integer NOT NULL
);
INSERT INTO projection_schema VALUES (true, 1);
