//! The fragments of encapsulated pixel data, and which of them make a frame (PS3.5 §A.4).

use super::codestream::Codestream;
use super::{Attributes, FrameTable};
use crate::element::Window;
use crate::walk::{Outcome, Sink, Step, Walker};
use crate::{Budget, DicomError, Element, Encoding, FrameProblem, MAX_FRAMES, PixelData};
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

    fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let (Ok(start), Ok(length)) = (usize::try_from(self.offset), usize::try_from(self.length))
        else {
            return &[];
        };
        file.get(start..)
            .and_then(|rest| rest.get(..length))
            .unwrap_or_default()
    }
}

/// Collects the items of the pixel data element.
#[derive(Default)]
struct Items(Vec<Fragment>);

impl Sink for Items {
    fn visit(&mut self, element: &Element, _: Window<'_>) -> Result<Step, DicomError> {
        if element.depth == 0 {
            // The element itself first, then whatever follows it.
            return Ok(if self.0.is_empty() && element.length().is_none() {
                Step::Into
            } else {
                Step::Stop
            });
        }
        // 16 bytes for at least 8 of input; a fragment a frame, and one more, is what there usually is.
        if self.0.len() > 4 * MAX_FRAMES {
            return Err(DicomError::Budget {
                budget: Budget::Frames,
                offset: element.offset(),
            });
        }
        self.0.push(Fragment {
            offset: element.value_offset,
            length: element.raw_length,
        });
        Ok(Step::Over)
    }
}

pub(super) fn frame_table(
    window: Window<'_>,
    encoding: Encoding,
    attributes: &Attributes,
    pixel_data: &PixelData,
    transfer_syntax_uid: &str,
) -> Result<FrameTable, DicomError> {
    let mut items = Items::default();
    let outcome = Walker::new(pixel_data.element_offset, encoding).run(window, &mut items)?;
    debug_assert!(!matches!(outcome, Outcome::NeedMore(_)));
    let error = |problem| DicomError::Frames {
        problem,
        offset: pixel_data.element_offset,
    };
    // The first item is the Basic Offset Table, empty or not.
    let table = items.0.first().map(|table| table.bytes(window.bytes));
    let mut fragments = items.0.split_off(items.0.len().min(1));
    let Some(basic_offset_table) = table.filter(|_| !fragments.is_empty()) else {
        return Err(error(FrameProblem::Count {
            expected: attributes.frames(),
            found: 0,
        }));
    };
    let frames = Frames {
        file: window.bytes,
        fragments: &fragments,
        codestream: Codestream::of(transfer_syntax_uid),
        expected: usize::try_from(attributes.frames()).unwrap_or(usize::MAX),
    };
    let first_fragments = frames
        .by_extended_table(&attributes.extended_offsets)
        .or_else(|| frames.by_basic_table(basic_offset_table));
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
    file: &'a [u8],
    fragments: &'a [Fragment],
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
        self.codestream.starts(self.fragments[at].bytes(self.file))
    }

    /// Whether the fragment before `at` ends a codestream; true where that cannot be told.
    fn ends_before(&self, at: usize) -> bool {
        at == 0
            || self
                .codestream
                .ends(self.fragments[at - 1].bytes(self.file))
                .unwrap_or(true)
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
