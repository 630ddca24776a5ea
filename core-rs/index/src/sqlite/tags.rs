//! The compact value that holds the tags of a row: for each, sorted, four bytes of tag, the length as LEB128
//! and the text.

use crate::IndexError;
use vna_dicom::Tag;

/// Writes `tags`, which are sorted, as one value.
pub(crate) fn pack<'a>(tags: impl Iterator<Item = (Tag, &'a str)>, into: &mut Vec<u8>) {
    into.clear();
    for (tag, value) in tags {
        into.extend_from_slice(&tag.0.to_le_bytes());
        into.extend_from_slice(&tag.1.to_le_bytes());
        let mut length = value.len();
        while length >= 0x80 {
            into.push((length & 0x7F | 0x80).to_le_bytes()[0]);
            length >>= 7;
        }
        into.push(length.to_le_bytes()[0]);
        into.extend_from_slice(value.as_bytes());
    }
}

/// Reads a packed value, tag by tag.
pub(crate) struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Tags<'a> {
    pub(crate) fn new(packed: &'a [u8]) -> Self {
        Tags { rest: packed }
    }

    fn step(&mut self) -> Option<(Tag, &'a str)> {
        let (head, mut rest) = self.rest.split_first_chunk::<4>()?;
        let tag = Tag(
            u16::from_le_bytes([head[0], head[1]]),
            u16::from_le_bytes([head[2], head[3]]),
        );
        let mut length = 0usize;
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 28 {
                return None;
            }
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some((tag, std::str::from_utf8(value).ok()?))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<(Tag, &'a str), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.step().ok_or_else(|| {
            let found = format!("{} bytes that are no packed tags", self.rest.len());
            self.rest = &[];
            IndexError::BadRow {
                table: "resource",
                column: "tags",
                found,
            }
        });
        Some(item)
    }
}

/// The value of one tag.
pub(crate) fn find(packed: &[u8], tag: Tag) -> Option<&str> {
    Tags::new(packed)
        .map_while(Result::ok)
        .find(|(at, _)| *at == tag)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_packed_is_read_back(tags in proptest::collection::vec((any::<u16>(), any::<u16>(), ".{0,300}"), 0..9)) {
            let tags: Vec<(Tag, String)> = tags.into_iter().map(|(g, e, v)| (Tag(g, e), v)).collect();
            let mut packed = Vec::new();
            pack(tags.iter().map(|(tag, value)| (*tag, value.as_str())), &mut packed);
            let read: Vec<(Tag, String)> = Tags::new(&packed)
                .map(|item| item.map(|(tag, value)| (tag, value.to_owned())))
                .collect::<Result<_, _>>()
                .expect("well formed");
            prop_assert_eq!(read, tags);
        }

        #[test]
        fn any_bytes_end_in_values_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let items = Tags::new(&bytes).count();
            prop_assert!(items <= bytes.len() / 5 + 1);
        }
    }

    #[test]
    fn a_cut_value_is_an_error() {
        let mut packed = Vec::new();
        pack([(Tag(0x10, 0x10), "Doe^John")].into_iter(), &mut packed);
        packed.pop();
        assert!(Tags::new(&packed).any(|item| item.is_err()));
    }
}
