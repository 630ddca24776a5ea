//! Types of metadata and attachments: what the archive knows of a resource beside its tags, by number and by name.

use parking_lot::RwLock;
use std::borrow::Cow;
use std::sync::Arc;
use vna_dicom::{Level, extra_tags, main_tags};

pub(crate) const INDEX_IN_SERIES: i64 = 1;
pub(crate) const RECEPTION_DATE: i64 = 2;
pub(crate) const REMOTE_AET: i64 = 3;
pub(crate) const EXPECTED_NUMBER_OF_INSTANCES: i64 = 4;
pub(crate) const MODIFIED_FROM: i64 = 5;
pub(crate) const ANONYMIZED_FROM: i64 = 6;
pub(crate) const LAST_UPDATE: i64 = 7;
pub(crate) const ORIGIN: i64 = 8;
pub(crate) const TRANSFER_SYNTAX: i64 = 9;
pub(crate) const SOP_CLASS_UID: i64 = 10;
pub(crate) const REMOTE_IP: i64 = 11;
pub(crate) const CALLED_AET: i64 = 12;
pub(crate) const HTTP_USERNAME: i64 = 13;
pub(crate) const PIXEL_DATA_OFFSET: i64 = 14;
pub(crate) const MAIN_DICOM_TAGS_SIGNATURE: i64 = 15;
pub(crate) const PIXEL_DATA_VR: i64 = 17;

/// Names by number, from 1 on.
const NAMES: [&str; 17] = [
    "IndexInSeries",
    "ReceptionDate",
    "RemoteAET",
    "ExpectedNumberOfInstances",
    "ModifiedFrom",
    "AnonymizedFrom",
    "LastUpdate",
    "Origin",
    "TransferSyntax",
    "SopClassUid",
    "RemoteIP",
    "CalledAET",
    "HttpUsername",
    "PixelDataOffset",
    "MainDicomTagsSignature",
    "MainDicomSequences",
    "PixelDataVR",
];

/// Names of attachments by number, from 1 on.
const ATTACHMENT_NAMES: [&str; 3] = ["dicom", "dicom-as-json", "dicom-until-pixel-data"];

/// Types from here on are those of users.
pub const FIRST_OF_USERS: i64 = 1024;

/// The last type.
pub const LAST_OF_USERS: i64 = 65_535;

/// Names that users have given to types of theirs, with their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserNames {
    /// Of metadata.
    pub metadata: Vec<(String, i64)>,
    /// Of attachments.
    pub attachments: Vec<(String, i64)>,
}

static USERS: RwLock<Option<Arc<UserNames>>> = RwLock::new(None);

/// Makes them the names that this process knows.
pub fn set_user_names(names: UserNames) {
    *USERS.write() = Some(Arc::new(names));
}

/// The names that this process knows.
#[must_use]
pub fn user_names() -> Arc<UserNames> {
    USERS.read().clone().unwrap_or_default()
}

/// The name of a metadata type, or else its number.
#[must_use]
pub fn metadata_name(number: i64) -> Cow<'static, str> {
    named(number, &NAMES, |users| &users.metadata)
}

/// The name of an attachment type, or else its number.
#[must_use]
pub fn attachment_name(number: i64) -> Cow<'static, str> {
    named(number, &ATTACHMENT_NAMES, |users| &users.attachments)
}

/// The number of a metadata type that is given by name or number.
#[must_use]
pub fn metadata_number(name: &str) -> Option<i64> {
    numbered(name, &NAMES, |users| &users.metadata)
}

/// The number of an attachment type that is given by name or number.
#[must_use]
pub fn attachment_number(name: &str) -> Option<i64> {
    numbered(name, &ATTACHMENT_NAMES, |users| &users.attachments)
}

fn named(
    number: i64,
    names: &[&'static str],
    of_users: impl Fn(&UserNames) -> &[(String, i64)],
) -> Cow<'static, str> {
    if let Some(name) = name(number, names) {
        return Cow::Borrowed(name);
    }
    let users = user_names();
    let found = of_users(&users).iter().find(|(_, of)| *of == number);
    Cow::Owned(found.map_or_else(|| number.to_string(), |(name, _)| name.clone()))
}

fn numbered(
    name: &str,
    names: &[&str],
    of_users: impl Fn(&UserNames) -> &[(String, i64)],
) -> Option<i64> {
    if let Some(at) = names.iter().position(|known| *known == name) {
        return i64::try_from(at + 1).ok();
    }
    let users = user_names();
    if let Some((_, number)) = of_users(&users).iter().find(|(known, _)| known == name) {
        return Some(*number);
    }
    name.parse()
        .ok()
        .filter(|number| (0..=LAST_OF_USERS).contains(number))
}

fn name(number: i64, names: &[&'static str]) -> Option<&'static str> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    names.get(at).copied()
}

/// The tags that the index keeps of a level, as the metadata says it.
pub(crate) fn signature(level: Level) -> String {
    let mut tags: Vec<_> = main_tags(level).iter().chain(extra_tags(level)).collect();
    tags.sort_unstable();
    let tags: Vec<String> = tags
        .into_iter()
        .map(|tag| format!("{:04x},{:04x}", tag.0, tag.1))
        .collect();
    tags.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_numbers_that_clients_know_and_back() {
        assert_eq!(metadata_number("LastUpdate"), Some(LAST_UPDATE));
        assert_eq!(metadata_number("9"), Some(TRANSFER_SYNTAX));
        assert_eq!(metadata_name(PIXEL_DATA_OFFSET), "PixelDataOffset");
        for number in 1..=17 {
            assert_eq!(metadata_number(&metadata_name(number)), Some(number));
        }
        for unknown in ["", "Foo", "-1", "65536", "1.5"] {
            assert_eq!(metadata_number(unknown), None, "{unknown}");
        }
        assert_eq!([metadata_name(0), metadata_name(18)], ["0", "18"]);
        assert_eq!(attachment_number("dicom"), Some(1));
        assert_eq!(attachment_name(3), "dicom-until-pixel-data");
    }
}
