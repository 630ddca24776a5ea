//! Transfer syntaxes: how a data set is encoded, as far as reading its elements goes (PS3.5 §10, PS3.6 A).

use crate::{DicomError, Tag, Vr};

/// Implicit VR Little Endian, the default transfer syntax of DICOM.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian.
pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian, retired.
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How element headers are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Tag and 32-bit length; the VR comes from the dictionary.
    ImplicitLittle,
    /// Tag, VR, 16- or 32-bit length.
    ExplicitLittle,
    /// The same with the most significant byte first.
    ExplicitBig,
}

/// The encoding of a transfer syntax, and whether its data set is deflated as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TransferSyntax {
    /// How element headers are written.
    pub encoding: Encoding,
    /// Whether the whole data set is one deflate stream (PS3.5 §A.5).
    pub deflated: bool,
}

impl TransferSyntax {
    /// The form of a transfer syntax by its UID, padding allowed.
    ///
    /// All but the few named here, even those not yet invented, are Explicit VR Little Endian (PS3.5 §10).
    #[must_use]
    pub fn from_uid(uid: &str) -> Self {
        let (encoding, deflated) = match crate::public_id::strip(uid) {
            // Papyrus 3 and GE's private DLX syntax write headers as the default syntax does.
            IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.10008.1.20" | "1.2.840.113619.5.2" => {
                (Encoding::ImplicitLittle, false)
            }
            EXPLICIT_VR_BIG_ENDIAN => (Encoding::ExplicitBig, false),
            // Besides the file form, both JPIP Referenced Deflate syntaxes.
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | "1.2.840.10008.1.2.4.95"
            | "1.2.840.10008.1.2.4.205" => (Encoding::ExplicitLittle, true),
            _ => (Encoding::ExplicitLittle, false),
        };
        TransferSyntax { encoding, deflated }
    }
}

/// Whether a transfer syntax is one of the four that leave pixel data as it is (PS3.5 §A.1, §A.2, §A.3, §A.5): data sets
/// go from one to another without a codec.
#[must_use]
pub fn is_uncompressed(uid: &str) -> bool {
    matches!(
        crate::public_id::strip(uid),
        IMPLICIT_VR_LITTLE_ENDIAN
            | EXPLICIT_VR_LITTLE_ENDIAN
            | DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | EXPLICIT_VR_BIG_ENDIAN
    )
}

/// The transfer syntax that the first 8 bytes of a data set show.
///
/// `after_meta`: File Meta Information stands before it, so that this is DICOM is known. Else the first element has
/// to be one that PS3.6 defines, with a length that such an element may have, or the input is refused: a text or
/// an image must not be taken for a data set.
pub(crate) fn guess(first: &[u8], after_meta: bool) -> Result<&'static str, DicomError> {
    let group = [first[0], first[1]];
    let element = [first[2], first[3]];
    let vr = Vr([first[4], first[5]]);
    let little = Tag(u16::from_le_bytes(group), u16::from_le_bytes(element));
    let big = Tag(u16::from_be_bytes(group), u16::from_be_bytes(element));
    // A data set begins with group 0008 (rarely a later one below 0400); with the bytes swapped, 0800.
    if vr.is_known() {
        for (tag, uid) in [
            (little, EXPLICIT_VR_LITTLE_ENDIAN),
            (big, EXPLICIT_VR_BIG_ENDIAN),
        ] {
            if plausible_first(tag) {
                return Ok(uid);
            }
        }
    }
    let length = u32::from_le_bytes([first[4], first[5], first[6], first[7]]);
    if plausible_first(little) && length <= MAX_FIRST_VALUE_BYTES {
        return Ok(IMPLICIT_VR_LITTLE_ENDIAN);
    }
    if after_meta {
        // PS3.10 §7.1 wants the syntax named; the default one is the best reading of its absence.
        return Ok(if vr.is_known() {
            EXPLICIT_VR_LITTLE_ENDIAN
        } else {
            IMPLICIT_VR_LITTLE_ENDIAN
        });
    }
    Err(DicomError::NotDicom {
        found: "neither 'DICM' nor a data element that may come first",
    })
}

/// The elements that come first (group length, character set, image type, UIDs, dates) hold far less.
const MAX_FIRST_VALUE_BYTES: u32 = 1024;

fn plausible_first(tag: Tag) -> bool {
    (0x0008..0x0400).contains(&tag.0) && (tag.is_group_length() || crate::entry(tag).is_some())
}
