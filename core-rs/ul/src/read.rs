//! Bounds-checked reading of big endian PDU fields.

use crate::error::{UlError, UlErrorKind};
use crate::limits::MAX_UID_CHARACTERS;

/// A position in the bytes of one PDU. Every read checks the bytes at hand, so lengths stay claims.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    data: &'a [u8],
    /// Where `data` starts in its PDU, for error messages.
    base: usize,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Reader { data, base: 0 }
    }

    pub fn offset(&self) -> usize {
        self.base
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], UlError> {
        if count > self.data.len() {
            let error = UlErrorKind::Truncated {
                what,
                needed: count,
                left: self.data.len(),
            };
            return Err(error.at(self.base));
        }
        let (head, tail) = self.data.split_at(count);
        self.data = tail;
        self.base += count;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], UlError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, what)?);
        Ok(array)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, UlError> {
        self.array::<1>(what).map(|[value]| value)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, UlError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, UlError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// The part of the next `count` bytes, as a reader that cannot leave it.
    pub fn part(&mut self, count: usize, what: &'static str) -> Result<Reader<'a>, UlError> {
        let base = self.base;
        Ok(Reader {
            data: self.bytes(count, what)?,
            base,
        })
    }

    /// The next item: type (1), reserved (1), length (2), value (PS3.8 §9.3.2).
    pub fn item(&mut self, what: &'static str) -> Result<(u8, Reader<'a>), UlError> {
        let [item_type, _, l0, l1] = self.array(what)?;
        let value = self.part(u16::from_be_bytes([l0, l1]).into(), what)?;
        Ok((item_type, value))
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = std::mem::take(&mut self.data);
        self.base += rest.len();
        rest
    }

    /// All bytes that are left, as a UID.
    pub fn uid(&mut self, what: &'static str) -> Result<String, UlError> {
        let at = self.base;
        uid(self.rest()).ok_or_else(|| UlErrorKind::InvalidUid { what }.at(at))
    }

    /// A UID behind its 16-bit length.
    pub fn sized_uid(&mut self, what: &'static str) -> Result<String, UlError> {
        let length = self.u16(what)?;
        self.part(length.into(), what)?.uid(what)
    }
}

/// A UID without its padding. Some peers pad with NUL or blanks although PS3.8 §F forbids it.
///
/// Letters are let through: what is not a UID matches no policy, and refusing the association would
/// also refuse its good contexts.
pub(crate) fn uid(bytes: &[u8]) -> Option<String> {
    let end = bytes
        .iter()
        .rposition(|&b| b != 0 && b != b' ')
        .map_or(0, |i| i + 1);
    let uid = std::str::from_utf8(&bytes[..end]).ok()?;
    let good =
        (1..=MAX_UID_CHARACTERS).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_graphic());
    good.then(|| uid.to_owned())
}

/// An AE title without its padding; leading and trailing spaces are not significant (PS3.5 §6.2).
pub(crate) fn ae_title(bytes: &[u8], what: &'static str, offset: usize) -> Result<String, UlError> {
    let good = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'\\';
    let end = bytes
        .iter()
        .rposition(|&b| b != 0 && b != b' ')
        .map_or(0, |i| i + 1);
    match std::str::from_utf8(&bytes[..end]) {
        Ok(title) if title.bytes().all(good) => Ok(title.trim_start_matches(' ').to_owned()),
        _ => Err(UlErrorKind::InvalidAeTitle { what }.at(offset)),
    }
}
