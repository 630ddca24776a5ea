//! Elements and their headers (PS3.5 §7.1): positions in the bytes at hand, nothing copied.

use crate::syntax::Encoding;
use crate::{DicomError, Tag, Vr, dictionary_vr, tags};

/// The length field that says "undefined" (PS3.5 §7.1.1).
pub(crate) const UNDEFINED: u32 = u32::MAX;

/// A data element, an item of a sequence, or a fragment of encapsulated pixel data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element {
    /// Where the value begins.
    pub value_offset: u64,
    /// The tag; (FFFE,E000) for items and fragments.
    pub tag: Tag,
    /// The length field; see [`Element::length`].
    pub raw_length: u32,
    /// The VR as written, in implicit VR that of the dictionary; of UN that [`crate::set_private_dictionary`] knows, what
    /// that says. Items have none (two NULs), fragments `OB`.
    pub vr: Vr,
    /// How many sequences are around it; an item counts the one that it belongs to.
    pub depth: u16,
    /// Bytes of the header: 8 or 12.
    pub header_length: u8,
    /// How this element is encoded. Inside UN of undefined length it is not the data set's.
    pub encoding: Encoding,
}

impl Element {
    /// Bytes of the value; `None` if undefined.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        (self.raw_length != UNDEFINED).then_some(u64::from(self.raw_length))
    }

    /// Where the header begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.value_offset - u64::from(self.header_length)
    }

    /// Whether this is an item or a fragment, not a data element.
    #[must_use]
    pub fn is_item(&self) -> bool {
        self.tag.0 == 0xFFFE
    }

    /// Whether the header alone says that this is a sequence: SQ, or UN of undefined length (PS3.5 §6.2.2).
    pub(crate) fn is_declared_sequence(&self) -> bool {
        let unknown = self.vr == Vr::UN && self.length().is_none() && !is_pixel_data(self.tag);
        self.vr == Vr::SQ || unknown
    }

    /// Where the value ends, if the length is defined.
    pub(crate) fn end(&self) -> Option<u64> {
        self.length().map(|length| self.value_offset + length)
    }
}

/// The bytes at hand: a part of the input that begins at byte `base` of it.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub bytes: &'a [u8],
    pub base: u64,
    /// Whether the input ends where the window does.
    pub complete: bool,
}

impl<'a> Window<'a> {
    pub fn whole(bytes: &'a [u8]) -> Self {
        Window {
            bytes,
            base: 0,
            complete: true,
        }
    }

    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The bytes from `offset` on; empty if the window does not reach that far.
    #[inline]
    pub fn from(&self, offset: u64) -> &'a [u8] {
        let at = usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The value of `element`, if all of it is at hand.
    #[inline]
    pub fn value(&self, element: &Element) -> Option<&'a [u8]> {
        let length = usize::try_from(element.length()?).ok()?;
        self.from(element.value_offset).get(..length)
    }
}

/// VR, header length, length field; or how many bytes the header takes if it is cut off.
#[inline]
pub(crate) fn read_fields(
    encoding: Encoding,
    tag: Tag,
    rest: &[u8],
) -> Result<(Vr, u8, u32, Encoding), u64> {
    let word = [rest[4], rest[5], rest[6], rest[7]];
    if encoding == Encoding::ImplicitLittle {
        return Ok((dictionary_vr(tag), 8, u32::from_le_bytes(word), encoding));
    }
    let big = encoding == Encoding::ExplicitBig;
    let vr = Vr([word[0], word[1]]);
    let short = if big {
        u16::from_be_bytes([word[2], word[3]])
    } else {
        u16::from_le_bytes([word[2], word[3]])
    };
    if vr.has_short_length() {
        return Ok((vr, 8, u32::from(short), encoding));
    }
    if !vr.is_plausible() {
        // No VR at all: some writers mix implicit VR elements in.
        let implicit = if big {
            encoding
        } else {
            Encoding::ImplicitLittle
        };
        return Ok((dictionary_vr(tag), 8, read_u32(word, big), implicit));
    }
    if !vr.is_known() && short != 0 {
        // The long form has two zero bytes here (PS3.5 §7.1.2); this writer invented a short VR.
        return Ok((vr, 8, u32::from(short), encoding));
    }
    match rest.get(8..12) {
        Some(long) => Ok((
            vr,
            12,
            read_u32([long[0], long[1], long[2], long[3]], big),
            encoding,
        )),
        None => Err(12),
    }
}

/// Whether the first element of a data set shows another encoding than the declared one, and which.
pub(crate) fn contradicts(declared: Encoding, rest: &[u8]) -> Option<Encoding> {
    let vr = Vr([rest[4], rest[5]]);
    match declared {
        Encoding::ImplicitLittle => vr.is_known().then_some(Encoding::ExplicitLittle),
        Encoding::ExplicitLittle => (!vr.is_plausible()).then_some(Encoding::ImplicitLittle),
        Encoding::ExplicitBig => None,
    }
}

/// Whether the element is one of the three that hold pixel data of the instance itself.
pub(crate) fn is_pixel_data(tag: Tag) -> bool {
    matches!(
        tag,
        tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA
    )
}

/// Whether items in an element of undefined length are fragments (PS3.5 §A.4) rather than data sets.
pub(crate) fn holds_fragments(tag: Tag, vr: Vr) -> bool {
    let opaque = matches!(&vr.0, b"OB" | b"OW" | b"OD" | b"OF" | b"OL" | b"OV");
    vr != Vr::SQ && (opaque || is_pixel_data(tag))
}

#[inline]
pub(crate) fn read_tag(bytes: &[u8], encoding: Encoding) -> Tag {
    let (group, element) = ([bytes[0], bytes[1]], [bytes[2], bytes[3]]);
    if encoding == Encoding::ExplicitBig {
        Tag(u16::from_be_bytes(group), u16::from_be_bytes(element))
    } else {
        Tag(u16::from_le_bytes(group), u16::from_le_bytes(element))
    }
}

#[inline]
pub(crate) fn read_u32(bytes: [u8; 4], big: bool) -> u32 {
    if big {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

pub(crate) fn truncated(
    what: &'static str,
    offset: u64,
    needed: u64,
    window: Window<'_>,
) -> DicomError {
    DicomError::Truncated {
        what,
        offset,
        needed,
        available: window.end().saturating_sub(offset),
    }
}
