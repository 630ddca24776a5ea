-- Changes up to this number were cleared.
ALTER TABLE tenant ADD COLUMN cleared_seq INTEGER NOT NULL DEFAULT 0;
-- Tags that an operator wants to be indexed beside those of the levels. Those of patients are kept for studies too, which
-- have the patient's attributes as they came.
CREATE TABLE extra_tag (
    level           INTEGER NOT NULL,    -- of the rows: 0 patient ... 3 instance
    tag             INTEGER NOT NULL,
    filled_to       INTEGER NOT NULL,    -- resources up to this id have been read again
    due_to          INTEGER NOT NULL,    -- resources up to this id may have come without the tag being read
    PRIMARY KEY (level, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE extra_value (
    resource        INTEGER NOT NULL,
    tag             INTEGER NOT NULL,
    value           TEXT NOT NULL,
    search          TEXT NOT NULL,       -- folded; empty where it is long or has several values
    PRIMARY KEY (resource, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX extra_value_by_text ON extra_value (tag, search, resource);
