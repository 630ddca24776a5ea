//! Picks identity, indexed tags and the pixel data's place out of a walk.
//!
//! Values are copied when they pass, into one buffer: they are a few hundred bytes, and nothing then has to stay
//! in the window, which lets a deflated data set be read in pieces.

use crate::charset::CharacterSet;
use crate::element::{Window, is_pixel_data};
use crate::extra::{Wanted, wanted};
use crate::public_id::strip;
use crate::text::value_text;
use crate::walk::{Sink, Step};
use crate::{
    Budget, DicomError, Element, Instance, MAX_INDEXED_BYTES, MAX_INDEXED_VALUE_BYTES, PixelData,
    Tag, Vr, dictionary_vr, tags,
};

/// Longest UID that is taken. PS3.5 §9.1 says 64 bytes; devices exist that exceed it by a little.
const MAX_UID_BYTES: usize = 128;

#[derive(Debug)]
pub(crate) struct Head {
    wanted: &'static Wanted,
    /// Place in `wanted` of the first tag not yet passed: data sets are sorted, so it only grows.
    next_wanted: usize,
    last_tag: Tag,
    highest_tag: Tag,
    captured: Vec<(Element, usize)>,
    /// The values of `captured`, end to end.
    values: Vec<u8>,
    pub pixel_data: Option<PixelData>,
}

/// A head with an observer of all top-level elements.
pub(crate) struct Observed<'a, F> {
    head: &'a mut Head,
    observe: &'a mut F,
}

impl<F: FnMut(&Element)> Sink for Observed<'_, F> {
    #[inline]
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        if element.depth > 0 {
            return Ok(self.head.nested(element, window));
        }
        let step = self.head.top_level(element, window)?;
        if step != Step::Await {
            (self.observe)(element);
        }
        Ok(step)
    }
}

impl Default for Head {
    fn default() -> Self {
        Head {
            wanted: wanted(),
            next_wanted: 0,
            last_tag: Tag::default(),
            highest_tag: Tag::default(),
            captured: Vec::new(),
            values: Vec::new(),
            pixel_data: None,
        }
    }
}

impl Head {
    pub fn with<'a, F: FnMut(&Element)>(&'a mut self, observe: &'a mut F) -> Observed<'a, F> {
        Observed {
            head: self,
            observe,
        }
    }

    #[inline]
    fn top_level(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        let tag = element.tag;
        if tag < self.last_tag {
            self.next_wanted = 0;
        }
        // Above all others it cannot have stood before.
        let sorted = tag > self.highest_tag;
        self.highest_tag = self.highest_tag.max(tag);
        let wanted = &self.wanted.tags;
        while wanted
            .get(self.next_wanted)
            .is_some_and(|wanted| *wanted < tag)
        {
            self.next_wanted += 1;
        }
        self.last_tag = tag;
        if wanted.get(self.next_wanted) == Some(&tag) {
            return self.capture(element, window, sorted);
        }
        if is_pixel_data(tag) {
            return Ok(self.pixel_data(element));
        }
        Ok(Step::Over)
    }

    fn capture(
        &mut self,
        element: &Element,
        window: Window<'_>,
        sorted: bool,
    ) -> Result<Step, DicomError> {
        if element.tag == tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE {
            return Ok(Step::Into);
        }
        let room = (MAX_INDEXED_BYTES - self.values.len()).min(MAX_INDEXED_VALUE_BYTES);
        let Some(length) = element.length().filter(|length| *length <= room as u64) else {
            return if identifies(element.tag) && element.length().is_some() {
                Err(DicomError::Budget {
                    budget: Budget::Identifier,
                    offset: element.offset(),
                })
            } else {
                Ok(Step::Over)
            };
        };
        // Of an element that stands twice the first counts, as in most readers.
        if length == 0 && element.vr == Vr::SQ || (!sorted && self.has(element.tag)) {
            return Ok(Step::Over);
        }
        Ok(self.keep(element, window))
    }

    fn has(&self, tag: Tag) -> bool {
        self.captured
            .iter()
            .any(|(element, _)| element.depth == 0 && element.tag == tag)
    }

    fn keep(&mut self, element: &Element, window: Window<'_>) -> Step {
        match window.value(element) {
            Some(value) => {
                self.captured.push((*element, self.values.len()));
                self.values.extend_from_slice(value);
                Step::Over
            }
            None => Step::Await,
        }
    }

    /// Within (0008,0051), the one sequence that is entered.
    fn nested(&mut self, element: &Element, window: Window<'_>) -> Step {
        if element.is_item() {
            return Step::Into;
        }
        let room = (MAX_INDEXED_BYTES - self.values.len()).min(MAX_INDEXED_VALUE_BYTES);
        let wanted = matches!(
            element.tag,
            tags::LOCAL_NAMESPACE_ENTITY_ID | tags::UNIVERSAL_ENTITY_ID
        );
        let short = element.length().is_some_and(|length| length <= room as u64);
        let known = self
            .captured
            .iter()
            .any(|(known, _)| known.depth > 0 && known.tag == element.tag);
        if wanted && short && !known {
            self.keep(element, window)
        } else {
            Step::Over
        }
    }

    fn pixel_data(&mut self, element: &Element) -> Step {
        if self.pixel_data.is_none() {
            self.pixel_data = Some(PixelData::of(element));
        }
        // Tags of a data set are sorted (PS3.5 §7.1), so all that matters has passed; if not, look further.
        let complete = [
            tags::SOP_INSTANCE_UID,
            tags::STUDY_INSTANCE_UID,
            tags::SERIES_INSTANCE_UID,
        ]
        .into_iter()
        .all(|tag| self.has(tag));
        if complete { Step::Stop } else { Step::Over }
    }

    fn value(&self, at: usize) -> (&Element, &[u8]) {
        let (element, start) = &self.captured[at];
        let end = self
            .captured
            .get(at + 1)
            .map_or(self.values.len(), |(_, start)| *start);
        (element, &self.values[*start..end])
    }

    /// Decodes what was kept.
    pub fn take_instance(&mut self, sop_class_uid_of_meta: &str) -> Result<Instance, DicomError> {
        let all = (0..self.captured.len()).map(|at| self.value(at));
        let charset = all
            .clone()
            .find(|(element, _)| element.depth == 0 && element.tag == tags::SPECIFIC_CHARACTER_SET)
            .map_or_else(CharacterSet::default, |(_, value)| {
                CharacterSet::from_value(value)
            });
        let mut instance = Instance {
            number_of_frames: 1,
            extra_generation: self.wanted.generation,
            ..Instance::default()
        };
        instance.tags.reserve_exact(self.captured.len());
        let mut universal_issuer = String::new();
        for (element, value) in all {
            let Some(text) = value_text(element, value, &charset) else {
                continue;
            };
            let identity = &mut instance.identity;
            let field = match (element.depth, element.tag) {
                (0, tags::PATIENT_ID) => &mut identity.patient_id,
                (0, tags::STUDY_INSTANCE_UID) => &mut identity.study_instance_uid,
                (0, tags::SERIES_INSTANCE_UID) => &mut identity.series_instance_uid,
                (0, tags::SOP_INSTANCE_UID) => &mut identity.sop_instance_uid,
                (0, tags::SOP_CLASS_UID) => &mut identity.sop_class_uid,
                (0, tags::ISSUER_OF_PATIENT_ID) => &mut identity.issuer_of_patient_id,
                (0, tags::ACCESSION_NUMBER) => &mut identity.accession_number,
                (0, _) => {
                    instance.tags.push((element.tag, text));
                    continue;
                }
                (_, tags::LOCAL_NAMESPACE_ENTITY_ID) => &mut identity.issuer_of_accession_number,
                _ => &mut universal_issuer,
            };
            strip(&text).clone_into(field);
            if element.depth == 0 && dictionary_vr(element.tag) == Vr::UI {
                check_uid(element.tag, field, element.value_offset)?;
            }
            if element.depth == 0 && self.wanted.is_indexed(element.tag) {
                instance.tags.push((element.tag, text));
            }
        }
        if !self.wanted.is_indexed(tags::SPECIFIC_CHARACTER_SET) {
            instance
                .tags
                .retain(|(tag, _)| *tag != tags::SPECIFIC_CHARACTER_SET);
        }
        instance.tags.sort_by_key(|(tag, _)| *tag);
        instance.number_of_frames = number_of_frames(instance.tag(tags::NUMBER_OF_FRAMES));
        instance.pixel_data = self.pixel_data;
        let identity = &mut instance.identity;
        if identity.issuer_of_accession_number.is_empty() {
            identity.issuer_of_accession_number = universal_issuer;
        }
        if identity.sop_class_uid.is_empty() {
            sop_class_uid_of_meta.clone_into(&mut identity.sop_class_uid);
        }
        for (tag, uid) in [
            (tags::STUDY_INSTANCE_UID, &identity.study_instance_uid),
            (tags::SERIES_INSTANCE_UID, &identity.series_instance_uid),
            (tags::SOP_INSTANCE_UID, &identity.sop_instance_uid),
        ] {
            if uid.is_empty() {
                return Err(DicomError::MissingUid { tag });
            }
        }
        Ok(instance)
    }
}

impl PixelData {
    pub(crate) fn of(element: &Element) -> Self {
        PixelData {
            tag: element.tag,
            vr: element.vr,
            element_offset: element.offset(),
            value_offset: element.value_offset,
            length: element.length(),
        }
    }
}

/// The first value of Number of Frames, 1 if it is none.
fn number_of_frames(value: Option<&str>) -> u32 {
    value
        .and_then(|text| text.split('\\').next()?.trim().parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(1)
}

fn identifies(tag: Tag) -> bool {
    matches!(
        tag,
        tags::PATIENT_ID
            | tags::ISSUER_OF_PATIENT_ID
            | tags::STUDY_INSTANCE_UID
            | tags::SERIES_INSTANCE_UID
            | tags::SOP_INSTANCE_UID
            | tags::SOP_CLASS_UID
            | tags::ACCESSION_NUMBER
            | tags::SPECIFIC_CHARACTER_SET
    )
}

/// Takes more than PS3.5 §9.1 allows, because devices send it, but nothing that could make two resources share a
/// public id (`|`), name two values (`\`) or break out of a path or a header.
fn check_uid(tag: Tag, uid: &str, offset: u64) -> Result<(), DicomError> {
    let problem = if uid.len() > MAX_UID_BYTES {
        "is longer than 128 bytes; a UID has at most 64"
    } else if !uid
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        "holds a character that no UID has; digits and '.' are allowed"
    } else {
        return Ok(());
    };
    Err(DicomError::BadUid {
        tag,
        problem,
        offset,
    })
}
