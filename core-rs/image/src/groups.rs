//! What functional groups say of frames (PS3.3 §C.7.6.16), and what the data set itself says for all of them.

use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::grayscale::{Modality, View, Voi};
use crate::tag;

/// What frames may have each of their own.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct FrameGroup {
    /// Pixel Value Transformation (PS3.3 §C.7.6.16.2.9).
    pub modality: Option<Modality>,
    /// Frame VOI LUT (PS3.3 §C.7.6.16.2.10): empty if the group has none.
    pub views: Vec<View>,
    /// Height of a pixel by its width.
    pub aspect: Option<f64>,
}

impl FrameGroup {
    /// Reads one item of Shared or Per-Frame Functional Groups Sequence.
    fn read(item: &DataSet, signed: Option<bool>, default: &Modality) -> Result<Self, ImageError> {
        let modality = match item.item(PIXEL_VALUE_TRANSFORMATION_SEQUENCE) {
            Some(item) => Modality::read(item, signed)?,
            None => None,
        };
        let voi = item.item(FRAME_VOI_LUT_SEQUENCE);
        let applied = modality.as_ref().unwrap_or(default);
        Ok(FrameGroup {
            views: voi.map_or_else(Vec::new, |item| Voi::read(item, signed, applied)),
            aspect: item.item(PIXEL_MEASURES_SEQUENCE).and_then(spacing_aspect),
            modality,
        })
    }

    /// Whether it says nothing.
    fn is_empty(&self) -> bool {
        self.modality.is_none() && self.views.is_empty() && self.aspect.is_none()
    }
}

/// What is said of frames: for all, and for each.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Groups {
    shared: FrameGroup,
    /// As many as there are frames, or none if they say nothing.
    each: Vec<FrameGroup>,
}

impl Groups {
    /// Reads the functional groups; where they are silent the data set itself speaks for all frames.
    pub fn read(data_set: &DataSet, signed: Option<bool>) -> Result<Self, ImageError> {
        let modality = Modality::read(data_set, signed)?;
        let applied = modality.clone().unwrap_or(Modality::IDENTITY);
        let mut shared = match data_set.item(SHARED_FUNCTIONAL_GROUPS_SEQUENCE) {
            Some(item) => FrameGroup::read(item, signed, &applied)?,
            None => FrameGroup::default(),
        };
        shared.modality = shared.modality.or(modality);
        if shared.views.is_empty() {
            let applied = shared.modality.as_ref().unwrap_or(&Modality::IDENTITY);
            shared.views = Voi::read(data_set, signed, applied);
        }
        shared.aspect = shared.aspect.or_else(|| aspect(data_set));
        let applied = shared.modality.as_ref().unwrap_or(&Modality::IDENTITY);
        let items = data_set.items(PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter();
        let mut each = items
            .map(|item| FrameGroup::read(item, signed, applied))
            .collect::<Result<Vec<_>, _>>()?;
        if each.iter().all(FrameGroup::is_empty) {
            each.clear();
        }
        Ok(Groups { shared, each })
    }

    /// The modality LUT of a frame.
    pub fn modality(&self, frame: usize) -> &Modality {
        self.each
            .get(frame)
            .and_then(|group| group.modality.as_ref())
            .or(self.shared.modality.as_ref())
            .unwrap_or(&Modality::IDENTITY)
    }

    /// The views of a frame.
    pub fn views(&self, frame: usize) -> &[View] {
        match self.each.get(frame) {
            Some(group) if !group.views.is_empty() => &group.views,
            _ => &self.shared.views,
        }
    }

    /// Height of a pixel by its width.
    pub fn aspect(&self, frame: usize) -> f64 {
        let own = self.each.get(frame).and_then(|group| group.aspect);
        own.or(self.shared.aspect).unwrap_or(1.0)
    }
}

/// Height of a pixel by its width, if the data set says that it is not square: by a spacing, else by Pixel Aspect Ratio
/// (0028,0034), which is for images without one (PS3.3 §C.7.6.3.1.7).
fn aspect(data_set: &DataSet) -> Option<f64> {
    spacing_aspect(data_set).or_else(|| ratio(&data_set.decimals(PIXEL_ASPECT_RATIO)))
}

/// By the first of the spacings that is there; each is row spacing, column spacing (PS3.3 §10.7.1.3).
fn spacing_aspect(data_set: &DataSet) -> Option<f64> {
    SPACINGS
        .iter()
        .find_map(|tag| ratio(&data_set.decimals(*tag)))
}

/// The ratio of two lengths. Pixels a hundred times as high as wide are no pixels: that is taken for unsaid.
pub(crate) fn ratio(lengths: &[f64]) -> Option<f64> {
    let &[height, width] = lengths.first_chunk()?;
    let ratio = height / width;
    (height > 0.0 && width > 0.0 && (0.01..=100.0).contains(&ratio)).then_some(ratio)
}

/// Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing, Presentation Pixel Spacing.
const SPACINGS: [Tag; 4] = [
    Tag(0x0028, 0x0030),
    Tag(0x0018, 0x1164),
    Tag(0x0018, 0x2010),
    tag::PRESENTATION_PIXEL_SPACING,
];
const PIXEL_ASPECT_RATIO: Tag = Tag(0x0028, 0x0034);
const SHARED_FUNCTIONAL_GROUPS_SEQUENCE: Tag = Tag(0x5200, 0x9229);
const PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: Tag = Tag(0x5200, 0x9230);
const PIXEL_VALUE_TRANSFORMATION_SEQUENCE: Tag = Tag(0x0028, 0x9145);
const FRAME_VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x9132);
const PIXEL_MEASURES_SEQUENCE: Tag = Tag(0x0028, 0x9110);
