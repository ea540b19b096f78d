-- How often parked events of a table were taken: rows change then without an event of their own, and whoever has looked
-- at them has to look again.
ALTER TABLE projection_generations ADD COLUMN releases bigint NOT NULL DEFAULT 0;
