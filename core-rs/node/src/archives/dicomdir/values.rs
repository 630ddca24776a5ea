//! What directory records say of an instance: read from its header.

use vna_dicom::{
    CharacterSet, DataElement, DataSet, DicomError, SelectStream, Tag, Value, Vr, dictionary_vr,
    tags as t,
};

use super::keys::{self, Key, RecordType, Type};
use crate::error::ArchiveError;
use crate::stored_file::StoredFile;

/// Bytes that are read at once: most headers are shorter.
const READ_BYTES: usize = 16 << 10;

/// Longest value in a record that nobody has to know.
const LONGEST_EXTRA: usize = 1024;

const RELATIONSHIP_TYPE: Tag = Tag(0x0040, 0xA010);

/// What an instance says of itself and of what it is in.
pub(in super::super) struct About {
    pub(super) record: &'static RecordType,
    found: DataSet,
    received: (String, String),
}

/// Reads what records of an instance need.
///
/// # Errors
///
/// Those of the store. A header that cannot be read says nothing: it stands on the medium all the same.
pub(in super::super) fn read_about(
    file: &StoredFile,
    sop_class_uid: &str,
    is_image: bool,
    received_us: i64,
) -> Result<About, ArchiveError> {
    let record = keys::record_type(sop_class_uid, is_image);
    let wanted = keys::wanted(record);
    let found = match select(file, &wanted)? {
        Ok(found) => found,
        // Content that is too long for a record, or ends too early, leaves the rest.
        Err(_) => {
            let is_short = |tag: &Tag| *tag < keys::CONTENT_SEQUENCE;
            let without: Vec<Tag> = wanted.into_iter().filter(is_short).collect();
            select(file, &without)?.unwrap_or_default()
        }
    };
    let moment = vna_index::moment(received_us);
    let (date, time) = moment.split_once('T').unwrap_or(("19000101", "000000"));
    Ok(About {
        record,
        found,
        received: (date.to_owned(), time.to_owned()),
    })
}

fn select(file: &StoredFile, wanted: &[Tag]) -> Result<Result<DataSet, DicomError>, ArchiveError> {
    let size = file.size();
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(size).unwrap_or(READ_BYTES))];
    let mut stream = SelectStream::new(wanted);
    let mut at = 0;
    while at < size && !stream.is_done() {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        if let Err(error) = stream.push(&buffer[..read]) {
            return Ok(Err(error));
        }
        at = stream.skip(size);
    }
    Ok(stream.finish().map(|selected| selected.to_data_set()))
}

impl About {
    /// Of an instance that says nothing.
    #[cfg(test)]
    pub(super) fn empty() -> About {
        About {
            record: &keys::IMAGE,
            found: DataSet::new(),
            received: ("20260101".to_owned(), "120000".to_owned()),
        }
    }

    /// The keys of a record; `count` numbers what has no number of its own.
    pub(super) fn values(&self, keys: &[Key], extended: bool, count: u64) -> DataSet {
        let mut record = DataSet::new();
        for (tag, kind) in keys {
            let found = self.found.get(*tag).filter(|found| !is_blank(found));
            let wanted = found.filter(|_| *kind != Type::IfWanted || extended);
            let known = match *tag {
                keys::VERIFICATION_DATE_TIME => self.verified(),
                _ => wanted.cloned(),
            };
            let element = match (known, kind) {
                (Some(known), Type::IfWanted) if is_long(&known) => None,
                (Some(known), _) if *tag == keys::CONTENT_SEQUENCE => modifiers(known),
                (Some(known), _) => Some(known),
                (None, Type::One) => Some(self.substitute(*tag, count)),
                (None, Type::Two) => Some(empty(*tag)),
                (None, Type::IfKnown | Type::IfWanted) => None,
            };
            if let Some(element) = element {
                record.insert(element);
            }
        }
        let charset = self.found.get(t::SPECIFIC_CHARACTER_SET);
        if let Some(charset) = charset.filter(|charset| !charset.value.is_empty()) {
            record.insert(charset.clone());
        }
        record
    }

    /// When a document was last verified (PS3.3 §C.17.2): each of its observers says when he did.
    fn verified(&self) -> Option<DataElement> {
        let Value::Items(observers) = &self.found.get(keys::VERIFYING_OBSERVERS)?.value else {
            return None;
        };
        let moments = observers.iter().filter_map(|observer| {
            let moment = observer.get(keys::VERIFICATION_DATE_TIME)?;
            let Value::Bytes(bytes) = &moment.value else {
                return None;
            };
            (!is_blank(moment)).then_some((bytes, moment))
        });
        moments
            .max_by_key(|(bytes, _)| *bytes)
            .map(|(_, moment)| moment.clone())
    }

    /// A value for what must have one and has none.
    fn substitute(&self, tag: Tag, count: u64) -> DataElement {
        let counted = count.to_string();
        let (date, time) = &self.received;
        let value = match tag {
            t::PATIENT_ID => format!("UNKNOWN{counted}"),
            t::MODALITY => "OT".to_owned(),
            t::STUDY_DATE
            | keys::CONTENT_DATE
            | keys::PRESENTATION_DATE
            | t::INSTANCE_CREATION_DATE => self.first_of(
                &[
                    t::SERIES_DATE,
                    keys::ACQUISITION_DATE,
                    keys::CONTENT_DATE,
                    t::STUDY_DATE,
                ],
                date,
            ),
            t::STUDY_TIME | keys::CONTENT_TIME | keys::PRESENTATION_TIME => self.first_of(
                &[
                    t::SERIES_TIME,
                    keys::ACQUISITION_TIME,
                    keys::CONTENT_TIME,
                    t::STUDY_TIME,
                ],
                time,
            ),
            keys::CONTENT_LABEL | keys::STRUCTURE_SET_LABEL | keys::RT_PLAN_LABEL => {
                "UNNAMED".to_owned()
            }
            keys::DOSE_SUMMATION_TYPE => "PLAN".to_owned(),
            keys::COMPLETION_FLAG => "PARTIAL".to_owned(),
            keys::VERIFICATION_FLAG => "UNVERIFIED".to_owned(),
            keys::MIME_TYPE => "application/octet-stream".to_owned(),
            t::STUDY_ID | t::SERIES_NUMBER | t::INSTANCE_NUMBER | t::NUMBER_OF_FRAMES => counted,
            // Codes, UIDs and sizes are never made up.
            _ => return empty(tag),
        };
        DataElement {
            tag,
            vr: dictionary_vr(tag),
            value: Value::Bytes(value.into_bytes()),
        }
    }

    fn first_of(&self, tags: &[Tag], otherwise: &str) -> String {
        let charset = CharacterSet::default();
        let mut values = tags
            .iter()
            .filter_map(|tag| self.found.get(*tag)?.text(&charset));
        let found = values.find(|value| value.trim().starts_with(|c: char| c.is_ascii_digit()));
        found.unwrap_or_else(|| otherwise.to_owned())
    }
}

/// Whether an element has no value but padding.
fn is_blank(element: &DataElement) -> bool {
    match &element.value {
        Value::Bytes(bytes) if element.vr.is_text() => {
            bytes.iter().all(|byte| matches!(byte, b' ' | 0))
        }
        value => value.is_empty(),
    }
}

fn is_long(element: &DataElement) -> bool {
    matches!(&element.value, Value::Bytes(bytes) if bytes.len() > LONGEST_EXTRA)
}

fn empty(tag: Tag) -> DataElement {
    match dictionary_vr(tag) {
        Vr::SQ => DataElement::sequence(tag, Vec::new()),
        vr => DataElement::new(tag, vr, Vec::new()),
    }
}

/// Of the content of a document the items that modify its title (PS3.3 §F.5.26): those with HAS CONCEPT MOD.
fn modifiers(content: DataElement) -> Option<DataElement> {
    let Value::Items(items) = content.value else {
        return None;
    };
    let charset = CharacterSet::default();
    let modifies = |item: &DataSet| {
        let relationship = item
            .get(RELATIONSHIP_TYPE)
            .and_then(|found| found.text(&charset));
        relationship.is_some_and(|relationship| relationship.trim() == "HAS CONCEPT MOD")
    };
    let items: Vec<DataSet> = items.into_iter().filter(modifies).collect();
    (!items.is_empty()).then(|| DataElement::sequence(content.tag, items))
}
