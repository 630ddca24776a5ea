-- Remote nodes that were set over REST, beside those of the configuration; JSON of vna.settings.Modality.
CREATE TABLE modality (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) WITHOUT ROWID;

-- Queries of remote nodes: JSON of vna.services.remote_queries.Query, and the answers in Explicit VR Little Endian.
CREATE TABLE remote_query (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant INTEGER NOT NULL,
    asked TEXT NOT NULL,
    -- Of all its answers.
    bytes INTEGER NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE TABLE remote_answer (
    query INTEGER NOT NULL REFERENCES remote_query (sequence) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data_set BLOB NOT NULL,
    PRIMARY KEY (query, number)
) WITHOUT ROWID;

-- What was sent to remote nodes, if dicom.log_exported_resources. Times are microseconds since 1970 in UTC.
CREATE TABLE export (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    modality TEXT NOT NULL,
    level TEXT NOT NULL,
    public_id TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL
);
CREATE INDEX export_of_tenant ON export (tenant, sequence);
