//! Elements whose VR is a choice of two: which one an explicit VR is written with, where Implicit VR did not have to say
//! (PS3.5 §A.1, §A.2).

use crate::{Tag, Vr, tags};

/// What the choice depends on, as the data set around the element says, or one around that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pixels {
    /// Pixel Representation (0028,0103).
    pub signed: bool,
    /// Bits Allocated (0028,0100); 0 if unknown.
    pub bits_allocated: u16,
}

impl Pixels {
    /// Takes note of an element that the choice depends on; `value` is little endian.
    #[inline]
    pub fn note(&mut self, tag: Tag, value: &[u8]) {
        let number = || {
            value
                .first_chunk()
                .map_or(0, |bytes| u16::from_le_bytes(*bytes))
        };
        match tag {
            tags::PIXEL_REPRESENTATION => self.signed = number() == 1,
            tags::BITS_ALLOCATED => self.bits_allocated = number(),
            _ => {}
        }
    }

    /// The VR of an element that had none, from the one of the dictionary.
    ///
    /// Pixel Data of up to 8 bits becomes OB, which says that bytes are meant; the other elements that may be OB or OW
    /// stay OW, as Implicit VR has them.
    #[inline]
    pub fn choose(self, tag: Tag, vr: Vr) -> Vr {
        match vr {
            Vr::US if self.signed && (holds_pixel_values(tag) || is_descriptor(tag)) => Vr::SS,
            Vr::OW if tag == tags::PIXEL_DATA && matches!(self.bits_allocated, 1..=8) => Vr::OB,
            vr => vr,
        }
    }
}

/// Descriptors of look-up tables: their second number is a pixel value and decides on the VR of all three (PS3.3
/// C.7.6.3.1.5, C.11.1.1).
fn is_descriptor(tag: Tag) -> bool {
    matches!(
        tag.to_u32(),
        0x0028_1100..=0x0028_1103 | 0x0028_1111..=0x0028_1113 | 0x0028_3002
    )
}

/// Elements that PS3.6 gives the VR "US or SS", descriptors of tables left out, whose first and third number are
/// unsigned whatever the pixels are (PS3.3 C.7.6.3.1.5).
pub(crate) fn holds_pixel_values(tag: Tag) -> bool {
    matches!(
        tag.to_u32(),
        0x0018_9810 | 0x0022_1452 | 0x0028_0071 | 0x0028_0104
            ..=0x0028_0111
                | 0x0028_0120
                | 0x0028_0121
                | 0x0040_9211
                | 0x0040_9216
                | 0x0060_3004
                | 0x0060_3006
    )
}
