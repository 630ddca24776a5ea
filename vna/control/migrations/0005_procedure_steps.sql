-- Modality Performed Procedure Steps (PS3.4 Annex F). Times are microseconds since 1970 in UTC.
CREATE TABLE procedure_step (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
    -- Who created it.
    ae_title TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    -- DICOM JSON.
    data_set TEXT NOT NULL,
    UNIQUE (tenant, sop_instance_uid)
);

-- What it performs: items of Scheduled Step Attributes Sequence (0040,0270).
CREATE TABLE procedure_step_of (
    step INTEGER NOT NULL REFERENCES procedure_step (sequence) ON DELETE CASCADE,
    study_instance_uid TEXT NOT NULL,
    scheduled_procedure_step_id TEXT NOT NULL,
    accession_number TEXT NOT NULL
);
CREATE INDEX procedure_step_of_step ON procedure_step_of (step);
CREATE INDEX procedure_step_of_study ON procedure_step_of (study_instance_uid);
