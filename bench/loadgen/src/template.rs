//! A DICOM file (PS3.10) as a template: its data set is kept as it is, but for the UIDs of study,
//! series and instance.

use crate::element::{Identity, Object};
use std::fmt;

/// Deepest nesting of sequences of undefined length that is followed. Files are the operator's
/// own; the bound keeps a broken one from overflowing the stack.
const DEEPEST_NESTING: usize = 32;
const UNDEFINED: u32 = u32::MAX;
/// Explicit VR Big Endian, and those whose whole data set is deflated.
const DEFLATED_OR_BIG_ENDIAN: [&str; 4] = [
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.205",
];

/// Why a file cannot be a template.
#[derive(Debug)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

fn error(text: impl Into<String>) -> TemplateError {
    TemplateError(text.into())
}

/// Which identity a hole in the template takes.
#[derive(Clone, Copy)]
enum Hole {
    Instance,
    Study,
    Series,
}

/// A file with holes where its UIDs were.
pub struct Template {
    pub sop_class_uid: &'static str,
    pub transfer_syntax_uid: &'static str,
    /// What comes before each hole, the element header of the hole included.
    parts: Vec<(Vec<u8>, Hole)>,
    /// What comes behind the last hole.
    pub tail: Vec<u8>,
}

/// A top-level element: its tag, where it begins, where its value is.
pub struct Element {
    pub tag: (u16, u16),
    pub start: usize,
    pub value: std::ops::Range<usize>,
}

impl Template {
    /// Takes a file apart.
    ///
    /// # Errors
    ///
    /// A file without preamble and meta header, in a transfer syntax whose data set is big endian
    /// or deflated, or without one of the UIDs.
    pub fn new(file: &[u8]) -> Result<Self, TemplateError> {
        if file.get(128..132) != Some(b"DICM") {
            return Err(error("no DICM at byte 128, a PS3.10 file has it there"));
        }
        let meta = top_level_until(&file[132..], true, |tag| tag.0 != 2)?;
        let end = 132 + meta.last().map_or(0, |element| element.value.end);
        let (file_meta, set) = (&file[132..end], &file[end..]);
        let meta_uid = |number| {
            let found = meta.iter().find(|element| element.tag == (2, number));
            found
                .map(|element| uid_text(&file_meta[element.value.clone()]))
                .ok_or_else(|| error(format!("no (0002,{number:04X}) in the meta header")))
        };
        let transfer_syntax_uid = meta_uid(0x0010)?;
        if DEFLATED_OR_BIG_ENDIAN.contains(&transfer_syntax_uid) {
            return Err(error(format!(
                "{transfer_syntax_uid}: only little endian, not deflated"
            )));
        }
        let explicit = transfer_syntax_uid != "1.2.840.10008.1.2";
        let elements = top_level_until(set, explicit, |tag| tag > (0x0020, 0x000E))?;
        let (mut parts, mut done) = (Vec::new(), 0);
        for (tag, hole) in [
            ((0x0008, 0x0018), Hole::Instance),
            ((0x0020, 0x000D), Hole::Study),
            ((0x0020, 0x000E), Hole::Series),
        ] {
            let element = elements
                .iter()
                .find(|element| element.tag == tag)
                .ok_or_else(|| {
                    error(format!("no ({:04X},{:04X}) in the data set", tag.0, tag.1))
                })?;
            let mut before = set[done..element.start + 4].to_vec();
            // UIDs of the generator have 44 characters.
            before.extend_from_slice(if explicit { b"UI\x2C\0" } else { b"\x2C\0\0\0" });
            parts.push((before, hole));
            done = element.value.end;
        }
        Ok(Self {
            sop_class_uid: meta_uid(0x0002)?,
            transfer_syntax_uid,
            parts,
            tail: set[done..].to_vec(),
        })
    }

    /// The head of a copy with `identity`; its tail is the source's number `tail`.
    pub fn object(&self, identity: Identity, tail: usize) -> Object {
        let mut head = Vec::new();
        for (before, hole) in &self.parts {
            head.extend_from_slice(before);
            let uid = match hole {
                Hole::Instance => &identity.sop_instance_uid,
                Hole::Study => &identity.study_instance_uid,
                Hole::Series => &identity.series_instance_uid,
            };
            head.extend_from_slice(uid.as_bytes());
        }
        Object {
            sop_class_uid: self.sop_class_uid,
            transfer_syntax_uid: self.transfer_syntax_uid,
            identity,
            head,
            tail: Some(tail),
        }
    }
}

/// Templates live as long as the program, and offers are compared by value everywhere.
fn uid_text(value: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(value)
        .trim_end_matches(['\0', ' '])
        .to_owned();
    Box::leak(text.into_boxed_str())
}

/// The top-level elements of a data set.
#[cfg(test)]
pub fn top_level(set: &[u8], explicit: bool) -> Result<Vec<Element>, TemplateError> {
    top_level_until(set, explicit, |_| false)
}

/// The top-level elements up to the first whose tag satisfies `stop`.
fn top_level_until(
    set: &[u8],
    explicit: bool,
    stop: impl Fn((u16, u16)) -> bool,
) -> Result<Vec<Element>, TemplateError> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < set.len() {
        let (tag, value, length) = header(set, at, explicit)?;
        if stop(tag) {
            break;
        }
        let end = end_of_value(set, tag, value, length, explicit, 0)?;
        found.push(Element {
            tag,
            start: at,
            value: value..end,
        });
        at = end;
    }
    Ok(found)
}

fn end_of_value(
    set: &[u8],
    tag: (u16, u16),
    value: usize,
    length: u32,
    explicit: bool,
    depth: usize,
) -> Result<usize, TemplateError> {
    if length != UNDEFINED {
        let end = value + length as usize;
        if end > set.len() {
            let (group, element) = tag;
            let text = format!(
                "({group:04X},{element:04X}) ends at byte {end} of {}",
                set.len()
            );
            return Err(error(text));
        }
        return Ok(end);
    }
    if depth == DEEPEST_NESTING {
        return Err(error(format!(
            "sequences nested deeper than {DEEPEST_NESTING} at byte {value}"
        )));
    }
    let mut at = value;
    loop {
        let (tag, value, length) = header(set, at, explicit)?;
        if tag == (0xFFFE, 0xE0DD) || tag == (0xFFFE, 0xE00D) {
            return Ok(value);
        }
        at = end_of_value(set, tag, value, length, explicit, depth + 1)?;
    }
}

/// The tag at byte `at`, where its value begins, and its length field.
fn header(
    set: &[u8],
    at: usize,
    explicit: bool,
) -> Result<((u16, u16), usize, u32), TemplateError> {
    let truncated = || {
        error(format!(
            "an element header at byte {at} of {} is cut",
            set.len()
        ))
    };
    let Some(&[g0, g1, e0, e1, a, b, c, d]) = set.get(at..at + 8).and_then(|s| s.first_chunk())
    else {
        return Err(truncated());
    };
    let tag = (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
    if tag.0 == 0xFFFE || !explicit {
        return Ok((tag, at + 8, u32::from_le_bytes([a, b, c, d])));
    }
    let long = matches!(
        &[a, b],
        b"OB"
            | b"OD"
            | b"OF"
            | b"OL"
            | b"OV"
            | b"OW"
            | b"SQ"
            | b"SV"
            | b"UC"
            | b"UN"
            | b"UR"
            | b"UT"
            | b"UV"
    );
    if !long {
        return Ok((tag, at + 8, u16::from_le_bytes([c, d]).into()));
    }
    let length = set
        .get(at + 8..at + 12)
        .and_then(|s| s.first_chunk())
        .ok_or_else(truncated)?;
    Ok((tag, at + 12, u32::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::DataSet;

    #[test]
    fn a_copy_differs_from_its_template_in_three_uids_only() {
        let mut meta = DataSet::default();
        meta.text((2, 0x0002), "UI", "1.2.840.10008.5.1.4.1.1.7")
            .text((2, 0x0010), "UI", "1.2.840.10008.1.2.1");
        let set = |instance: &str, study: &str, series: &str| {
            let mut set = DataSet::default();
            set.text((0x0008, 0x0018), "UI", instance)
                .raw((0x0008, 0x1140), "SQ", b"")
                .text((0x0010, 0x0020), "LO", "ID")
                .text((0x0020, 0x000D), "UI", study)
                .text((0x0020, 0x000E), "UI", series)
                .text((0x0020, 0x0013), "IS", "1");
            set.into_bytes()
        };
        let file = [
            &[0; 128],
            b"DICM".as_slice(),
            &meta.into_bytes(),
            &set("1.2", "1.2.3", "1.2.34"),
        ]
        .concat();
        let template = Template::new(&file).unwrap();
        let uids: Vec<String> = ["1", "2", "3"]
            .iter()
            .map(|d| format!("2.25.{}", d.repeat(39)))
            .collect();
        let object = template.object(
            Identity {
                patient_id: String::new(),
                sop_instance_uid: uids[0].clone(),
                study_instance_uid: uids[1].clone(),
                series_instance_uid: uids[2].clone(),
            },
            0,
        );
        assert_eq!(
            [object.head, template.tail].concat(),
            set(&uids[0], &uids[1], &uids[2])
        );
        assert_eq!(object.sop_class_uid, "1.2.840.10008.5.1.4.1.1.7");
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let mut set = DataSet::default();
        set.text((0x0008, 0x0018), "UI", "1.2.3");
        let bytes = set.into_bytes();
        assert!(top_level(&bytes[..bytes.len() - 1], true).is_err());
        assert!(top_level(&bytes[..7], true).is_err());
    }
}
