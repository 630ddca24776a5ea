-- What was deleted stays for a while, so that it can be brought back: each entry of `purge` knows the deletion that
-- made it, and when its rows may go. Those of the first form may go at once.
ALTER TABLE purge ADD COLUMN lsn INTEGER NOT NULL DEFAULT 0;        -- of the deletion
ALTER TABLE purge ADD COLUMN deleted_us INTEGER NOT NULL DEFAULT 0; -- when, by the deletion
ALTER TABLE purge ADD COLUMN due_us INTEGER NOT NULL DEFAULT 0;     -- from when on the rows may go; 0: at once
ALTER TABLE purge ADD COLUMN was INTEGER NOT NULL DEFAULT 0;        -- state before: live or superseded
CREATE INDEX purge_due ON purge (due_us);
CREATE INDEX purge_deletion ON purge (lsn);
