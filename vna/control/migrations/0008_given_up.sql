-- Recompressions for which an operator gave originals up: who, when, how, and what became of it. Never deleted.
-- Times are microseconds since 1970 in UTC.
CREATE TABLE given_up (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    began_us INTEGER NOT NULL,
    -- Of the last step that was recorded; ended: that was the last one there was to do.
    last_us INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    user TEXT NOT NULL,
    way_in TEXT NOT NULL,
    address TEXT NOT NULL,
    method TEXT NOT NULL,
    lossy INTEGER NOT NULL,
    older_than_days INTEGER NOT NULL,
    -- Looked at, and those of them of which the original is gone; bytes are of the latter.
    files INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    bytes_before INTEGER NOT NULL DEFAULT 0,
    bytes_after INTEGER NOT NULL DEFAULT 0
);
