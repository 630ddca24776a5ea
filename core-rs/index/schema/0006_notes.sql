-- Notes: all that belongs to a resource beside its tags and that no stored file holds. kind: 0 label, 1 metadata,
-- 2 attachment, 3 protection from recycling. A note is a record of the log that lives as long as its row, as a blob.
-- It stands on an instance of its resource that had arrived before, without which a rebuilt index would not know the
-- resource when it comes to the record. What an arrival itself says of its resources (what they are copies of) is a
-- note without a record of its own until its ground goes.
CREATE TABLE note (
    resource        INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    number          INTEGER NOT NULL,    -- type of metadata or attachment, else 0
    name            TEXT NOT NULL,       -- of a label, else empty
    tenant          INTEGER NOT NULL,
    level           INTEGER NOT NULL,    -- of the resource: 0 patient ... 3 instance
    revision        INTEGER NOT NULL,
    value           TEXT,                -- of metadata
    bytes           BLOB,                -- of metadata that is no text; `value` is what can be shown of it
    size            INTEGER,             -- of an attachment, not compressed
    md5             BLOB,                -- of an attachment, not compressed
    stored_md5      BLOB,                -- of an attachment that is compressed: of what is stored
    blob            INTEGER,             -- the record; NULL: the one of its ground
    ground          INTEGER,             -- the instance; NULL: its row is gone, the record is to be written again
    PRIMARY KEY (resource, kind, number, name)
) STRICT, WITHOUT ROWID;
INSERT INTO note (resource, kind, number, name, tenant, level, revision, blob, ground)
    SELECT resource, 0, 0, label, tenant, level, 0, blob, ground FROM label;
DROP TABLE label;
DROP TABLE metadata;   -- nothing has written to it, nor to the next
DROP TABLE attachment;
CREATE INDEX note_by_name ON note (tenant, name, resource) WHERE kind = 0;
CREATE INDEX note_by_ground ON note (ground);
CREATE VIEW label AS SELECT resource, tenant, level, name AS label FROM note WHERE kind = 0;
CREATE VIEW metadata AS SELECT resource, number AS type, value FROM note WHERE kind = 1;
CREATE VIEW attachment AS
    SELECT resource, number AS type, size, md5, stored_md5, note.blob AS blob, key, stored_size
    FROM note JOIN blob ON blob.id = note.blob WHERE kind = 2;
-- Attachments of a resource and of all below it: bytes in the store, and when read.
ALTER TABLE tenant  ADD COLUMN attached_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenant  ADD COLUMN attached_plain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE patient ADD COLUMN attached_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE patient ADD COLUMN attached_plain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE study   ADD COLUMN attached_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE study   ADD COLUMN attached_plain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE series  ADD COLUMN attached_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE series  ADD COLUMN attached_plain INTEGER NOT NULL DEFAULT 0;
