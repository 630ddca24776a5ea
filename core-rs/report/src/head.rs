//! What a report is, of whom and by whom (PS3.3 §C.17.2).

use vna_dicom::{DataSet, Tag, tags};

use crate::ReportError;
use crate::attributes::Attributes;
use crate::content::{CONCEPT_NAME, CONTENT_SEQUENCE, Item, Reader, VALUE_TYPE};
use crate::references::References;
use crate::words::{Code, date, date_time, name, names, time};

const CONTENT_DATE: Tag = Tag(0x0008, 0x0023);
const CONTENT_TIME: Tag = Tag(0x0008, 0x0033);
const INSTITUTION_NAME: Tag = Tag(0x0008, 0x0080);
const REFERRING_PHYSICIAN: Tag = Tag(0x0008, 0x0090);
const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103E);
const PATIENT_BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
const VERIFYING_ORGANIZATION: Tag = Tag(0x0040, 0xA027);
const VERIFICATION_DATE_TIME: Tag = Tag(0x0040, 0xA030);
const VERIFYING_OBSERVER_SEQUENCE: Tag = Tag(0x0040, 0xA073);
const VERIFYING_OBSERVER_NAME: Tag = Tag(0x0040, 0xA075);
const COMPLETION_FLAG: Tag = Tag(0x0040, 0xA491);
const VERIFICATION_FLAG: Tag = Tag(0x0040, 0xA493);
const PRELIMINARY_FLAG: Tag = Tag(0x0040, 0xA496);

/// A report.
pub(crate) struct Report {
    pub title: String,
    /// What is said above the content: what it is, and the value.
    pub head: Vec<(&'static str, String)>,
    pub items: Vec<Item>,
}

/// Reads a report.
///
/// # Errors
///
/// [`ReportError`].
pub(crate) fn read(data_set: &DataSet, root_url: &str) -> Result<Report, ReportError> {
    let of = Attributes::of_instance(data_set);
    if of.text(VALUE_TYPE).is_empty() && of.item(CONTENT_SEQUENCE).is_none() {
        return Err(ReportError::NoReport);
    }
    let title = Code::read(&of, CONCEPT_NAME).map(|code| code.shown());
    let references = References::read(&of, root_url);
    Ok(Report {
        title: title.unwrap_or_else(|| "Report".to_owned()),
        head: head(&of),
        items: Reader::new(references).items(&of, "1", 1)?,
    })
}

fn head(of: &Attributes<'_>) -> Vec<(&'static str, String)> {
    let moment = |day: Tag, hour: Tag| {
        let moment = format!("{} {}", date(&of.text(day)), time(&of.text(hour)));
        moment.trim().to_owned()
    };
    let mut head = vec![
        ("Patient", names(&of.text(tags::PATIENT_NAME))),
        ("Patient ID", of.text(tags::PATIENT_ID)),
        ("Birth date", date(&of.text(PATIENT_BIRTH_DATE))),
        ("Sex", sex(&of.text(PATIENT_SEX))),
        ("Study", of.text(tags::STUDY_DESCRIPTION)),
        ("Study date", moment(tags::STUDY_DATE, tags::STUDY_TIME)),
        ("Accession number", of.text(tags::ACCESSION_NUMBER)),
        ("Referring physician", names(&of.text(REFERRING_PHYSICIAN))),
        ("Institution", of.text(INSTITUTION_NAME)),
        ("Series", of.text(SERIES_DESCRIPTION)),
        ("Report date", moment(CONTENT_DATE, CONTENT_TIME)),
        ("Status", status(of)),
    ];
    for observer in of.items(VERIFYING_OBSERVER_SEQUENCE) {
        let parts = [
            name(&observer.text(VERIFYING_OBSERVER_NAME)),
            observer.text(VERIFYING_ORGANIZATION),
            date_time(&observer.text(VERIFICATION_DATE_TIME)),
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        head.push(("Verified by", parts.join(", ")));
    }
    head.retain(|(_, value)| !value.is_empty());
    head
}

fn sex(value: &str) -> String {
    match value {
        "F" => "female",
        "M" => "male",
        "O" => "other",
        other => other,
    }
    .to_owned()
}

fn status(of: &Attributes<'_>) -> String {
    let flags = [PRELIMINARY_FLAG, COMPLETION_FLAG, VERIFICATION_FLAG];
    let flags = flags.iter().map(|tag| of.text(*tag).to_lowercase());
    let flags: Vec<_> = flags.filter(|flag| !flag.is_empty()).collect();
    flags.join(", ")
}
