//! What the header says of its frames (PS3.3 §C.7.6.3), with what is wrong in the field put right.

use vna_codec::{FrameFormat, Photometric, Sample};
use vna_dicom::{DataSet, tags};

use crate::attributes::Attributes;
use crate::error::FormatError;
use crate::tag;

/// The format of the frames of a data set.
///
/// What occurs in the field is put right, by the rule that the number of bytes of a frame is what readers and writers of
/// an image cannot disagree about:
///
/// - Bits Allocated missing: 32 or 64 of Float and Double Float Pixel Data, else the whole bytes of Bits Stored.
/// - Bits Stored missing, 0, or more than Bits Allocated: all bits allocated.
/// - Samples per Pixel missing or 0: 3 for a colour photometric interpretation, else 1.
/// - Photometric Interpretation missing: PALETTE COLOR if there is a palette, else by Samples per Pixel MONOCHROME2 or
///   RGB. Lower case is taken for upper case, and MONOCHROME alone for MONOCHROME2.
/// - Three samples that are said to be monochrome or a palette's: RGB. One that is said to have colours: MONOCHROME2.
/// - Pixel Representation missing, or neither 0 nor 1: unsigned. Planar Configuration of one sample: ignored.
///
/// # Errors
///
/// [`FormatError`] if there are no Rows or Columns, or nothing says how wide a sample is, or it is not a whole number
/// of bytes and not one bit, or there are neither 1, 3 nor 4 samples a pixel.
pub fn frame_format(data_set: &DataSet) -> Result<FrameFormat, FormatError> {
    let rows = dimension(data_set, tags::ROWS)?;
    let columns = dimension(data_set, tags::COLUMNS)?;
    let (bits_allocated, is_float) = bits_allocated(data_set)?;
    let bits_stored = match number(data_set, tag::BITS_STORED) {
        Some(bits) if (1..=bits_allocated).contains(&bits) && !is_float => bits,
        _ => bits_allocated,
    };
    let (samples_per_pixel, photometric) = samples(data_set)?;
    let sample = if is_float {
        Sample::Float
    } else if number(data_set, tags::PIXEL_REPRESENTATION) == Some(1) {
        Sample::Signed
    } else {
        Sample::Unsigned
    };
    let planar = samples_per_pixel > 1 && number(data_set, tag::PLANAR_CONFIGURATION) == Some(1);
    Ok(FrameFormat {
        rows,
        columns,
        samples_per_pixel,
        bits_allocated,
        bits_stored,
        sample,
        planar,
        photometric,
    })
}

fn number(data_set: &DataSet, tag: vna_dicom::Tag) -> Option<u16> {
    u16::try_from(data_set.number(tag)?).ok()
}

fn dimension(data_set: &DataSet, tag: vna_dicom::Tag) -> Result<u32, FormatError> {
    match data_set.number(tag) {
        None => Err(FormatError::Missing { tag }),
        Some(0) => Err(wrong(tag, "0")),
        Some(number) => Ok(number),
    }
}

fn wrong(tag: vna_dicom::Tag, value: impl ToString) -> FormatError {
    let value = value.to_string();
    FormatError::Wrong { tag, value }
}

/// Bits Allocated, and whether samples are floating point numbers.
fn bits_allocated(data_set: &DataSet) -> Result<(u16, bool), FormatError> {
    let has = |tag| data_set.get(tag).is_some();
    let tag = tags::BITS_ALLOCATED;
    let said = number(data_set, tag).filter(|bits| *bits > 0);
    // PS3.3 §C.7.6.24, §C.7.6.25: a data set has one kind of pixel data only.
    if !has(tags::PIXEL_DATA) && has(tags::DOUBLE_FLOAT_PIXEL_DATA) {
        return Ok((64, true));
    }
    if !has(tags::PIXEL_DATA) && has(tags::FLOAT_PIXEL_DATA) {
        return Ok((32, true));
    }
    let stored = || number(data_set, tag::BITS_STORED).filter(|bits| *bits > 0);
    let bits = match said.or_else(|| stored().map(|bits| bits.div_ceil(8) * 8)) {
        Some(bits) => bits,
        None => return Err(FormatError::Missing { tag }),
    };
    match bits {
        1 | 8 | 16 | 24 | 32 | 64 => Ok((bits, false)),
        _ => Err(wrong(tag, bits)),
    }
}

/// Samples per Pixel and Photometric Interpretation.
fn samples(data_set: &DataSet) -> Result<(u16, Photometric), FormatError> {
    let tag = tags::PHOTOMETRIC_INTERPRETATION;
    let photometric = match data_set.text(tag) {
        Some(name) => match Photometric::parse(&name.to_ascii_uppercase()) {
            Some(photometric) => Some(photometric),
            None if name.eq_ignore_ascii_case("MONOCHROME") => Some(Photometric::Monochrome2),
            None => return Err(wrong(tag, name)),
        },
        None => None,
    };
    let said = number(data_set, tags::SAMPLES_PER_PIXEL).filter(|samples| *samples > 0);
    let samples = said.unwrap_or(match photometric {
        Some(photometric) if photometric.is_colour() => 3,
        _ => 1,
    });
    let photometric = match (samples, photometric) {
        (1, Some(photometric)) if !photometric.is_colour() => photometric,
        (3 | 4, Some(photometric)) if photometric.is_colour() => photometric,
        (1, None) if data_set.get(tag::RED_PALETTE_DESCRIPTOR).is_some() => {
            Photometric::PaletteColor
        }
        (1, _) => Photometric::Monochrome2,
        (3 | 4, _) => Photometric::Rgb,
        _ => return Err(wrong(tags::SAMPLES_PER_PIXEL, samples)),
    };
    Ok((samples, photometric))
}
