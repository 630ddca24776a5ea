//! What a de-identified data set says of itself (PS3.15 E.1.1, PS3.3 §C.7.1.1 and §C.12.1).

use super::made_up::{patient_id, patient_name};
use super::{Choice, Dates, Making, PATIENT_ID, PATIENT_NAME, Profile, table};
use crate::{DataElement, DataSet, Tag, Value, Vr, tags};

const PATIENT_IDENTITY_REMOVED: Tag = Tag(0x0012, 0x0062);
const METHOD: Tag = Tag(0x0012, 0x0063);
const METHOD_CODES: Tag = Tag(0x0012, 0x0064);
const BURNED_IN_ANNOTATION: Tag = Tag(0x0028, 0x0301);
const LONGITUDINAL_INFORMATION: Tag = Tag(0x0028, 0x0303);
const ENCAPSULATED_DOCUMENT: Tag = Tag(0x0042, 0x0011);
const MIME_TYPE: Tag = Tag(0x0042, 0x0012);
const DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);

/// Dates that nearly every instance has.
const DATES: [Tag; 4] = [
    tags::STUDY_DATE,
    tags::SERIES_DATE,
    Tag(0x0008, 0x0022),
    Tag(0x0008, 0x0023),
];

/// A page with nothing on it.
const BLANK_PDF: &[u8] = b"%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj
xref
0 4
0000000000 65535 f 
0000000009 00000 n 
0000000052 00000 n 
0000000101 00000 n 
trailer<</Size 4/Root 1 0 R>>
startxref
164
%%EOF
";

impl Profile {
    /// Says in the outermost data set what was done, after all else: (0012,0062), (0012,0063), (0012,0064), (0028,0303). Gives
    /// a patient to an instance that had none, and a document of its kind to one whose document is gone.
    ///
    /// `exact` is whether nothing was kept or replaced against the profile: else no conformance to it is claimed.
    pub fn declare(&self, data_set: &mut DataSet, making: &Making<'_>, exact: bool) {
        for (tag, vr, value) in [
            (PATIENT_NAME, Vr::PN, patient_name(making)),
            (PATIENT_ID, Vr::LO, patient_id(&[], making)),
        ] {
            if data_set.get(tag).is_none() {
                data_set.insert(DataElement::new(tag, vr, value));
            }
        }
        let removed = if self.is_anonymous(data_set, making, exact) {
            "YES"
        } else {
            "NO"
        };
        data_set.insert(DataElement::new(PATIENT_IDENTITY_REMOVED, Vr::CS, removed));
        data_set.insert(DataElement::new(METHOD, Vr::LO, self.method(exact)));
        data_set.remove(METHOD_CODES);
        if exact {
            data_set.insert(DataElement::sequence(METHOD_CODES, self.codes()));
        }
        let dates = self.dates_left(data_set, exact);
        data_set.insert(DataElement::new(LONGITUDINAL_INFORMATION, Vr::CS, dates));
        give_document(data_set);
    }

    /// Whether nothing that we know of says any more who the patient is: also no pixels.
    fn is_anonymous(&self, data_set: &DataSet, making: &Making<'_>, exact: bool) -> bool {
        let burned_in = bytes(data_set, BURNED_IN_ANNOTATION).trim_ascii() == b"YES";
        let is_still = |tag| {
            let value = bytes(data_set, tag).trim_ascii();
            !value.is_empty() && value == making.subject
        };
        !burned_in && (exact || !(is_still(PATIENT_ID) || is_still(PATIENT_NAME)))
    }

    /// The values of De-identification Method; each is an LO of 64 characters at most.
    fn method(&self, exact: bool) -> String {
        let edition = table::EDITIONS[self.edition];
        let version = env!("CARGO_PKG_VERSION");
        let mut values = vec![format!(
            "VNA {version} - PS 3.15-{edition} Table E.1-1 Basic Profile"
        )];
        let chosen = self.chosen().map(|choice| choice.code().1.to_owned());
        values.extend(chosen);
        if !exact {
            values.push("with exceptions that were asked for".to_owned());
        }
        values.join("\\")
    }

    /// The items of De-identification Method Code Sequence (CID 7050).
    fn codes(&self) -> Vec<DataSet> {
        let basic = ("113100", "Basic Application Confidentiality Profile");
        let chosen = self.chosen().map(Choice::code);
        let item = |(value, meaning): (&str, &str)| {
            DataSet::from_iter([
                DataElement::new(Tag(0x0008, 0x0100), Vr::SH, value),
                DataElement::new(Tag(0x0008, 0x0102), Vr::SH, "DCM"),
                DataElement::new(Tag(0x0008, 0x0104), Vr::LO, meaning),
            ])
        };
        std::iter::once(basic).chain(chosen).map(item).collect()
    }

    fn chosen(&self) -> impl Iterator<Item = Choice> {
        let options = self.options;
        Choice::ALL
            .into_iter()
            .filter(move |choice| options.has(*choice))
    }

    /// The value of (0028,0303). The list of 2008 had no dates; later ones may have been kept against the profile.
    fn dates_left(&self, data_set: &DataSet, exact: bool) -> &'static str {
        let any = |tag: &Tag| !matches!(bytes(data_set, *tag).trim_ascii(), b"" | b"19000101");
        match self.options.dates() {
            Dates::Modified => "MODIFIED",
            Dates::Unmodified => "UNMODIFIED",
            Dates::Removed if self.edition == 0 => "UNMODIFIED",
            Dates::Removed if !exact && DATES.iter().any(any) => "UNMODIFIED",
            Dates::Removed => "REMOVED",
        }
    }
}

/// Puts a document of its kind where one was taken away, so that what reads documents reads it.
fn give_document(data_set: &mut DataSet) {
    let made_up = matches!(bytes(data_set, ENCAPSULATED_DOCUMENT), [0, 0]);
    if !made_up {
        return;
    }
    let document = match bytes(data_set, MIME_TYPE).trim_ascii() {
        b"application/pdf" => BLANK_PDF,
        b"text/XML" | b"text/xml" => b"<ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>",
        b"model/stl" => &[0; 84], // a header, and no triangles
        b"model/obj" | b"model/mtl" => b"# Anonymized\n",
        _ => &[0, 0],
    };
    data_set.insert(DataElement::new(ENCAPSULATED_DOCUMENT, Vr::OB, document));
    if data_set.get(DOCUMENT_LENGTH).is_some() {
        let length = u32::try_from(document.len()).unwrap_or_default();
        data_set.insert(DataElement::new(
            DOCUMENT_LENGTH,
            Vr::UL,
            length.to_le_bytes(),
        ));
    }
}

fn bytes(data_set: &DataSet, tag: Tag) -> &[u8] {
    match data_set.get(tag).map(|element| &element.value) {
        Some(Value::Bytes(bytes)) => bytes,
        _ => &[],
    }
}
