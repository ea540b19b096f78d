-- One row per table of a view. A table is a generation: the live one, one that is being built beside it,
-- or one that has been replaced and waits to be dropped. The checkpoint moves in the same transaction as
-- the rows, by compare-and-set, which also fences two projectors of the same view.
CREATE TABLE projection_generations (
    view        text     NOT NULL,
    generation  bigint   NOT NULL,
    version     integer  NOT NULL,          -- of the view's definition
    state       text     NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    position    bigint   NOT NULL,
    event_id    blob     NOT NULL,
    recorded_at bigint,                     -- of the event at the checkpoint, milliseconds
    stopped     text,                       -- why the projection does not go on
    retired_at  bigint,                     -- when it was replaced, milliseconds
    PRIMARY KEY (view, generation)
);

-- The one row per view that readers follow; a rebuild cuts over by changing it.
CREATE TABLE projection_pointers (
    view       text PRIMARY KEY,
    generation bigint NOT NULL,
    last       bigint NOT NULL,             -- highest generation ever made: numbers are not used twice
    FOREIGN KEY (view, generation) REFERENCES projection_generations (view, generation)
);

-- Events that a view could not take, and those that follow them for the same key.
CREATE TABLE projection_parked (
    view       text   NOT NULL,
    generation bigint NOT NULL,
    key        blob   NOT NULL,
    position   bigint NOT NULL,
    event_type text   NOT NULL,
    reason     text   NOT NULL,
    PRIMARY KEY (view, generation, key, position),
    FOREIGN KEY (view, generation) REFERENCES projection_generations (view, generation) ON DELETE CASCADE
);
