//! Frames as arrays of numbers rather than pictures.

use vna_codec::{Decoded, Sample};

use crate::ImageError;
use crate::colour::with_rgb;
use crate::description::ImageDescription;
use crate::picture::bytes_of;

/// The type of the elements of an array, little endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "each is a letter for the kind and its bytes")]
pub enum ElementType {
    U1,
    I1,
    U2,
    I2,
    U4,
    I4,
    U8,
    I8,
    F4,
    F8,
}

impl ElementType {
    /// The type as NumPy names it, such as `<u2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ElementType::U1 => "|u1",
            ElementType::I1 => "|i1",
            ElementType::U2 => "<u2",
            ElementType::I2 => "<i2",
            ElementType::U4 => "<u4",
            ElementType::I4 => "<i4",
            ElementType::U8 => "<u8",
            ElementType::I8 => "<i8",
            ElementType::F4 => "<f4",
            ElementType::F8 => "<f8",
        }
    }

    /// Bytes of an element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            ElementType::U1 | ElementType::I1 => 1,
            ElementType::U2 | ElementType::I2 => 2,
            ElementType::U4 | ElementType::I4 | ElementType::F4 => 4,
            ElementType::U8 | ElementType::I8 | ElementType::F8 => 8,
        }
    }

    /// The smallest type for numbers of `bits` bits.
    fn of_bits(bits: u16, sample: Sample) -> Self {
        match (sample, bits) {
            (Sample::Float, ..=32) => ElementType::F4,
            (Sample::Float, _) => ElementType::F8,
            (Sample::Unsigned, ..=8) => ElementType::U1,
            (Sample::Unsigned, ..=16) => ElementType::U2,
            (Sample::Unsigned, ..=32) => ElementType::U4,
            (Sample::Unsigned, _) => ElementType::U8,
            (Sample::Signed, ..=8) => ElementType::I1,
            (Sample::Signed, ..=16) => ElementType::I2,
            (Sample::Signed, ..=32) => ElementType::I4,
            (Sample::Signed, _) => ElementType::I8,
        }
    }
}

impl ImageDescription {
    /// The type of the elements that [`ImageDescription::array`] gives, and how many a pixel has.
    #[must_use]
    pub fn array_type(&self, rescale: bool) -> (ElementType, u16) {
        let format = &self.format;
        if self.is_palette_color() {
            return (ElementType::U1, 3);
        }
        if format.samples_per_pixel > 1 {
            let element = ElementType::of_bits(format.bits_allocated, Sample::Unsigned);
            return (element, format.samples_per_pixel);
        }
        match ElementType::of_bits(format.bits_allocated, format.sample) {
            ElementType::F8 => (ElementType::F8, 1),
            _ if rescale => (ElementType::F4, 1),
            element => (element, 1),
        }
    }

    /// Appends the values of frame `frame` to `out`, row after row, as elements of [`ImageDescription::array_type`]: stored
    /// values without what stands in unused bits and with their sign, or with `rescale` what the modality LUT makes of them.
    /// Colours are RGB, also those of a palette, and never rescaled.
    ///
    /// # Errors
    ///
    /// [`ImageError::NoSuchFrame`], [`ImageError::Samples`].
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are of that type; where a codestream has others they are cut off at its ends"
    )]
    pub fn array(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
        rescale: bool,
        out: &mut Vec<u8>,
    ) -> Result<ElementType, ImageError> {
        let (element, _) = self.array_type(rescale);
        if self.format.samples_per_pixel > 1 {
            return with_rgb(decoded, |decoded| {
                self.append(frame, decoded, element, &|value| value, out)
            });
        }
        if let (Some(palette), true) = (&self.palette, self.is_palette_color()) {
            let samples = self.samples(frame, decoded)?;
            out.extend_from_slice(samples.map(|value| palette.colour(value)).as_flattened());
            return Ok(element);
        }
        let modality = self.groups.modality(frame);
        if rescale {
            return self.append(frame, decoded, element, &|value| modality.apply(value), out);
        }
        self.append(frame, decoded, element, &|value| value, out)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are of that type; where a codestream has others they are cut off at its ends"
    )]
    fn append(
        &self,
        frame: usize,
        decoded: &Decoded<'_>,
        element: ElementType,
        of: &dyn Fn(f64) -> f64,
        out: &mut Vec<u8>,
    ) -> Result<ElementType, ImageError> {
        let samples = self.samples(frame, decoded)?;
        macro_rules! elements {
            ($type:ty) => {{
                let elements = samples.map(|value| of(value) as $type);
                out.extend(bytes_of(&elements, <$type>::to_le_bytes));
            }};
        }
        match element {
            ElementType::U1 => elements!(u8),
            ElementType::I1 => elements!(i8),
            ElementType::U2 => elements!(u16),
            ElementType::I2 => elements!(i16),
            ElementType::U4 => elements!(u32),
            ElementType::I4 => elements!(i32),
            ElementType::U8 => elements!(u64),
            ElementType::I8 => elements!(i64),
            ElementType::F4 => elements!(f32),
            ElementType::F8 => elements!(f64),
        }
        Ok(element)
    }
}
