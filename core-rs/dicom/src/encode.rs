//! How elements are written: headers, padding, byte order (PS3.5 §7.1, §6.2, §7.3).

use crate::element::UNDEFINED;
use crate::syntax::Encoding;
use crate::{DicomError, EncodeProblem, Tag, Vr};

/// The longest value of a VR with a 16-bit length field: lengths are even (PS3.5 §7.1.1).
const MAX_SHORT_LENGTH: u32 = 0xFFFE;

/// Appends a tag.
#[inline]
pub(crate) fn push_tag(out: &mut Vec<u8>, encoding: Encoding, tag: Tag) {
    if encoding == Encoding::ExplicitBig {
        out.extend_from_slice(&tag.0.to_be_bytes());
        out.extend_from_slice(&tag.1.to_be_bytes());
    } else {
        out.extend_from_slice(&tag.0.to_le_bytes());
        out.extend_from_slice(&tag.1.to_le_bytes());
    }
}

/// The bytes of a 32-bit number.
#[inline]
pub(crate) fn u32_bytes(encoding: Encoding, number: u32) -> [u8; 4] {
    if encoding == Encoding::ExplicitBig {
        number.to_be_bytes()
    } else {
        number.to_le_bytes()
    }
}

/// Appends the header of a data element. `vr` is one that [`written_vr`] gave for this length.
#[inline]
pub(crate) fn push_header(out: &mut Vec<u8>, encoding: Encoding, tag: Tag, vr: Vr, length: u32) {
    push_tag(out, encoding, tag);
    if encoding != Encoding::ImplicitLittle {
        out.extend_from_slice(&vr.0);
        if vr.has_short_length() {
            let length = u16::try_from(length).unwrap_or(u16::MAX);
            out.extend_from_slice(&if encoding == Encoding::ExplicitBig {
                length.to_be_bytes()
            } else {
                length.to_le_bytes()
            });
            return;
        }
        out.extend_from_slice(&[0, 0]);
    }
    out.extend_from_slice(&u32_bytes(encoding, length));
}

/// Appends what opens an item or a fragment, or ends an open item or sequence (PS3.5 §7.5).
#[inline]
pub(crate) fn push_item(out: &mut Vec<u8>, encoding: Encoding, tag: Tag, length: u32) {
    push_tag(out, encoding, tag);
    out.extend_from_slice(&u32_bytes(encoding, length));
}

/// The VR that a value of `length` bytes, padding included, is written with.
///
/// UN stands for those that PS3.5 does not define, and for values too long for the length field of their VR (PS3.5
/// §6.2.2).
#[inline]
pub(crate) fn written_vr(encoding: Encoding, vr: Vr, length: u32) -> Vr {
    let fits = vr.is_known() && (!vr.has_short_length() || length <= MAX_SHORT_LENGTH);
    if fits || encoding == Encoding::ImplicitLittle {
        vr
    } else {
        Vr::UN
    }
}

/// Whether a value written with `vr` has the most significant byte first. UN never does: its value is that of Implicit
/// VR Little Endian (PS3.5 §6.2.2).
#[inline]
pub(crate) fn is_big(encoding: Encoding, vr: Vr) -> bool {
    encoding == Encoding::ExplicitBig && vr != Vr::UN && vr.is_known()
}

/// Bytes that change places together with the byte order; 1 for values that have none (PS3.5 §7.3).
#[inline]
pub(crate) const fn swap_unit(vr: Vr) -> usize {
    match vr.unit() {
        Some(_) if matches!(&vr.0, b"AT") => 2, // two numbers, group and element
        Some(unit) => unit,
        None => 1,
    }
}

/// Turns the byte order of all whole units; a rest that is none stays as it is.
pub fn swap(bytes: &mut [u8], unit: usize) {
    match unit {
        2 => turn::<2>(bytes),
        4 => turn::<4>(bytes),
        8 => turn::<8>(bytes),
        _ => {}
    }
}

/// The compiler makes shuffles of this, because the unit is known.
fn turn<const UNIT: usize>(bytes: &mut [u8]) {
    for chunk in bytes.chunks_exact_mut(UNIT) {
        chunk.reverse();
    }
}

/// What a value of odd length is padded with: a space in texts but UIDs, else NUL (PS3.5 §6.2).
#[inline]
pub(crate) const fn padding(vr: Vr) -> u8 {
    if vr.is_text() && !matches!(&vr.0, b"UI") {
        b' '
    } else {
        0
    }
}

/// The length field of a value, which is even.
pub(crate) fn padded_length(tag: Tag, length: u64) -> Result<u32, DicomError> {
    u32::try_from(length + length % 2)
        .ok()
        .filter(|length| *length != UNDEFINED)
        .ok_or(DicomError::Unencodable {
            tag,
            problem: EncodeProblem::TooLong { length },
        })
}

/// Whether nothing but undefined length shows that an element is a sequence: no VR says so, and no dictionary.
pub(crate) fn shows_by_length(encoding: Encoding, tag: Tag) -> bool {
    encoding == Encoding::ImplicitLittle && tag.is_private()
}

/// Whether a data set may hold the element: group FFFE opens and closes items, groups 0000 and 0002 stand before a data
/// set and would be taken for what does (PS3.7 §6.3.1, PS3.10 §7.1).
pub(crate) fn belongs_into_data_set(tag: Tag) -> bool {
    !matches!(tag.0, 0x0000 | 0x0002 | 0xFFFE)
}

/// What of a value is not padding: one NUL or space less, if a text of even length ends in one.
pub(crate) fn without_padding(vr: Vr, value: &[u8]) -> &[u8] {
    match value {
        [rest @ .., b' ' | 0] if vr.is_text() && rest.len() % 2 == 1 => rest,
        all => all,
    }
}
