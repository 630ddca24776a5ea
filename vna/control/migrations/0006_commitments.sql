-- Storage commitment (PS3.4 Annex J): transactions of both roles. Times are microseconds since 1970.
CREATE TABLE commitment (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    -- 'asked': a peer asked us, and gets a report; 'asking': we asked a peer, and wait for its report.
    role TEXT NOT NULL CHECK (role IN ('asked', 'asking')),
    transaction_uid TEXT NOT NULL,
    -- AE titles: the peer's, and ours as the peer knows it.
    peer_ae_title TEXT NOT NULL,
    own_ae_title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('Pending', 'Success', 'Failure')),
    created_us INTEGER NOT NULL,
    ended_us INTEGER,
    UNIQUE (role, tenant, transaction_uid, peer_ae_title)
);
CREATE INDEX commitment_uid ON commitment (transaction_uid);

CREATE TABLE commitment_instance (
    commitment INTEGER NOT NULL REFERENCES commitment (sequence) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    -- Failure Reason (0008,1197), 0 if it is committed; NULL: not known yet.
    failure_reason INTEGER,
    PRIMARY KEY (commitment, position)
) WITHOUT ROWID;

-- What we committed ourselves to, and when last: recycling spares it.
CREATE TABLE committed_instance (
    tenant INTEGER NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    committed_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, sop_instance_uid)
) WITHOUT ROWID;
