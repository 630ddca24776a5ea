-- The index, first form. Times are microseconds of UTC; DICOM dates and times are never converted to it.
--
-- Resources of all four levels take their ids from one sequence, in the order of arrival, never reused: an
-- id names a resource without its level, ordering by id is ordering by arrival, and "all up to this id"
-- describes what the background work has done.
--
-- state: 0 live, 1 superseded (a version that is kept but not live), 2 rejected, 3 hidden, 4 deleted.
-- A resource is live if it and all above it are. Uniqueness (tenant, issuer, PatientID), (patient, study UID),
-- (study, series UID), (series, SOP UID) holds among live rows; the writer keeps it, through `key`.

CREATE TABLE meta (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    covered_lsn     INTEGER NOT NULL, -- last entry of the log that was applied
    next_id         INTEGER NOT NULL, -- next resource
    next_blob       INTEGER NOT NULL,
    key_seed        INTEGER NOT NULL, -- of the hashes in `key`; secret, so that nobody can make them collide
    keyed_to        INTEGER NOT NULL, -- `key` has all resources up to this id
    termed_to       INTEGER NOT NULL, -- `term` has all patients and studies up to this id
    grammed_to      INTEGER NOT NULL, -- `gram` likewise
    syncs           INTEGER NOT NULL  -- counts synced commits, so that each has a page to write
) STRICT;

CREATE TABLE tenant (
    id              INTEGER PRIMARY KEY,
    patients        INTEGER NOT NULL DEFAULT 0,
    studies         INTEGER NOT NULL DEFAULT 0,
    series          INTEGER NOT NULL DEFAULT 0,
    instances       INTEGER NOT NULL DEFAULT 0,
    stored_bytes    INTEGER NOT NULL DEFAULT 0,
    plain_bytes     INTEGER NOT NULL DEFAULT 0,
    versions        INTEGER NOT NULL DEFAULT 0, -- kept, not live
    version_bytes   INTEGER NOT NULL DEFAULT 0,
    last_seq        INTEGER NOT NULL DEFAULT 0  -- of the change feed
) STRICT;

CREATE TABLE patient (
    id              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL,
    state           INTEGER NOT NULL DEFAULT 0,
    issuer          TEXT NOT NULL,    -- (0010,0021)
    patient_id      TEXT NOT NULL,    -- (0010,0020)
    public_id       BLOB NOT NULL,
    merged_into     INTEGER,          -- patient
    protected       INTEGER NOT NULL DEFAULT 0,
    studies         INTEGER NOT NULL DEFAULT 0,
    series          INTEGER NOT NULL DEFAULT 0,
    instances       INTEGER NOT NULL DEFAULT 0,
    stored_bytes    INTEGER NOT NULL DEFAULT 0,
    plain_bytes     INTEGER NOT NULL DEFAULT 0,
    created_lsn     INTEGER NOT NULL,
    last_update_us  INTEGER NOT NULL,
    tags            BLOB NOT NULL
) STRICT;

CREATE TABLE study (
    id              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL,
    state           INTEGER NOT NULL DEFAULT 0,
    conflict        INTEGER NOT NULL DEFAULT 0, -- its UID is live below another patient too
    patient         INTEGER NOT NULL,
    study_uid       TEXT NOT NULL,    -- (0020,000D)
    public_id       BLOB NOT NULL,
    study_date      INTEGER,          -- (0008,0020) as yyyymmdd
    study_time      INTEGER,          -- (0008,0030) as microseconds of the day
    accession       TEXT NOT NULL,    -- (0008,0050)
    accession_issuer TEXT NOT NULL,   -- of (0008,0051)
    series          INTEGER NOT NULL DEFAULT 0,
    instances       INTEGER NOT NULL DEFAULT 0,
    stored_bytes    INTEGER NOT NULL DEFAULT 0,
    plain_bytes     INTEGER NOT NULL DEFAULT 0,
    created_lsn     INTEGER NOT NULL,
    last_update_us  INTEGER NOT NULL,
    tags            BLOB NOT NULL     -- with the patient's attributes as they arrived
) STRICT;
CREATE INDEX study_patient ON study (patient);
CREATE INDEX study_by_date ON study (tenant, study_date);

CREATE TABLE series (
    id              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL,
    state           INTEGER NOT NULL DEFAULT 0,
    conflict        INTEGER NOT NULL DEFAULT 0, -- its UID is live below another study too
    study           INTEGER NOT NULL,
    series_uid      TEXT NOT NULL,    -- (0020,000E)
    public_id       BLOB NOT NULL,
    modality        TEXT NOT NULL,    -- (0008,0060)
    expected        INTEGER,          -- instances that the first one announced
    instances       INTEGER NOT NULL DEFAULT 0,
    stored_bytes    INTEGER NOT NULL DEFAULT 0,
    plain_bytes     INTEGER NOT NULL DEFAULT 0,
    created_lsn     INTEGER NOT NULL,
    last_update_us  INTEGER NOT NULL,
    tags            BLOB NOT NULL
) STRICT;
CREATE INDEX series_study ON series (study);

CREATE TABLE instance (
    id              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL,
    state           INTEGER NOT NULL DEFAULT 0,
    version         INTEGER NOT NULL DEFAULT 1,
    conflict        INTEGER NOT NULL DEFAULT 0, -- its UID is live below another series too
    series          INTEGER NOT NULL,
    sop_uid         TEXT NOT NULL,    -- (0008,0018)
    public_id       BLOB NOT NULL,
    sop_class       INTEGER NOT NULL, -- word
    syntax          INTEGER NOT NULL, -- word
    index_in_series INTEGER,
    frames          INTEGER NOT NULL,
    blob            INTEGER NOT NULL,
    file_size       INTEGER NOT NULL,
    data_set_offset INTEGER NOT NULL,
    pixel_offset    INTEGER,
    origin          INTEGER NOT NULL,
    received_us     INTEGER NOT NULL,
    expires_us      INTEGER,          -- when a version that is not live goes
    lsn             INTEGER NOT NULL,
    tags            BLOB NOT NULL
) STRICT;
CREATE INDEX instance_series ON instance (series);
CREATE INDEX instance_expiry ON instance (expires_us) WHERE expires_us IS NOT NULL;

CREATE TABLE blob (
    id              INTEGER PRIMARY KEY,
    store           INTEGER NOT NULL,
    key             BLOB NOT NULL,
    place_a         INTEGER NOT NULL, -- segment or pack; negative: a file of its own
    place_b         INTEGER NOT NULL,
    stored_size     INTEGER NOT NULL,
    plain_size      INTEGER NOT NULL,
    encoding        INTEGER NOT NULL,
    digest          BLOB NOT NULL,    -- of the plain bytes
    availability    INTEGER NOT NULL,
    refs            INTEGER NOT NULL  -- rows that need it
) STRICT;
-- Blobs arrive in the order of their places, so this index grows at its end.
CREATE INDEX blob_place ON blob (store, place_a, place_b);

-- Short texts that repeat: SOP classes, transfer syntaxes.
CREATE TABLE word (
    id              INTEGER PRIMARY KEY,
    text            TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE origin (
    id              INTEGER PRIMARY KEY,
    way_in          TEXT NOT NULL,
    calling_ae      TEXT NOT NULL,
    called_ae       TEXT NOT NULL,
    address         TEXT NOT NULL,
    user            TEXT NOT NULL,
    UNIQUE (way_in, calling_ae, called_ae, address, user)
) STRICT;

CREATE TABLE series_class (
    series          INTEGER NOT NULL,
    sop_class       INTEGER NOT NULL, -- word
    PRIMARY KEY (series, sop_class)
) STRICT, WITHOUT ROWID;

CREATE TABLE change (
    seq             INTEGER PRIMARY KEY, -- from the log position: see changes.rs
    tenant          INTEGER NOT NULL,
    type            INTEGER NOT NULL,
    level           INTEGER NOT NULL,    -- 0 patient ... 3 instance
    resource        INTEGER NOT NULL,
    at_us           INTEGER NOT NULL
) STRICT;
-- A resource's NewX follows from its created_lsn; the others are few.
CREATE INDEX change_resource ON change (resource) WHERE type > 3;
-- Of the feed, what a client asks for by type is seldom NewInstance.
CREATE INDEX change_type ON change (tenant, type, seq) WHERE type > 0;

CREATE TABLE label (
    resource        INTEGER NOT NULL,
    tenant          INTEGER NOT NULL,
    label           TEXT NOT NULL,
    PRIMARY KEY (resource, label)
) STRICT, WITHOUT ROWID;
CREATE INDEX label_by_name ON label (tenant, label, resource);

CREATE TABLE metadata (
    resource        INTEGER NOT NULL,
    type            INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 0,
    value           TEXT NOT NULL,
    PRIMARY KEY (resource, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment (
    resource        INTEGER NOT NULL,
    type            INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 0,
    blob            INTEGER NOT NULL,
    PRIMARY KEY (resource, type)
) STRICT, WITHOUT ROWID;

-- Look-up by identifier: hash of (tenant, kind of identifier, identifier) -> resource. A hit is a candidate,
-- checked against the row. Filled in sorted runs behind the ingest; see keys.rs.
CREATE TABLE key (
    hash            INTEGER NOT NULL,
    resource        INTEGER NOT NULL,
    PRIMARY KEY (hash, resource)
) STRICT, WITHOUT ROWID;

-- Normalised texts of patients and studies, for ranges and wildcards; see terms.rs.
CREATE TABLE term (
    field           INTEGER NOT NULL,
    value           TEXT NOT NULL,
    resource        INTEGER NOT NULL,
    PRIMARY KEY (field, value, resource)
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE gram USING fts5 (
    grams, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii'
);

-- Deleted resources whose rows are still to be removed.
CREATE TABLE purge (
    resource        INTEGER PRIMARY KEY,
    level           INTEGER NOT NULL
) STRICT;

INSERT INTO meta VALUES (1, 0, 1, 1, random(), 0, 0, 0, 0);
