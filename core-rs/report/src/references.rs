//! Where the instances are that a report refers to.
//!
//! A content item names an instance alone; its study and series stand in the evidence of the report (PS3.3 §C.17.2.3).

use std::collections::HashMap;

use vna_dicom::{Tag, tags};

use crate::attributes::Attributes;

const REFERENCED_SERIES_SEQUENCE: Tag = Tag(0x0008, 0x1115);
pub(crate) const REFERENCED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1199);
pub(crate) const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
const REFERENCED_FRAME_NUMBER: Tag = Tag(0x0008, 0x1160);
const REFERENCED_SEGMENT_NUMBER: Tag = Tag(0x0062, 0x000B);
const EVIDENCE: [Tag; 2] = [Tag(0x0040, 0xA375), Tag(0x0040, 0xA385)];

/// Frames that a link names; more are said to be more.
const SHOWN_FRAMES: usize = 16;

/// Studies and series of instances.
pub(crate) struct References<'a> {
    root_url: &'a str,
    series: HashMap<String, (String, String)>,
}

/// What a content item refers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    pub what: String,
    pub uid: String,
    /// Where it is shown, if it is known to be here or could be.
    pub url: Option<String>,
}

impl<'a> References<'a> {
    pub fn read(of: &Attributes<'_>, root_url: &'a str) -> Self {
        let mut found = HashMap::new();
        for study in EVIDENCE.iter().flat_map(|tag| of.items(*tag)) {
            let study_uid = study.text(tags::STUDY_INSTANCE_UID);
            for series in study.items(REFERENCED_SERIES_SEQUENCE) {
                let series_uid = series.text(tags::SERIES_INSTANCE_UID);
                for instance in series.items(REFERENCED_SOP_SEQUENCE) {
                    let uid = instance.text(REFERENCED_SOP_INSTANCE_UID);
                    if [&study_uid, &series_uid, &uid]
                        .iter()
                        .all(|uid| is_uid(uid))
                    {
                        found.insert(uid, (study_uid.clone(), series_uid.clone()));
                    }
                }
            }
        }
        References {
            root_url,
            series: found,
        }
    }

    /// What an item of kind `what` refers to.
    pub fn of(&self, item: &Attributes<'_>, what: &str) -> Option<Reference> {
        let item = item.item(REFERENCED_SOP_SEQUENCE)?;
        let uid = item.text(REFERENCED_SOP_INSTANCE_UID);
        let frames = item.text(REFERENCED_FRAME_NUMBER);
        let frames: Vec<&str> = frames
            .split('\\')
            .map(str::trim)
            .filter(|it| is_number(it))
            .collect();
        let mut what = what.to_owned();
        if !frames.is_empty() {
            let shown = &frames[..frames.len().min(SHOWN_FRAMES)];
            let more = if shown.len() < frames.len() {
                " and more"
            } else {
                ""
            };
            let noun = if shown.len() > 1 { "frames" } else { "frame" };
            what = format!("{what}, {noun} {}{more}", shown.join(", "));
        }
        let segments = item.text(REFERENCED_SEGMENT_NUMBER).replace('\\', ", ");
        if !segments.is_empty() {
            what = format!("{what}, segment {segments}");
        }
        let url = self.series.get(&uid).map(|(study, series)| {
            let root = self.root_url.trim_end_matches('/');
            let frame = match frames[..] {
                [frame] => format!("/frames/{frame}"),
                _ => String::new(),
            };
            format!("{root}/studies/{study}/series/{series}/instances/{uid}{frame}/rendered")
        });
        Some(Reference { what, uid, url })
    }
}

fn is_uid(text: &str) -> bool {
    let is_of_uids = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(is_of_uids)
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
