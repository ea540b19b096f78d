-- What whoever takes up a table that a rebuild has left has to know of it: which build folded its rows, up to where in
-- the log it knew what operators wanted, and whether it is complete and waits for somebody.
ALTER TABLE projection_generations ADD COLUMN build text;
ALTER TABLE projection_generations ADD COLUMN heeded bigint;
ALTER TABLE projection_generations ADD COLUMN waits boolean NOT NULL DEFAULT false;
