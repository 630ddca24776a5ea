//! Public ids of patients that an issuer tells apart.

use crate::Ids;
use std::borrow::Cow;
use vna_dicom::{Identity, PublicId};

/// The public ids of an instance and of all above it.
///
/// Clients of the REST interface know ids as SHA-1 of PatientID and UIDs, which says nothing of the issuer of
/// the PatientID. Where (0010,0021) is empty the ids are those. Else the issuer is taken for a second value of
/// the PatientID, `ID\ISSUER`, which no single value can contain (PS3.5 §6.2), so two patients of different
/// issuers with one PatientID have different ids, whichever came first.
#[must_use]
pub fn public_ids(identity: &Identity) -> Ids {
    let patient_id = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
    let (study, series) = (&identity.study_instance_uid, &identity.series_instance_uid);
    Ids {
        patient: PublicId::patient(&patient_id),
        study: PublicId::study(&patient_id, study),
        series: PublicId::series(&patient_id, study, series),
        instance: instance_id(&patient_id, identity),
    }
}

pub(crate) fn instance_id(qualified_patient_id: &str, identity: &Identity) -> PublicId {
    PublicId::instance(
        qualified_patient_id,
        &identity.study_instance_uid,
        &identity.series_instance_uid,
        &identity.sop_instance_uid,
    )
}

pub(crate) fn qualified_patient_id<'a>(patient_id: &'a str, issuer: &str) -> Cow<'a, str> {
    if issuer.is_empty() {
        Cow::Borrowed(patient_id)
    } else {
        Cow::Owned(format!("{patient_id}\\{issuer}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str) -> Identity {
        Identity {
            patient_id: "4711".into(),
            issuer_of_patient_id: issuer.into(),
            study_instance_uid: "1.2".into(),
            series_instance_uid: "1.2.3".into(),
            sop_instance_uid: "1.2.3.4".into(),
            ..Identity::default()
        }
    }

    #[test]
    fn without_an_issuer_the_ids_are_those_that_clients_compute() {
        let ids = public_ids(&identity(""));
        assert_eq!(
            [ids.patient, ids.study, ids.series, ids.instance],
            identity("").public_ids()
        );
    }

    #[test]
    fn issuers_tell_patients_apart_at_every_level() {
        let (a, b, none) = (
            public_ids(&identity("A")),
            public_ids(&identity("B")),
            public_ids(&identity("")),
        );
        for (x, y) in [(a, b), (a, none), (b, none)] {
            assert_ne!(x.patient, y.patient);
            assert_ne!(x.study, y.study);
            assert_ne!(x.series, y.series);
            assert_ne!(x.instance, y.instance);
        }
    }
}
