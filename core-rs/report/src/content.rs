//! The content tree (PS3.3 §C.17.3, §C.18).

use vna_dicom::Tag;

use crate::attributes::Attributes;
use crate::references::{Reference, References};
use crate::words::{Code, date, date_time, measurement, names, time};
use crate::{MAX_ITEMS, MAX_LEVELS, ReportError};

const RELATIONSHIP_TYPE: Tag = Tag(0x0040, 0xA010);
pub(crate) const VALUE_TYPE: Tag = Tag(0x0040, 0xA040);
pub(crate) const CONCEPT_NAME: Tag = Tag(0x0040, 0xA043);
const DATE_TIME: Tag = Tag(0x0040, 0xA120);
const DATE: Tag = Tag(0x0040, 0xA121);
const TIME: Tag = Tag(0x0040, 0xA122);
const PERSON_NAME: Tag = Tag(0x0040, 0xA123);
const UID: Tag = Tag(0x0040, 0xA124);
const TEMPORAL_RANGE_TYPE: Tag = Tag(0x0040, 0xA130);
const SAMPLE_POSITIONS: Tag = Tag(0x0040, 0xA132);
const TIME_OFFSETS: Tag = Tag(0x0040, 0xA138);
const REFERENCED_DATE_TIME: Tag = Tag(0x0040, 0xA13A);
const TEXT_VALUE: Tag = Tag(0x0040, 0xA160);
const CONCEPT_CODE: Tag = Tag(0x0040, 0xA168);
pub(crate) const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);
const REFERENCED_CONTENT_ITEM: Tag = Tag(0x0040, 0xDB73);
const GRAPHIC_DATA: Tag = Tag(0x0070, 0x0022);
const GRAPHIC_TYPE: Tag = Tag(0x0070, 0x0023);

/// Numbers of an outline that are shown; more are said to be more.
const SHOWN_NUMBERS: usize = 12;

/// A content item.
pub(crate) struct Item {
    /// Its place: 1.2 is the second item of the root.
    pub place: String,
    pub name: Option<Code>,
    pub value: Shown,
    /// Whether it says something of what it is in rather than being a part of it.
    pub is_remark: bool,
    pub items: Vec<Item>,
}

/// The value of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// It is what is in it.
    Container,
    Text(String),
    Code(Code),
    Reference(Reference),
    /// Another item of the report, by its place.
    Item(String),
}

/// Reads content items.
pub(crate) struct Reader<'a> {
    references: References<'a>,
    left: usize,
}

impl<'a> Reader<'a> {
    pub fn new(references: References<'a>) -> Self {
        Reader {
            references,
            left: MAX_ITEMS,
        }
    }

    /// The items that are in `outer`, which is at `place` and so many levels deep.
    pub fn items(
        &mut self,
        outer: &Attributes<'_>,
        place: &str,
        level: usize,
    ) -> Result<Vec<Item>, ReportError> {
        let mut found = Vec::new();
        for (number, item) in (1..).zip(outer.items(CONTENT_SEQUENCE)) {
            if level > MAX_LEVELS {
                return Err(limit("levels of content items", MAX_LEVELS));
            }
            let left = self.left.checked_sub(1);
            self.left = left.ok_or_else(|| limit("content items", MAX_ITEMS))?;
            let place = format!("{place}.{number}");
            let items = self.items(&item, &place, level + 1)?;
            let relation = item.text(RELATIONSHIP_TYPE);
            found.push(Item {
                name: Code::read(&item, CONCEPT_NAME),
                value: self.value(&item),
                is_remark: matches!(
                    relation.as_str(),
                    "HAS OBS CONTEXT" | "HAS ACQ CONTEXT" | "HAS CONCEPT MOD"
                ),
                items,
                place,
            });
        }
        Ok(found)
    }

    fn value(&self, item: &Attributes<'_>) -> Shown {
        let other = item.text(REFERENCED_CONTENT_ITEM);
        if !other.is_empty() {
            return Shown::Item(other.replace('\\', "."));
        }
        let reference = |what: &str| {
            let found = self.references.of(item, what);
            found.map_or_else(
                || Shown::Text(format!("{what} that is not named")),
                Shown::Reference,
            )
        };
        let shown = match item.text(VALUE_TYPE).as_str() {
            "CONTAINER" => return Shown::Container,
            "CODE" => match Code::read(item, CONCEPT_CODE) {
                Some(code) => return Shown::Code(code),
                None => String::new(),
            },
            "IMAGE" => return reference("image"),
            "WAVEFORM" => return reference("waveform"),
            "COMPOSITE" => return reference("object"),
            "NUM" => measurement(item),
            "DATETIME" => date_time(&item.text(DATE_TIME)),
            "DATE" => date(&item.text(DATE)),
            "TIME" => time(&item.text(TIME)),
            "PNAME" => names(&item.text(PERSON_NAME)),
            "UIDREF" => item.text(UID),
            "SCOORD" | "SCOORD3D" => outline(item),
            "TCOORD" => moments(item),
            // Whatever it is, what it says in words.
            _ => item.text(TEXT_VALUE),
        };
        Shown::Text(shown)
    }
}

/// An outline in an image or in space (PS3.3 §C.18.6, §C.18.9).
fn outline(item: &Attributes<'_>) -> String {
    let kind = item.text(GRAPHIC_TYPE).to_lowercase();
    format!("{kind} {}", numbers(&item.text(GRAPHIC_DATA)))
        .trim()
        .to_owned()
}

/// Samples or times of a waveform or of frames (PS3.3 §C.18.7).
fn moments(item: &Attributes<'_>) -> String {
    let kind = item.text(TEMPORAL_RANGE_TYPE).to_lowercase();
    let times = item.text(REFERENCED_DATE_TIME);
    let times: Vec<_> = times
        .split('\\')
        .take(SHOWN_NUMBERS)
        .map(date_time)
        .collect();
    let found = [
        numbers(&item.text(SAMPLE_POSITIONS)),
        numbers(&item.text(TIME_OFFSETS)),
        times.join(", "),
    ];
    format!("{kind} {}", found.concat()).trim().to_owned()
}

fn numbers(text: &str) -> String {
    let numbers: Vec<_> = text.split('\\').filter(|it| !it.is_empty()).collect();
    match numbers.len() {
        0..=SHOWN_NUMBERS => numbers.join(", "),
        all => format!("{} … ({all} numbers)", numbers[..SHOWN_NUMBERS].join(", ")),
    }
}

fn limit(what: &'static str, limit: usize) -> ReportError {
    ReportError::Limit { what, limit }
}
