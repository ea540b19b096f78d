-- Why an event is parked, in a word, and which build could not take it: a newer one tries again.
ALTER TABLE projection_parked ADD COLUMN cause text;
ALTER TABLE projection_parked ADD COLUMN schema_version smallint;
ALTER TABLE projection_parked ADD COLUMN build text;

-- Why the table has to be folded anew.
ALTER TABLE projection_generations ADD COLUMN rebuild_wanted text;
-- When the checkpoint last moved, milliseconds.
ALTER TABLE projection_generations ADD COLUMN moved_at bigint;
