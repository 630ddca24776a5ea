//! The fragments of encapsulated pixel data, and which of them make a frame (PS3.5 §A.4).

use super::codestream::Codestream;
use super::{Attributes, FrameTable};
use crate::element::{UNDEFINED, read_tag, read_u32};
use crate::{Budget, DicomError, Encoding, FrameProblem, MAX_FRAMES, PixelData, ReadAt, Vr, tags};
use std::ops::Range;

/// One fragment of encapsulated pixel data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where its bytes begin, behind the item header.
    pub offset: u64,
    /// How many they are, padding included unless an Extended Offset Table says where it begins.
    pub length: u32,
}

impl Fragment {
    /// Its bytes in the file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.length)
    }
}

/// Bytes that the beginning of a codestream takes at most.
const START_BYTES: usize = 12;

/// What is read of a fragment's end, and how far back its padding may reach.
const END_BYTES: [usize; 2] = [64, 64 << 10];

/// Reads small parts of a source that often lie close to each other.
struct Nearby<'a, S> {
    source: &'a S,
    piece: Vec<u8>,
    at: u64,
}

impl<'a, S: ReadAt> Nearby<'a, S> {
    /// Bytes that are read at once.
    const PIECE_BYTES: usize = 4 << 10;

    fn new(source: &'a S) -> Self {
        Nearby {
            source,
            piece: Vec::new(),
            at: 0,
        }
    }

    /// The `length` bytes at `offset`; fewer only at the end.
    fn read(&mut self, offset: u64, length: usize) -> Result<&[u8], S::Error> {
        let end = offset + length as u64;
        if offset < self.at || end > self.at + self.piece.len() as u64 {
            self.piece.resize(length.max(Self::PIECE_BYTES), 0);
            let count = self.source.read_at(&mut self.piece, offset)?;
            self.piece.truncate(count);
            self.at = offset;
        }
        let first = usize::try_from(offset - self.at).unwrap_or(usize::MAX);
        let found = self.piece.get(first..).unwrap_or_default();
        Ok(&found[..found.len().min(length)])
    }
}

/// The fragments of an element of pixel data.
#[derive(Default)]
struct Items {
    /// The Basic Offset Table, which is the first item; `None` if there is no item.
    table: Option<Vec<u8>>,
    fragments: Vec<Fragment>,
    /// Whether a codestream begins with each of the fragments.
    starts: Vec<bool>,
}

impl Items {
    fn read<S: ReadAt>(
        nearby: &mut Nearby<'_, S>,
        encoding: Encoding,
        pixel_data: &PixelData,
        codestream: Codestream,
    ) -> Result<Items, S::Error> {
        let mut items = Items::default();
        let mut at = pixel_data.value_offset;
        while let Some((length, start)) = next_item(nearby, encoding, at)? {
            let starts = codestream.starts(start);
            let offset = at + 8;
            at = offset + u64::from(length);
            let size = nearby.source.size();
            if at > size {
                return Err(truncated_item("element", offset - 8, at, size).into());
            }
            if items.table.is_none() {
                // 4 bytes a frame; what is longer is no table.
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let is_table = length <= 4 * MAX_FRAMES;
                let length = if is_table { length } else { 0 };
                items.table = Some(nearby.read(offset, length)?.to_vec());
                continue;
            }
            // 17 bytes for at least 8 of input; a fragment a frame is what there usually is.
            if items.fragments.len() >= 4 * MAX_FRAMES {
                return Err(DicomError::Budget {
                    budget: Budget::Frames,
                    offset: offset - 8,
                }
                .into());
            }
            items.fragments.push(Fragment { offset, length });
            items.starts.push(starts);
        }
        Ok(items)
    }
}

/// Length and first bytes of the item at `at`; `None` if the items end there.
fn next_item<'a, S: ReadAt>(
    nearby: &'a mut Nearby<'_, S>,
    encoding: Encoding,
    at: u64,
) -> Result<Option<(u32, &'a [u8])>, S::Error> {
    let size = nearby.source.size();
    let head = nearby.read(at, 8 + START_BYTES)?;
    let Some((header, start)) = head.split_at_checked(8) else {
        let what = if head.is_empty() {
            "delimiter of an open sequence"
        } else {
            "element header"
        };
        return Err(truncated_item(what, at, at + 8, size).into());
    };
    let tag = read_tag(header, encoding);
    let big = encoding == Encoding::ExplicitBig;
    let length = read_u32([header[4], header[5], header[6], header[7]], big);
    match (tag, length) {
        (tags::SEQUENCE_DELIMITATION_ITEM, _) => Ok(None),
        (tags::ITEM, UNDEFINED) => Err(DicomError::UndefinedLength {
            tag,
            vr: Vr::OB,
            offset: at,
        }
        .into()),
        (tags::ITEM, length) => {
            let within = start
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(Some((length, &start[..within])))
        }
        _ => Err(DicomError::ItemExpected { tag, offset: at }.into()),
    }
}

fn truncated_item(what: &'static str, offset: u64, end: u64, size: u64) -> DicomError {
    DicomError::Truncated {
        what,
        offset,
        needed: end - offset,
        available: size.saturating_sub(offset),
    }
}

/// Whether each of the fragments ends a codestream; true where that cannot be told.
fn read_ends<S: ReadAt>(
    nearby: &mut Nearby<'_, S>,
    fragments: &[Fragment],
    codestream: Codestream,
) -> Result<Vec<bool>, S::Error> {
    let mut ends = Vec::with_capacity(fragments.len());
    for fragment in fragments {
        let mut found = false;
        for wanted in END_BYTES {
            let length = wanted.min(usize::try_from(fragment.length).unwrap_or(usize::MAX));
            let tail = nearby.read(fragment.range().end - length as u64, length)?;
            found = codestream.ends(tail).unwrap_or(true);
            if found || tail.iter().any(|byte| *byte != 0) {
                break;
            }
        }
        ends.push(found);
    }
    Ok(ends)
}

pub(super) fn frame_table<S: ReadAt>(
    source: &S,
    encoding: Encoding,
    attributes: &Attributes,
    pixel_data: &PixelData,
    transfer_syntax_uid: &str,
) -> Result<FrameTable, S::Error> {
    let codestream = Codestream::of(transfer_syntax_uid);
    let nearby = &mut Nearby::new(source);
    let items = Items::read(nearby, encoding, pixel_data, codestream)?;
    let error = |problem| DicomError::Frames {
        problem,
        offset: pixel_data.element_offset,
    };
    let mut fragments = items.fragments;
    let Some(basic_offset_table) = items.table.filter(|_| !fragments.is_empty()) else {
        return Err(error(FrameProblem::Count {
            expected: attributes.frames(),
            found: 0,
        })
        .into());
    };
    let expected = usize::try_from(attributes.frames()).unwrap_or(usize::MAX);
    // One fragment a frame that each begin a codestream leave no question that their ends would answer.
    let plain = fragments.len() == expected && items.starts.iter().all(|starts| *starts);
    let ends = if plain || !codestream.has_start() {
        vec![true; fragments.len()]
    } else {
        read_ends(nearby, &fragments, codestream)?
    };
    let frames = Frames {
        fragments: &fragments,
        starts: items.starts,
        ends,
        codestream,
        expected,
    };
    let first_fragments = frames
        .by_extended_table(&attributes.extended_offsets)
        .or_else(|| frames.by_basic_table(&basic_offset_table));
    let first_fragments = match first_fragments {
        Some(found) => found,
        None => frames
            .by_fragments(!basic_offset_table.is_empty())
            .map_err(error)?,
    };
    trim(
        &mut fragments,
        &first_fragments,
        &attributes.extended_lengths,
    );
    Ok(FrameTable::Encapsulated {
        fragments,
        first_fragments,
    })
}

/// What is known when frames are told apart.
struct Frames<'a> {
    fragments: &'a [Fragment],
    /// Whether a codestream begins, and ends, with each of them.
    starts: Vec<bool>,
    ends: Vec<bool>,
    codestream: Codestream,
    /// Number of Frames.
    expected: usize,
}

impl Frames<'_> {
    fn by_extended_table(&self, table: &[u8]) -> Option<Vec<u32>> {
        let offsets = table
            .chunks_exact(8)
            .map(|entry| u64::from_le_bytes(entry.try_into().unwrap_or_default()));
        self.by_offsets(offsets)
    }

    fn by_basic_table(&self, table: &[u8]) -> Option<Vec<u32>> {
        let offsets = table
            .chunks_exact(4)
            .map(|entry| u32::from_le_bytes(entry.try_into().unwrap_or_default()).into());
        self.by_offsets(offsets)
    }

    /// The first fragment of each frame by a table of offsets from the first fragment's item; `None` if there is no
    /// table or a false one, see (1) of the module: an entry for each frame, rising, each at an item, and
    /// where the codestream can be told, each at its beginning and none within.
    fn by_offsets(&self, offsets: impl ExactSizeIterator<Item = u64>) -> Option<Vec<u32>> {
        if offsets.len() != self.expected || self.codestream == Codestream::Video {
            return None;
        }
        let origin = self.fragments.first()?.offset;
        let mut found = Vec::with_capacity(self.expected.min(self.fragments.len()));
        let mut next = 0;
        for offset in offsets {
            let wanted = origin.checked_add(offset)?;
            let at = next
                + self.fragments[next..]
                    .iter()
                    .position(|fragment| fragment.offset >= wanted)?;
            let is_first = found.is_empty() == (at == 0);
            if self.fragments[at].offset != wanted || !is_first || !self.may_start(at) {
                return None;
            }
            found.push(u32::try_from(at).ok()?);
            next = at + 1;
        }
        let whole =
            self.codestream != Codestream::OneFragment || found.len() == self.fragments.len();
        (whole && !self.splits_differently(&found)).then_some(found)
    }

    fn may_start(&self, at: usize) -> bool {
        !self.codestream.has_start() || self.starts(at)
    }

    fn starts(&self, at: usize) -> bool {
        self.starts[at]
    }

    /// Whether the fragment before `at` ends a codestream; true where that cannot be told.
    fn ends_before(&self, at: usize) -> bool {
        at == 0 || self.ends[at - 1]
    }

    /// Whether a codestream certainly begins inside one of the frames that begin at `firsts`.
    fn splits_differently(&self, firsts: &[u32]) -> bool {
        if !matches!(self.codestream, Codestream::Jpeg | Codestream::Jpeg2000)
            || firsts.len() == self.fragments.len()
        {
            return false;
        }
        let mut firsts = firsts.iter().map(|first| *first as usize).peekable();
        (0..self.fragments.len())
            .any(|at| firsts.next_if_eq(&at).is_none() && self.starts(at) && self.ends_before(at))
    }

    /// The first fragment of each frame without a table.
    fn by_fragments(&self, had_table: bool) -> Result<Vec<u32>, FrameProblem> {
        let count = self.fragments.len();
        let numbers = |found: usize| FrameProblem::Count {
            expected: self.expected as u64,
            found: found as u64,
        };
        let firsts = |wanted: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0..count)
                .filter(|at| wanted(*at))
                .filter_map(|at| u32::try_from(at).ok())
                .collect()
        };
        match self.codestream {
            Codestream::OneFragment if count == self.expected => return Ok(firsts(&|_| true)),
            Codestream::OneFragment => return Err(numbers(count)),
            // Without a start to look for, only these two cases leave no choice (PS3.5 §A.4).
            Codestream::Video | Codestream::Unknown if self.expected == 1 => return Ok(vec![0]),
            Codestream::Unknown if count == self.expected => return Ok(firsts(&|_| true)),
            Codestream::Unknown if count < self.expected => return Err(numbers(count)),
            Codestream::Video | Codestream::Unknown if had_table => {
                return Err(FrameProblem::OffsetTable);
            }
            Codestream::Video | Codestream::Unknown => return Err(FrameProblem::Undecidable),
            Codestream::Jpeg | Codestream::Jpeg2000 | Codestream::JpegXl => {}
        }
        if self.expected == 1 && (1..count).all(|at| !self.starts(at) || !self.ends_before(at)) {
            return Ok(vec![0]); // nothing speaks of a second frame
        }
        if !self.starts(0) {
            return Err(FrameProblem::Undecidable);
        }
        let starts = firsts(&|at| self.starts(at));
        if starts.len() == self.expected {
            return Ok(starts);
        }
        // A thumbnail inside a codestream begins like one, but not behind the end of one.
        let strict = firsts(&|at| self.starts(at) && self.ends_before(at));
        if strict.len() == self.expected {
            Ok(strict)
        } else {
            Err(numbers(strict.len()))
        }
    }
}

/// Takes off padding by the Extended Offset Table Lengths, which hold for one fragment a frame (PS3.3 C.7.6.3.1.8).
fn trim(fragments: &mut [Fragment], firsts: &[u32], lengths: &[u8]) {
    if firsts.len() != fragments.len() || lengths.len() != fragments.len() * 8 {
        return;
    }
    for (fragment, length) in fragments.iter_mut().zip(lengths.chunks_exact(8)) {
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        // One byte of padding at most (PS3.5 §A.4); any other difference is no padding.
        if u64::from(fragment.length) == length + 1 {
            fragment.length -= 1;
        }
    }
}
