//! Looking for contradictions.

use super::keys::{KeyKind, candidates};
use super::read::Snapshot;
use crate::IndexError;
use crate::error::Doing;
use vna_dicom::PublicId;

/// Problems that are told one by one; more of them say nothing new.
const MAX_PROBLEMS: usize = 100;

/// Statements that give a row for each contradiction: what, and of which resource. Below a deleted resource rows
/// go one by one, and counters are not kept.
const CONTRADICTIONS: [(&str, &str); 16] = [
    (
        "series counts other instances or bytes than it has",
        "SELECT series.id FROM series LEFT JOIN (
             SELECT series AS id, count(*) AS n, sum(stored_size) AS stored, sum(plain_size) AS plain
             FROM instance JOIN blob ON blob.id = instance.blob WHERE state = 0 GROUP BY series) AS found
         ON found.id = series.id
         JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
         WHERE series.state = 0 AND study.state = 0 AND patient.state = 0 AND (series.instances <> coalesce(n, 0)
             OR series.stored_bytes <> coalesce(stored, 0) OR series.plain_bytes <> coalesce(plain, 0))",
    ),
    (
        "study counts other series, instances or bytes than it has",
        "SELECT study.id FROM study LEFT JOIN (
             SELECT study AS id, count(*) AS n, sum(instances) AS i, sum(stored_bytes) AS b
             FROM series WHERE state = 0 GROUP BY study) AS found
         ON found.id = study.id JOIN patient ON patient.id = study.patient
         WHERE study.state = 0 AND patient.state = 0 AND (study.series <> coalesce(n, 0)
             OR study.instances <> coalesce(i, 0) OR study.stored_bytes <> coalesce(b, 0))",
    ),
    (
        "patient counts other studies, series, instances or bytes than it has",
        "SELECT patient.id FROM patient LEFT JOIN (
             SELECT patient AS id, count(*) AS n, sum(series) AS s, sum(instances) AS i, sum(stored_bytes) AS b
             FROM study WHERE state = 0 GROUP BY patient) AS found
         ON found.id = patient.id WHERE patient.state = 0 AND (patient.studies <> coalesce(n, 0)
             OR patient.series <> coalesce(s, 0) OR patient.instances <> coalesce(i, 0)
             OR patient.stored_bytes <> coalesce(b, 0))",
    ),
    (
        "tenant counts other patients, studies, series, instances or bytes than it has",
        "SELECT tenant.id FROM tenant LEFT JOIN (
             SELECT tenant AS id, count(*) AS p, sum(studies) AS t, sum(series) AS s, sum(instances) AS i,
                    sum(stored_bytes) AS b
             FROM patient WHERE state = 0 GROUP BY tenant) AS found
         ON found.id = tenant.id WHERE tenant.patients <> coalesce(p, 0) OR tenant.studies <> coalesce(t, 0)
             OR tenant.series <> coalesce(s, 0) OR tenant.instances <> coalesce(i, 0)
             OR tenant.stored_bytes <> coalesce(b, 0)",
    ),
    (
        "instance without its series",
        "SELECT id FROM instance WHERE NOT EXISTS (SELECT 1 FROM series WHERE series.id = instance.series)",
    ),
    (
        "series without its study",
        "SELECT id FROM series WHERE NOT EXISTS (SELECT 1 FROM study WHERE study.id = series.study)",
    ),
    (
        "study without its patient",
        "SELECT id FROM study WHERE NOT EXISTS (SELECT 1 FROM patient WHERE patient.id = study.patient)",
    ),
    (
        "instance without its blob",
        "SELECT id FROM instance WHERE NOT EXISTS (SELECT 1 FROM blob WHERE blob.id = instance.blob)",
    ),
    (
        "deleted without an entry to purge it",
        "SELECT id FROM (SELECT id FROM patient WHERE state = 4 UNION ALL SELECT id FROM study WHERE state = 4
             UNION ALL SELECT id FROM series WHERE state = 4 UNION ALL SELECT id FROM instance WHERE state = 4)
         WHERE NOT EXISTS (SELECT 1 FROM purge WHERE resource = id)",
    ),
    (
        "note of nothing",
        "SELECT resource FROM note WHERE NOT EXISTS (
             SELECT 1 FROM patient WHERE id = resource AND level = 0 UNION ALL
             SELECT 1 FROM study WHERE id = resource AND level = 1 UNION ALL
             SELECT 1 FROM series WHERE id = resource AND level = 2 UNION ALL
             SELECT 1 FROM instance WHERE id = resource AND level = 3)
         OR (blob IS NOT NULL AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.id = note.blob))
         OR (kind > 1 AND blob IS NULL)",
    ),
    (
        "note on the ground of an instance that is not there",
        "SELECT resource FROM note WHERE ground IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.id = note.ground)",
    ),
    (
        "patient is protected without a note, or the other way round",
        "SELECT id FROM patient WHERE protected <>
             EXISTS (SELECT 1 FROM note WHERE resource = patient.id AND kind = 3)",
    ),
    (
        "resource counts other bytes of attachments than it has",
        "WITH attached (level, id, stored, plain) AS (
                 SELECT level, resource, stored_size, size FROM note JOIN blob ON blob.id = note.blob WHERE kind = 2),
             of_series (id, stored, plain) AS (
                 SELECT id, stored, plain FROM attached WHERE level = 2 UNION ALL
                 SELECT series, stored, plain FROM attached JOIN instance USING (id) WHERE level = 3 AND state = 0),
             of_study (id, stored, plain) AS (
                 SELECT id, stored, plain FROM attached WHERE level = 1 UNION ALL
                 SELECT study, stored, plain FROM of_series JOIN series USING (id) WHERE state = 0),
             of_patient (id, stored, plain) AS (
                 SELECT id, stored, plain FROM attached WHERE level = 0 UNION ALL
                 SELECT patient, stored, plain FROM of_study JOIN study USING (id) WHERE state = 0),
             sums (id, stored, plain) AS (
                 SELECT id, sum(stored), sum(plain) FROM (SELECT * FROM of_series UNION ALL SELECT * FROM of_study
                     UNION ALL SELECT * FROM of_patient) GROUP BY id)
         SELECT id FROM (
             SELECT series.id, series.attached_stored AS s, series.attached_plain AS p FROM series
                    JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
             WHERE series.state = 0 AND study.state = 0 AND patient.state = 0 UNION ALL
             SELECT study.id, study.attached_stored, study.attached_plain FROM study
                    JOIN patient ON patient.id = study.patient WHERE study.state = 0 AND patient.state = 0 UNION ALL
             SELECT id, attached_stored, attached_plain FROM patient WHERE state = 0)
         LEFT JOIN sums USING (id) WHERE s <> coalesce(stored, 0) OR p <> coalesce(plain, 0)",
    ),
    (
        "tenant counts other bytes of attachments than it has",
        "SELECT tenant.id FROM tenant LEFT JOIN (
             SELECT tenant AS id, sum(attached_stored) AS s, sum(attached_plain) AS p
             FROM patient WHERE state = 0 GROUP BY tenant) AS found
         ON found.id = tenant.id
         WHERE tenant.attached_stored <> coalesce(s, 0) OR tenant.attached_plain <> coalesce(p, 0)",
    ),
    (
        "change awaited of nothing",
        "SELECT resource FROM awaited WHERE NOT EXISTS (
             SELECT 1 FROM patient WHERE id = resource UNION ALL SELECT 1 FROM study WHERE id = resource UNION ALL
             SELECT 1 FROM series WHERE id = resource)",
    ),
    (
        "blob with other references than rows",
        "SELECT id FROM blob WHERE refs <> coalesce(
             (SELECT n FROM (SELECT b, count(*) AS n FROM (
                     SELECT blob AS b FROM instance UNION ALL SELECT blob AS b FROM note
                     UNION ALL SELECT blob AS b FROM change WHERE blob IS NOT NULL) GROUP BY b)
              WHERE b = blob.id), 0)",
    ),
];

/// What is wrong, in words; empty if nothing is.
pub(crate) fn problems(snapshot: &Snapshot<'_>) -> Result<Vec<String>, IndexError> {
    const DOING: &str = "checking the index";
    let mut problems = Vec::new();
    let mut statement = snapshot
        .connection
        .prepare("PRAGMA integrity_check")
        .doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    while let Some(row) = rows.next().doing(DOING)? {
        let line: String = row.get(0).doing(DOING)?;
        if line != "ok" {
            problems.push(line);
        }
    }
    for (what, sql) in CONTRADICTIONS {
        let mut statement = snapshot.connection.prepare(sql).doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            problems.push(format!("{what}: {}", row.get::<_, i64>(0).doing(DOING)?));
        }
    }
    keys(snapshot, &mut problems)?;
    problems.truncate(MAX_PROBLEMS);
    Ok(problems)
}

/// Every resource must be found by its public id and its identifier.
fn keys(snapshot: &Snapshot<'_>, problems: &mut Vec<String>) -> Result<(), IndexError> {
    const DOING: &str = "checking keys";
    for (sql, kind) in [
        (
            "SELECT id, tenant, public_id, patient_id FROM patient",
            KeyKind::PatientId,
        ),
        (
            "SELECT id, tenant, public_id, study_uid FROM study",
            KeyKind::StudyUid,
        ),
        (
            "SELECT id, tenant, public_id, series_uid FROM series",
            KeyKind::SeriesUid,
        ),
        (
            "SELECT id, tenant, public_id, sop_uid FROM instance",
            KeyKind::SopUid,
        ),
    ] {
        let mut statement = snapshot.connection.prepare(sql).doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        while let Some(row) = rows.next().doing(DOING)? {
            let (id, tenant): (i64, i64) = (row.get(0).doing(DOING)?, row.get(1).doing(DOING)?);
            let public_id = PublicId(row.get(2).doing(DOING)?);
            let identifier: String = row.get(3).doing(DOING)?;
            for hash in [
                snapshot.hasher.public_id(tenant, &public_id),
                snapshot.hasher.text(tenant, kind, &identifier),
            ] {
                if !candidates(snapshot.connection, snapshot.tail, hash)?.contains(&id) {
                    problems.push(format!("resource without its key: {id}"));
                }
            }
        }
    }
    Ok(())
}
