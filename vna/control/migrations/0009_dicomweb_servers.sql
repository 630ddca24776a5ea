-- Remote DICOMweb servers that were set over REST, beside those of the configuration; JSON of vna.settings.WebServer.
CREATE TABLE dicomweb_server (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) WITHOUT ROWID;
