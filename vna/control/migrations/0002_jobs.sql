-- Long actions and what became of them. Times are microseconds since 1970 in UTC.
CREATE TABLE job (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant INTEGER NOT NULL,
    -- Who asked for it.
    user TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('Pending', 'Running', 'Success', 'Failure', 'Paused', 'Retry')),
    priority INTEGER NOT NULL,
    -- Whose slots it takes; empty: those of this machine.
    destination TEXT NOT NULL,
    -- JSON: what to do, how far it is (for the job itself), what is shown of it.
    content TEXT NOT NULL,
    saved TEXT NOT NULL,
    shown TEXT NOT NULL,
    user_data TEXT,
    progress REAL NOT NULL DEFAULT 0,
    runtime_us INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL,
    completed_us INTEGER,
    -- It waits until then; NULL: for nothing but a slot.
    run_after_us INTEGER,
    retries_left INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- The process that runs it, and until when it may be believed to.
    owner TEXT,
    lease_us INTEGER,
    -- Number and wording for clients of Orthanc, our message, our code, JSON of what a peer said.
    error_number INTEGER NOT NULL DEFAULT 0,
    error_description TEXT NOT NULL DEFAULT 'Success',
    error_details TEXT NOT NULL DEFAULT '',
    error_code TEXT NOT NULL DEFAULT '',
    error_payload TEXT
);
CREATE INDEX job_queue ON job (destination, priority DESC, sequence)
    WHERE state = 'Pending' AND run_after_us IS NULL;
CREATE INDEX job_due ON job (run_after_us)
    WHERE state IN ('Pending', 'Retry') AND run_after_us IS NOT NULL;
CREATE INDEX job_running ON job (lease_us) WHERE state = 'Running';
CREATE INDEX job_completed ON job (completed_us) WHERE state IN ('Success', 'Failure');

-- Files that jobs leave behind, in a folder of their own.
CREATE TABLE job_output (
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    -- Its name in that folder.
    file TEXT NOT NULL UNIQUE,
    media_type TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (job, key)
) WITHOUT ROWID;
