//! Answers that speak of what the archive just did, as finished JSON.

use vna_index::{Ids, Outcome};

/// The answer of `POST /instances`; `None` if `outcome` is not that of an upload.
pub fn upload_json(outcome: &Outcome) -> Option<Vec<u8>> {
    let (ids, status) = match outcome {
        Outcome::Stored { ids, .. } | Outcome::Superseded { ids, .. } => (ids, "Success"),
        // Clients know two answers: a version that lost against the live one is "already stored" too.
        Outcome::AlreadyStored { ids, .. } | Outcome::KeptAsVersion { ids, .. } => {
            (ids, "AlreadyStored")
        }
        Outcome::Deleted { .. }
        | Outcome::Erased { .. }
        | Outcome::Recorded
        | Outcome::NotFound => return None,
    };
    let Ids {
        patient,
        study,
        series,
        instance,
    } = ids;
    Some(
        serde_json::json!({
            "ID": instance.to_string(),
            "ParentPatient": patient.to_string(),
            "ParentSeries": series.to_string(),
            "ParentStudy": study.to_string(),
            "Path": format!("/instances/{instance}"),
            "Status": status,
        })
        .to_string()
        .into_bytes(),
    )
}
