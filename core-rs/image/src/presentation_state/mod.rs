//! Softcopy presentation states: Grayscale, Color and Pseudo-Color (PS3.3 §A.33.1 to §A.33.3, PS3.4 §N.2).

mod area;
mod draw;
mod font;
mod graphics;
mod present;
mod shutter;

use vna_dicom::{DataSet, Tag, tags};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::grayscale::{Modality, Presentation, View, Voi};
use crate::icc::icc_profile;
use crate::overlay::Overlay;
use crate::palette::Palette;
use area::{DisplayedArea, Orientation};
pub(crate) use draw::{Canvas, Ink, annotate};
pub(crate) use font::{COLUMNS as LETTER_COLUMNS, ROWS as LETTER_ROWS};
use graphics::{Annotation, Layers};
pub(crate) use present::present;
use shutter::Shutter;

/// A presentation state: how images are to be displayed. It is for the images and frames that it refers to; others are
/// rendered as if there were none.
#[derive(Clone, PartialEq, Debug)]
pub struct PresentationState {
    images: References,
    /// Replaces what the image says (PS3.4 §N.2.1.1): without a modality LUT here there is none.
    modality: Modality,
    vois: Vec<(References, View)>,
    presentation: Presentation,
    /// Of a Pseudo-Color presentation state: what grays become.
    palette: Option<Palette>,
    /// Of a Color or Pseudo-Color presentation state: which colours its own are (PS3.3 §C.11.15).
    icc_profile: Result<Option<Vec<u8>>, ImageError>,
    orientation: Orientation,
    areas: Vec<(References, DisplayedArea)>,
    shutter: Shutter,
    /// Overlays of its own, whether or not they are activated.
    overlays: Vec<Overlay>,
    /// Groups of overlays to be shown, its own or else the image's, each with its layer (PS3.3 §C.11.7).
    active_overlays: Vec<(u16, String)>,
    layers: Layers,
    annotations: Vec<(References, Annotation)>,
}

impl PresentationState {
    /// Reads a Grayscale, Color or Pseudo-Color Softcopy Presentation State.
    ///
    /// # Errors
    ///
    /// [`ImageError::Request`] if it is no presentation state of these, [`ImageError::Table`] if a look-up table or a graphic in it
    /// is broken.
    pub fn read(data_set: &DataSet) -> Result<Self, ImageError> {
        let sop_class_uid = data_set.text(tags::SOP_CLASS_UID).unwrap_or_default();
        if !SOP_CLASSES.contains(&sop_class_uid.as_str()) {
            return Err(ImageError::Request {
                problem: "it is no Grayscale, Color or Pseudo-Color Softcopy Presentation State",
            });
        }
        let series = data_set.items(REFERENCED_SERIES_SEQUENCE).iter();
        let modality = Modality::read(data_set, None)?.unwrap_or(Modality::IDENTITY);
        let vois = data_set.items(SOFTCOPY_VOI_LUT_SEQUENCE).iter();
        let vois = vois.filter_map(|item| {
            let view = Voi::read(item, None, &modality).into_iter().next()?;
            Some((References::of_item(item), view))
        });
        let areas = data_set.items(DISPLAYED_AREA_SELECTION_SEQUENCE).iter();
        let areas =
            areas.filter_map(|item| Some((References::of_item(item), DisplayedArea::read(item)?)));
        let annotations = data_set.items(GRAPHIC_ANNOTATION_SEQUENCE).iter();
        let annotations = annotations
            .map(|item| Ok((References::of_item(item), Annotation::read(item)?)))
            .collect::<Result<_, ImageError>>()?;
        let active_overlays = (0x6000..=0x601E).step_by(2).filter_map(|group| {
            let layer = data_set.text(Tag(group, OVERLAY_ACTIVATION_LAYER))?;
            Some((group, layer))
        });
        Ok(PresentationState {
            images: References::new(series.flat_map(|item| item.items(REFERENCED_IMAGE_SEQUENCE))),
            vois: vois.collect(),
            presentation: Presentation::read(data_set)?,
            palette: Palette::read(data_set, Some(false))?,
            icc_profile: icc_profile(data_set).map(|profile| profile.map(<[u8]>::to_vec)),
            orientation: Orientation::read(data_set),
            areas: areas.collect(),
            shutter: Shutter::read(data_set),
            overlays: Overlay::read_all(data_set),
            active_overlays: active_overlays.collect(),
            layers: Layers::read(data_set),
            annotations,
            modality,
        })
    }

    /// Its ICC Profile (0028,2000): the colours that it makes are those of this, whatever profile an image has.
    ///
    /// # Errors
    ///
    /// [`ImageError::Table`] if it is too long.
    pub fn icc_profile(&self) -> Result<Option<&[u8]>, ImageError> {
        self.icc_profile
            .as_ref()
            .map(Option::as_deref)
            .map_err(Clone::clone)
    }

    /// Whether it is for frame `frame`, counted from 0, of that instance.
    #[must_use]
    pub fn refers_to(&self, sop_instance_uid: &str, frame: usize) -> bool {
        self.images.contains(sop_instance_uid, frame)
    }
}

/// The one of several that is for a frame: the first that refers to it, or that refers to nothing and so is for all.
fn of_frame<'a, T>(
    several: &'a [(References, T)],
    sop_instance_uid: &str,
    frame: usize,
) -> impl Iterator<Item = &'a T> {
    several
        .iter()
        .filter(move |(references, _)| {
            references.0.is_empty() || references.contains(sop_instance_uid, frame)
        })
        .map(|(_, one)| one)
}

/// Images that something is for: Referenced Image Sequence (0008,1140).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct References(Vec<Reference>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Reference {
    sop_instance_uid: String,
    /// Frame numbers, counted from 1; none means all.
    frames: Vec<u32>,
}

impl References {
    fn new<'a>(items: impl Iterator<Item = &'a DataSet>) -> Self {
        let references = items.filter_map(|item| {
            let frames = item.decimals(REFERENCED_FRAME_NUMBER).into_iter();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float beyond the type becomes its end, which is no frame"
            )]
            let frames = frames.map(|number| number as u32).collect();
            Some(Reference {
                sop_instance_uid: item.text(REFERENCED_SOP_INSTANCE_UID)?,
                frames,
            })
        });
        References(references.collect())
    }

    fn of_item(item: &DataSet) -> Self {
        References::new(item.items(REFERENCED_IMAGE_SEQUENCE).iter())
    }

    fn contains(&self, sop_instance_uid: &str, frame: usize) -> bool {
        self.0.iter().any(|reference| {
            let frames = &reference.frames;
            let is_frame = |number: &u32| u64::from(*number) == frame as u64 + 1;
            reference.sop_instance_uid == sop_instance_uid
                && (frames.is_empty() || frames.iter().any(is_frame))
        })
    }
}

/// Grayscale, Color, Pseudo-Color.
const SOP_CLASSES: [&str; 3] = [
    "1.2.840.10008.5.1.4.1.1.11.1",
    "1.2.840.10008.5.1.4.1.1.11.2",
    "1.2.840.10008.5.1.4.1.1.11.3",
];
const REFERENCED_SERIES_SEQUENCE: Tag = Tag(0x0008, 0x1115);
const REFERENCED_IMAGE_SEQUENCE: Tag = Tag(0x0008, 0x1140);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
const REFERENCED_FRAME_NUMBER: Tag = Tag(0x0008, 0x1160);
const SOFTCOPY_VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3110);
const GRAPHIC_ANNOTATION_SEQUENCE: Tag = Tag(0x0070, 0x0001);
const DISPLAYED_AREA_SELECTION_SEQUENCE: Tag = Tag(0x0070, 0x005A);
const OVERLAY_ACTIVATION_LAYER: u16 = 0x1001;
