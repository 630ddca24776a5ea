-- An event is a record of the log that lives as long as its row of the feed: as a blob. What arrivals tell follows from
-- them and has none.
ALTER TABLE change ADD COLUMN blob INTEGER;

-- Changes that are to be told: that a resource went quiet, or that a series has all that it announced; see awaited.rs.
CREATE TABLE awaited (
    resource        INTEGER NOT NULL,
    change          INTEGER NOT NULL,    -- its type
    since_us        INTEGER NOT NULL,    -- not before the last arrival that was known then; 0: to be told at once
    PRIMARY KEY (resource, change)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_since ON awaited (since_us);

-- Patients that recycling spares, since we committed ourselves to keep what they have.
CREATE TABLE spared (
    patient         INTEGER PRIMARY KEY,
    until_us        INTEGER NOT NULL
) STRICT;
