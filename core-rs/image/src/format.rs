//! What the header says of its frames (PS3.3 §C.7.6.3).

use vna_codec::{FrameFormat, Photometric, Sample};
use vna_dicom::{CharacterSet, DataSet, Tag, Value, tags};

/// Why a data set has no frames that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormatError {
    /// An attribute that the pixels need is not there.
    Missing {
        /// Its tag.
        tag: Tag,
    },
    /// An attribute has a value that pixels cannot have.
    Wrong {
        /// Its tag.
        tag: Tag,
        /// The value.
        value: String,
    },
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FormatError::Missing { tag } => write!(f, "{tag} is missing"),
            FormatError::Wrong { tag, value } => write!(f, "{tag} cannot be {value}"),
        }
    }
}

impl std::error::Error for FormatError {}

/// The format of the frames of a data set.
///
/// # Errors
///
/// [`FormatError`] if it has none.
pub fn frame_format(data_set: &DataSet) -> Result<FrameFormat, FormatError> {
    let rows = number(data_set, tags::ROWS)?;
    let columns = number(data_set, tags::COLUMNS)?;
    let bits_allocated = number(data_set, tags::BITS_ALLOCATED)?;
    let sample = if data_set.get(tags::FLOAT_PIXEL_DATA).is_some()
        || data_set.get(tags::DOUBLE_FLOAT_PIXEL_DATA).is_some()
    {
        Sample::Float
    } else if number(data_set, tags::PIXEL_REPRESENTATION).unwrap_or(0) == 1 {
        Sample::Signed
    } else {
        Sample::Unsigned
    };
    let tag = tags::PHOTOMETRIC_INTERPRETATION;
    let name = data_set
        .get(tag)
        .and_then(|element| element.text(&CharacterSet::default()))
        .ok_or(FormatError::Missing { tag })?;
    let photometric = Photometric::parse(&name).ok_or(FormatError::Wrong { tag, value: name })?;
    Ok(FrameFormat {
        rows: rows.into(),
        columns: columns.into(),
        samples_per_pixel: number(data_set, tags::SAMPLES_PER_PIXEL).unwrap_or(1),
        bits_allocated,
        bits_stored: number(data_set, BITS_STORED).unwrap_or(bits_allocated),
        sample,
        planar: number(data_set, PLANAR_CONFIGURATION).unwrap_or(0) == 1,
        photometric,
    })
}

const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);

/// The first value of an element of VR US.
fn number(data_set: &DataSet, tag: Tag) -> Result<u16, FormatError> {
    let element = data_set.get(tag).ok_or(FormatError::Missing { tag })?;
    match &element.value {
        Value::Bytes(bytes) if bytes.len() >= 2 => Ok(u16::from_le_bytes([bytes[0], bytes[1]])),
        _ => Err(FormatError::Missing { tag }),
    }
}
