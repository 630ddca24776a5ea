-- Modality Worklist (PS3.4 Annex K): scheduled procedure steps. Keys are there to narrow a query
-- before the data sets are compared: folded, and NULL where only the data set tells.
CREATE TABLE worklist_item (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'SCHEDULED'
        CHECK (status IN ('SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
    -- The worklist file it was read from, below worklist.folder, and what told that it changed.
    file TEXT,
    stamp TEXT,
    start_date TEXT,
    station_ae_title TEXT,
    modality TEXT,
    patient_id TEXT,
    patient_name TEXT,
    accession_number TEXT,
    -- What a performed procedure step refers to, as it is.
    study_instance_uid TEXT NOT NULL,
    scheduled_procedure_step_id TEXT NOT NULL,
    changed_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX worklist_file ON worklist_item (tenant, file) WHERE file IS NOT NULL;
-- All keys of what can be answered: a query walks over this alone, a few milliseconds for 10,000.
CREATE INDEX worklist_open ON worklist_item
    (tenant, start_date, station_ae_title, modality, patient_id, patient_name, accession_number)
    WHERE status IN ('SCHEDULED', 'IN PROGRESS');
CREATE INDEX worklist_step ON worklist_item (study_instance_uid, scheduled_procedure_step_id);

-- Apart, so that a walk over the keys reads no data sets. Explicit VR Little Endian, no meta information.
CREATE TABLE worklist_data_set (
    sequence INTEGER PRIMARY KEY REFERENCES worklist_item (sequence) ON DELETE CASCADE,
    data_set BLOB NOT NULL
);
