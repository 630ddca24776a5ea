-- A label is a record of the log that lives as long as its row: as a blob. It stands on an instance of its resource
-- that had arrived before, without which a rebuilt index would not know the resource when it comes to the record.
DROP TABLE label; -- nothing has written one yet
CREATE TABLE label (
    resource        INTEGER NOT NULL,
    tenant          INTEGER NOT NULL,
    level           INTEGER NOT NULL,    -- of the resource: 0 patient ... 3 instance
    label           TEXT NOT NULL,
    blob            INTEGER NOT NULL,
    ground          INTEGER,             -- the instance; NULL: its row is gone, the record is to be written again
    PRIMARY KEY (resource, label)
) STRICT, WITHOUT ROWID;
CREATE INDEX label_by_name ON label (tenant, label, resource);
CREATE INDEX label_by_ground ON label (ground);
