-- Why an event is parked, in a word, and which build could not take it: a newer one tries again.
ALTER TABLE projection_parked
    ADD COLUMN cause          text,
    ADD COLUMN schema_version smallint,
    ADD COLUMN build          text;

ALTER TABLE projection_generations
    ADD COLUMN rebuild_wanted text,         -- why the table has to be folded anew
    ADD COLUMN moved_at       bigint;       -- when the checkpoint last moved, milliseconds
