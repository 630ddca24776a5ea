//! From stored values to gray: modality LUT, VOI LUT, presentation LUT (PS3.4 §N.2.1, PS3.3 §C.11).

use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::lut::Lut;
use crate::options::{VoiFunction, Window};
use crate::tag;

/// The modality LUT (PS3.3 §C.11.1).
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Modality {
    /// Rescale Slope and Rescale Intercept.
    Linear {
        /// Rescale Slope (0028,1053).
        slope: f64,
        /// Rescale Intercept (0028,1052).
        intercept: f64,
    },
    /// Modality LUT Sequence (0028,3000).
    Table(Lut),
}

impl Modality {
    /// Stored values as they are.
    pub const IDENTITY: Modality = Modality::Linear {
        slope: 1.0,
        intercept: 0.0,
    };

    /// The modality LUT of a data set; `None` if it has none. A slope of 0, which would make one value of all, is none.
    pub fn read(data_set: &DataSet, signed: Option<bool>) -> Result<Option<Self>, ImageError> {
        if let Some(item) = data_set.item(MODALITY_LUT_SEQUENCE) {
            return Lut::read(item, signed).map(|lut| Some(Modality::Table(lut)));
        }
        let slope = data_set.decimal(tag::RESCALE_SLOPE);
        let intercept = data_set.decimal(tag::RESCALE_INTERCEPT);
        if slope.is_none() && intercept.is_none() {
            return Ok(None);
        }
        Ok(Some(Modality::Linear {
            slope: slope.filter(|slope| *slope != 0.0).unwrap_or(1.0),
            intercept: intercept.unwrap_or(0.0),
        }))
    }

    pub fn apply(&self, stored: f64) -> f64 {
        match self {
            Modality::Linear { slope, intercept } => stored * slope + intercept,
            Modality::Table(lut) => f64::from(lut.entry(stored)),
        }
    }

    /// What goes out when all of `possible` goes in.
    pub fn range(&self, (low, high): (f64, f64)) -> (f64, f64) {
        match self {
            Modality::Linear { .. } => {
                let (a, b) = (self.apply(low), self.apply(high));
                (a.min(b), a.max(b))
            }
            Modality::Table(lut) => (0.0, lut.largest()),
        }
    }

    /// Whether values that come out may be negative, if that is known of those that go in.
    fn is_signed(&self, stored_signed: Option<bool>) -> Option<bool> {
        match self {
            Modality::Linear { slope, intercept } if *intercept < 0.0 || *slope < 0.0 => Some(true),
            Modality::Linear { .. } => stored_signed,
            Modality::Table(_) => Some(false),
        }
    }
}

/// One of the views of an image: a window or a VOI LUT (PS3.3 §C.11.2).
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Voi {
    /// Window Center and Window Width.
    Window(Window),
    /// An item of VOI LUT Sequence (0028,3010).
    Table(Lut),
    /// From the first to the second value.
    Range(f64, f64),
}

impl Voi {
    /// All views that a data set has: windows, then tables. A table that is broken is an error only when it is used.
    pub fn read(data_set: &DataSet, signed: Option<bool>, modality: &Modality) -> Vec<View> {
        let function = match data_set.text(VOI_LUT_FUNCTION).as_deref() {
            Some("SIGMOID") => VoiFunction::Sigmoid,
            Some("LINEAR_EXACT") => VoiFunction::LinearExact,
            _ => VoiFunction::Linear,
        };
        let centers = data_set.decimals(tag::WINDOW_CENTER);
        let widths = data_set.decimals(tag::WINDOW_WIDTH);
        let windows = centers.into_iter().zip(widths).map(|(center, width)| {
            Ok(Voi::Window(Window {
                center,
                width,
                function,
            }))
        });
        let signed = modality.is_signed(signed);
        let tables = data_set.items(VOI_LUT_SEQUENCE).iter();
        let tables = tables.map(|item| Lut::read(item, signed).map(Voi::Table));
        windows.chain(tables).collect()
    }

    /// The part of the output that a value becomes: 0 to 1.
    pub fn unit(&self, value: f64) -> f64 {
        match self {
            Voi::Window(window) => window.unit(value),
            Voi::Table(lut) => f64::from(lut.entry(value)) / lut.largest(),
            Voi::Range(low, high) if high > low => (value - low) / (high - low),
            Voi::Range(low, _) => f64::from(value > *low),
        }
    }
}

/// A view, or why it cannot be used.
pub(crate) type View = Result<Voi, ImageError>;

impl Window {
    /// The part of the output that a value becomes, 0 to 1 (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3). A width below the least
    /// that the standard allows, 1 or a little more than 0, is taken for that.
    #[must_use]
    pub fn unit(&self, value: f64) -> f64 {
        let Window { center, width, .. } = *self;
        match self.function {
            VoiFunction::Linear => {
                let (center, width) = (center - 0.5, width.max(1.0) - 1.0);
                ramp(value, center, width)
            }
            VoiFunction::LinearExact => ramp(value, center, width.max(0.0)),
            VoiFunction::Sigmoid if width > 0.0 => {
                1.0 / (1.0 + (-4.0 * (value - center) / width).exp())
            }
            VoiFunction::Sigmoid => f64::from(value > center),
        }
    }
}

fn ramp(value: f64, center: f64, width: f64) -> f64 {
    if value <= center - width / 2.0 {
        0.0
    } else if value > center + width / 2.0 {
        1.0
    } else {
        (value - center) / width + 0.5
    }
}

/// The presentation LUT (PS3.3 §C.11.4, §C.11.6).
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) enum Presentation {
    /// Presentation LUT Shape (2050,0020) of IDENTITY.
    #[default]
    Identity,
    /// Presentation LUT Shape of INVERSE.
    Inverse,
    /// Presentation LUT Sequence (2050,0010).
    Table(Lut),
}

impl Presentation {
    /// The presentation LUT of a data set.
    pub fn read(data_set: &DataSet) -> Result<Self, ImageError> {
        if let Some(item) = data_set.item(PRESENTATION_LUT_SEQUENCE) {
            return Lut::read(item, Some(false)).map(Presentation::Table);
        }
        Ok(match data_set.text(PRESENTATION_LUT_SHAPE).as_deref() {
            Some("INVERSE") => Presentation::Inverse,
            _ => Presentation::Identity,
        })
    }

    fn apply(&self, unit: f64) -> f64 {
        match self {
            Presentation::Identity => unit,
            Presentation::Inverse => 1.0 - unit,
            Presentation::Table(lut) => {
                // All that the VOI LUT can give is mapped to the whole of the table.
                let last = (lut.entries.len() - 1) as f64;
                let value = (unit.clamp(0.0, 1.0) * last + 1e-6).floor();
                f64::from(lut.entry(value + lut.first as f64)) / lut.largest()
            }
        }
    }
}

/// All of it: from a stored value to gray.
pub(crate) struct Pipeline<'a> {
    pub modality: &'a Modality,
    pub voi: &'a Voi,
    pub presentation: &'a Presentation,
    /// Stored values of Pixel Padding: outside of the image, they stay black (PS3.3 §C.7.5.1.1.2).
    pub padding: Option<(f64, f64)>,
}

impl Pipeline<'_> {
    /// The gray of a stored value, 0 to 1.
    pub fn unit(&self, stored: f64) -> f64 {
        if self.is_padding(stored) {
            return 0.0;
        }
        let value = self.modality.apply(stored);
        self.presentation.apply(self.voi.unit(value))
    }

    /// The gray of a stored value, 0 to 255.
    pub fn level(&self, stored: f64) -> u8 {
        match self.presentation {
            // Gray is inverted as it is shown: what black loses by cutting off, white loses too.
            Presentation::Inverse if !self.is_padding(stored) => {
                255 - level(self.voi.unit(self.modality.apply(stored)))
            }
            _ => level(self.unit(stored)),
        }
    }

    fn is_padding(&self, stored: f64) -> bool {
        self.padding
            .is_some_and(|(low, high)| stored >= low && stored <= high)
    }
}

/// A gray of 0 to 1 as one of 256. White is what reaches it, as elsewhere; the small number keeps steps of a
/// whole level from falling below it by rounding.
pub(crate) fn level(unit: f64) -> u8 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float beyond the type becomes its end, one that is none 0"
    )]
    let level = (unit * 255.0 + 1e-6) as u8;
    level
}

const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
const VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3010);
const VOI_LUT_FUNCTION: Tag = Tag(0x0028, 0x1056);
const PRESENTATION_LUT_SEQUENCE: Tag = Tag(0x2050, 0x0010);
const PRESENTATION_LUT_SHAPE: Tag = Tag(0x2050, 0x0020);
