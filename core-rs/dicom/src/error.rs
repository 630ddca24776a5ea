//! What can be wrong with an encoded data set, and where.

use crate::model::ModelProblem;
use crate::{Tag, Vr};
use std::fmt;

/// A fault in DICOM bytes. Offsets count bytes from the start of the input, or of the inflated data
/// set where the transfer syntax is a deflated one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DicomError {
    /// The input is neither a Part 10 file nor a bare data set.
    NotDicom {
        /// What was found instead.
        found: &'static str,
    },
    /// The File Meta Information breaks PS3.10 §7.1.
    Meta {
        /// What is wrong with it.
        problem: &'static str,
        /// Where.
        offset: u64,
    },
    /// The input ends inside something.
    Truncated {
        /// What it ends in.
        what: &'static str,
        /// Where that begins.
        offset: u64,
        /// Bytes that it takes from there.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// An element, item or sequence reaches beyond the end of what contains it.
    BeyondParent {
        /// The element, or an item's tag.
        tag: Tag,
        /// Where its header begins.
        offset: u64,
        /// Where it would end.
        end: u64,
        /// Where the item or sequence around it ends.
        parent_end: u64,
    },
    /// An element of group FFFE stands where a data element must stand.
    UnexpectedItem {
        /// The tag found.
        tag: Tag,
        /// Where.
        offset: u64,
    },
    /// Something else stands where an item or a sequence delimiter must stand.
    ItemExpected {
        /// The tag found.
        tag: Tag,
        /// Where.
        offset: u64,
    },
    /// An element whose VR forbids it has undefined length (PS3.5 §7.1.2), and no item follows.
    UndefinedLength {
        /// The element.
        tag: Tag,
        /// Its VR.
        vr: Vr,
        /// Where its header begins.
        offset: u64,
    },
    /// A limit of this reader, set against hostile input.
    Budget {
        /// Which.
        budget: Budget,
        /// Where it was reached.
        offset: u64,
    },
    /// The deflate stream of a deflated data set is broken.
    Inflate {
        /// Bytes inflated before the fault.
        offset: u64,
    },
    /// An identifier that every instance needs is absent or empty.
    MissingUid {
        /// Which one.
        tag: Tag,
    },
    /// A UID does not follow PS3.5 §9.1.
    BadUid {
        /// The element.
        tag: Tag,
        /// What is wrong with it.
        problem: &'static str,
        /// Where its value begins.
        offset: u64,
    },
    /// The frames of the pixel data cannot be told apart, or contradict the data set.
    Frames {
        /// What is wrong with them.
        problem: FrameProblem,
        /// Where.
        offset: u64,
    },
    /// A data element cannot be written as it is.
    Unencodable {
        /// The element.
        tag: Tag,
        /// Why not.
        problem: EncodeProblem,
    },
    /// The way from one transfer syntax to the other goes through a codec.
    Transcode {
        /// The transfer syntax that it is in.
        from: String,
        /// The one that it would have to be in.
        to: String,
    },
    /// A text is not the DICOM JSON Model (PS3.18 Annex F) or the Native DICOM Model (PS3.19 Annex A.1).
    Model {
        /// What is wrong with it.
        problem: ModelProblem,
        /// At which attribute: tags, and between two of them the number of an item from 0 on. Empty outside of all.
        path: String,
        /// Where in the text.
        offset: u64,
    },
}

/// Why a data element cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncodeProblem {
    /// No length field holds it (PS3.5 §7.1.1).
    TooLong {
        /// Its length in bytes.
        length: u64,
    },
    /// It is encapsulated, the transfer syntax is one of native pixel data (PS3.5 §A.4).
    Encapsulated,
    /// Its value is elsewhere ([`crate::Value::BulkDataUri`]).
    Elsewhere,
    /// Its group stands before a data set or around items, never in one.
    Group,
}

/// A limit that hostile input may reach; each constant named here says why it has its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Budget {
    /// [`crate::MAX_DEPTH`]
    Depth,
    /// [`crate::MAX_ELEMENTS`]
    Elements,
    /// [`crate::MAX_INDEXED_VALUE_BYTES`], of an identifier
    Identifier,
    /// [`crate::MAX_INFLATED_BYTES`], or the cap that the caller gave
    Inflated,
    /// [`crate::MAX_INFLATE_RATIO`]
    InflateRatio,
    /// [`crate::MAX_META_BYTES`]
    Meta,
    /// [`crate::MAX_FRAMES`]
    Frames,
    /// [`crate::MAX_TAGS_BYTES`]
    Tags,
    /// [`crate::MAX_HEADER_BYTES`]
    Header,
}

impl Budget {
    /// The limit.
    #[must_use]
    pub const fn limit(self) -> u64 {
        match self {
            Budget::Depth => crate::MAX_DEPTH as u64,
            Budget::Elements => crate::MAX_ELEMENTS as u64,
            Budget::Identifier => crate::MAX_INDEXED_VALUE_BYTES as u64,
            Budget::Inflated => crate::MAX_INFLATED_BYTES,
            Budget::InflateRatio => crate::MAX_INFLATE_RATIO,
            Budget::Meta => crate::MAX_META_BYTES as u64,
            Budget::Frames => crate::MAX_FRAMES as u64,
            Budget::Tags => crate::MAX_TAGS_BYTES as u64,
            Budget::Header => crate::MAX_HEADER_BYTES as u64,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Budget::Depth => "budget.depth",
            Budget::Elements => "budget.elements",
            Budget::Identifier => "budget.identifier",
            Budget::Inflated => "budget.inflated",
            Budget::InflateRatio => "budget.inflate_ratio",
            Budget::Meta => "budget.meta",
            Budget::Frames => "budget.frames",
            Budget::Tags => "budget.tags",
            Budget::Header => "budget.header",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Budget::Depth => "nested sequences",
            Budget::Elements => "elements",
            Budget::Identifier => "bytes in an identifier",
            Budget::Inflated => "inflated bytes",
            Budget::InflateRatio => "inflated bytes for each deflated one",
            Budget::Meta => "bytes of file meta information",
            Budget::Frames => "frames",
            Budget::Tags => "bytes of elements and their short values",
            Budget::Header => "bytes before the pixel data",
        }
    }
}

/// Why a frame table cannot be given. A guess would show one frame's bytes as another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameProblem {
    /// The data set has no pixel data of its own.
    NoPixelData,
    /// Rows, Columns, Samples per Pixel, Bits Allocated: one that native frames need is absent or 0.
    MissingAttribute(Tag),
    /// Native pixel data is shorter than its attributes say.
    TooShort {
        /// Bytes that the frames take.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// An offset table points at no fragment, or runs backwards, and nothing else separates the frames.
    OffsetTable,
    /// Fewer or more codestreams than Number of Frames.
    Count {
        /// Number of Frames (0028,0008).
        expected: u64,
        /// Codestreams or fragments found.
        found: u64,
    },
    /// Neither offset table, fragment count nor codestream markers separate the frames.
    Undecidable,
    /// The pixel data is inside a deflated data set: it has no position in the file.
    Deflated,
}

impl fmt::Display for FrameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameProblem::NoPixelData => f.write_str("there is no pixel data"),
            FrameProblem::MissingAttribute(tag) => {
                write!(
                    f,
                    "{tag} {} is absent or 0",
                    crate::keyword(*tag).unwrap_or("element")
                )
            }
            FrameProblem::TooShort { needed, available } => {
                write!(
                    f,
                    "the frames take {needed} bytes, pixel data has {available}"
                )
            }
            FrameProblem::OffsetTable => f.write_str("the offset table points at no fragment"),
            FrameProblem::Count { expected, found } => {
                write!(
                    f,
                    "Number of Frames is {expected}, pixel data holds {found}"
                )
            }
            FrameProblem::Undecidable => f.write_str(
                "neither offset table, fragment count nor codestream markers tell the frames apart",
            ),
            FrameProblem::Deflated => {
                f.write_str("inside a deflated data set frames have no position in the file")
            }
        }
    }
}

impl fmt::Display for EncodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeProblem::TooLong { length } => {
                write!(f, "has {length} bytes; a length field holds 4294967294")
            }
            EncodeProblem::Encapsulated => f.write_str(
                "holds encapsulated pixel data, which the transfer syntax has no place for",
            ),
            EncodeProblem::Elsewhere => {
                f.write_str("has its value elsewhere: it must be fetched before it is written")
            }
            EncodeProblem::Group => {
                f.write_str("is of a group that no data set holds: 0000, 0002 or FFFE")
            }
        }
    }
}

impl DicomError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            DicomError::NotDicom { .. } => "file.not_dicom",
            DicomError::Meta { .. } => "file.meta",
            DicomError::Truncated { .. } => "header.truncated",
            DicomError::BeyondParent { .. } => "value.beyond_parent",
            DicomError::UnexpectedItem { .. } => "item.unexpected",
            DicomError::ItemExpected { .. } => "item.expected",
            DicomError::UndefinedLength { .. } => "header.undefined_length",
            DicomError::Budget { budget, .. } => budget.code(),
            DicomError::Inflate { .. } => "deflate.invalid",
            DicomError::MissingUid { .. } => "identity.missing_uid",
            DicomError::BadUid { .. } => "identity.bad_uid",
            DicomError::Frames { problem, .. } => match problem {
                FrameProblem::NoPixelData => "frames.no_pixel_data",
                FrameProblem::MissingAttribute(_) => "frames.missing_attribute",
                FrameProblem::TooShort { .. } => "frames.too_short",
                FrameProblem::OffsetTable => "frames.offset_table",
                FrameProblem::Count { .. } => "frames.count",
                FrameProblem::Undecidable => "frames.undecidable",
                FrameProblem::Deflated => "frames.deflated",
            },
            DicomError::Unencodable { problem, .. } => match problem {
                EncodeProblem::TooLong { .. } => "value.too_long",
                EncodeProblem::Encapsulated => "value.encapsulated",
                EncodeProblem::Elsewhere => "value.elsewhere",
                EncodeProblem::Group => "value.group",
            },
            DicomError::Transcode { .. } => "transcode.unsupported",
            DicomError::Model { problem, .. } => problem.code(),
        }
    }

    /// Where it was found, if it has a place.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        match self {
            DicomError::NotDicom { .. }
            | DicomError::MissingUid { .. }
            | DicomError::Unencodable { .. }
            | DicomError::Transcode { .. } => None,
            DicomError::Meta { offset, .. }
            | DicomError::Truncated { offset, .. }
            | DicomError::BeyondParent { offset, .. }
            | DicomError::UnexpectedItem { offset, .. }
            | DicomError::ItemExpected { offset, .. }
            | DicomError::UndefinedLength { offset, .. }
            | DicomError::Budget { offset, .. }
            | DicomError::Inflate { offset }
            | DicomError::BadUid { offset, .. }
            | DicomError::Frames { offset, .. }
            | DicomError::Model { offset, .. } => Some(*offset),
        }
    }
}

impl fmt::Display for DicomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DicomError::NotDicom { found } => {
                write!(
                    f,
                    "found {found}; a DICOM file has 'DICM' at byte 128 or begins with a data element"
                )
            }
            DicomError::Meta { problem, offset } => {
                write!(f, "file meta information at byte {offset}: {problem}")
            }
            DicomError::Truncated {
                what,
                offset,
                needed,
                available,
            } => {
                write!(
                    f,
                    "{what} needs {needed} bytes at byte {offset}, {available} left"
                )
            }
            DicomError::BeyondParent {
                tag,
                offset,
                end,
                parent_end,
            } => {
                write!(
                    f,
                    "{tag} at byte {offset} ends at byte {end}, what contains it at byte {parent_end}"
                )
            }
            DicomError::UnexpectedItem { tag, offset } => {
                write!(f, "{tag} at byte {offset} where a data element must stand")
            }
            DicomError::ItemExpected { tag, offset } => {
                write!(
                    f,
                    "{tag} at byte {offset} where an item (FFFE,E000) or (FFFE,E0DD) must stand"
                )
            }
            DicomError::UndefinedLength { tag, vr, offset } => {
                write!(
                    f,
                    "{tag} at byte {offset} has VR {vr} and undefined length; only SQ, UN, OB and OW may"
                )
            }
            DicomError::Budget { budget, offset } => {
                write!(
                    f,
                    "more than {} {} at byte {offset}",
                    budget.limit(),
                    budget.unit()
                )
            }
            DicomError::Inflate { offset } => {
                write!(f, "the deflate stream breaks after {offset} inflated bytes")
            }
            DicomError::MissingUid { tag } => {
                write!(
                    f,
                    "{tag} {} is absent or empty",
                    crate::keyword(*tag).unwrap_or("UID")
                )
            }
            DicomError::BadUid {
                tag,
                problem,
                offset,
            } => {
                write!(
                    f,
                    "{tag} {} at byte {offset} {problem}",
                    crate::keyword(*tag).unwrap_or("UID")
                )
            }
            DicomError::Frames { problem, offset } => {
                write!(f, "pixel data at byte {offset}: {problem}")
            }
            DicomError::Unencodable { tag, problem } => write!(f, "{tag} {problem}"),
            DicomError::Transcode { from, to } => write!(
                f,
                "from transfer syntax {from} to {to} it takes a codec; 1.2.840.10008.1.2, .1.2.1, .1.2.1.99 and .1.2.2 \
                 are written from each other"
            ),
            DicomError::Model {
                problem,
                path,
                offset,
            } if path.is_empty() => write!(f, "byte {offset}: {problem}"),
            DicomError::Model {
                problem,
                path,
                offset,
            } => write!(f, "{path} at byte {offset}: {problem}"),
        }
    }
}

impl std::error::Error for DicomError {}
