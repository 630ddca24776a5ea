-- Remote archives that were set over REST, beside those of the configuration; JSON of vna.settings.Peer.
CREATE TABLE peer (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) WITHOUT ROWID;
