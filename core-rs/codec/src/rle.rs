//! RLE lossless (PS3.5 Annex G): each byte of each sample in a segment of its own, most significant first.

use crate::colour::{finish, interleaved};
use crate::native::{checked_length, sample_bytes};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat};

/// RLE Lossless, 1.2.840.10008.1.2.5.
pub(crate) struct Rle;

/// The number of segments and 15 offsets (PS3.5 §G.5).
const HEADER_BYTES: usize = 64;
const MAX_SEGMENTS: usize = 15;
/// Longest run and longest literal of PackBits (PS3.5 §G.3.1).
const MAX_RUN: usize = 128;

/// Where the bytes of the segments stand among the samples.
struct Layout {
    segments: usize,
    /// Bytes of a sample; 1 also for packed one-bit pixels.
    width: usize,
    /// Bytes of a segment, uncompressed.
    plane: usize,
    /// Bytes of a row in a segment.
    row: usize,
}

impl Layout {
    fn new(format: &FrameFormat) -> Result<Self, CodecError> {
        let width = sample_bytes(format)?;
        let bytes = checked_length(format.frame_bytes()?, usize::MAX)?;
        let segments = match format.bits_allocated {
            1 => 1,
            _ => usize::from(format.samples_per_pixel) * width,
        };
        if !(1..=MAX_SEGMENTS).contains(&segments) {
            return Err(CodecError::Unsupported {
                what: format!("RLE of {segments} segments"),
            });
        }
        let plane = bytes / segments;
        Ok(Layout {
            segments,
            width,
            plane,
            // The packed bits of a row need not end with a byte: such a frame is one row.
            row: if format.bits_allocated == 1 {
                plane
            } else {
                format.columns as usize
            },
        })
    }

    /// Where the first byte of a segment goes; the next is [`Layout::segments`] further.
    fn place(&self, segment: usize) -> usize {
        let (sample, byte) = (segment / self.width, segment % self.width);
        sample * self.width + (self.width - 1 - byte)
    }
}

impl FrameCodec for Rle {
    fn name(&self) -> &'static str {
        "RLE"
    }

    fn needs_helper(&self) -> bool {
        false
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let layout = Layout::new(format)?;
        let length = checked_length(format.frame_bytes()?, out.len())?;
        let out = &mut out[..length];
        let offsets = segment_offsets(codestream, layout.segments)?;
        let segments = offsets
            .into_iter()
            .map(|range| Segment::new(&codestream[range]));
        let mut segments: Vec<Segment<'_>> = segments.collect();
        decode_blocks(&mut segments, &layout, out);
        for (number, segment) in segments.iter().enumerate() {
            // Writers exist that lose the end of the last row.
            if segment.missing > layout.row {
                return Err(corrupt(format!(
                    "segment {number} ends {} bytes before its {} pixels",
                    segment.missing, layout.plane
                )));
            }
        }
        Ok(finish(out, format, colour))
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        _options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        // Decoders know no packed pixels (PS3.5 Table 8.2.2-1).
        if format.bits_allocated == 1 {
            return Err(CodecError::Unsupported {
                what: "one-bit pixels as RLE".into(),
            });
        }
        let layout = Layout::new(format)?;
        let length = checked_length(format.frame_bytes()?, samples.len())?;
        let samples = &samples[..length];
        let mut writer = Writer {
            room: out.len() as u64,
            rest: out,
            written: 0,
        };
        let mut header = [0; HEADER_BYTES];
        header[0] = layout.segments.to_le_bytes()[0];
        let place = writer.take(HEADER_BYTES)?;
        let mut row = vec![0; layout.row];
        for segment in 0..layout.segments {
            let offset = u32::try_from(writer.written).map_err(|_| CodecError::Limit {
                what: "bytes of RLE segments",
                found: writer.written as u64,
                limit: u32::MAX.into(),
            })?;
            header[4 * (segment + 1)..][..4].copy_from_slice(&offset.to_le_bytes());
            let offset = layout.place(segment);
            for pixels in samples.chunks_exact((layout.row * layout.segments).max(1)) {
                match layout.segments {
                    1 => row.copy_from_slice(pixels),
                    2 => gather::<2>(&mut row, pixels, offset),
                    3 => gather::<3>(&mut row, pixels, offset),
                    step => {
                        for (place, pixel) in row.iter_mut().zip(pixels.chunks_exact(step)) {
                            *place = pixel[offset];
                        }
                    }
                }
                encode_row(&row, &mut writer)?;
            }
            if writer.written % 2 == 1 {
                writer.take(1)?[0] = 0;
            }
        }
        place.copy_from_slice(&header);
        Ok((writer.written, interleaved(format)))
    }

    fn max_encoded_bytes(&self, format: &FrameFormat) -> u64 {
        // A row that does not compress: a byte more for every 128, at least one.
        let Ok(layout) = Layout::new(format) else {
            return HEADER_BYTES as u64;
        };
        let (row, plane) = (layout.row.max(1) as u64, layout.plane as u64);
        let rows = plane / row;
        let segment = plane.saturating_add(rows.saturating_mul(row.div_ceil(MAX_RUN as u64)));
        segment
            .saturating_add(1)
            .saturating_mul(layout.segments as u64)
            .saturating_add(HEADER_BYTES as u64)
    }
}

fn corrupt(reason: String) -> CodecError {
    CodecError::Corrupt {
        codec: "RLE",
        reason,
    }
}

/// Where the segments are. Each ends where the next begins.
fn segment_offsets(
    codestream: &[u8],
    expected: usize,
) -> Result<Vec<std::ops::Range<usize>>, CodecError> {
    let header = codestream
        .get(..HEADER_BYTES)
        .ok_or_else(|| corrupt(format!("a header of {} bytes, not of 64", codestream.len())))?;
    let mut words = header
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let found = words.next().unwrap_or(0);
    if found as usize != expected {
        return Err(CodecError::Mismatch {
            what: "segments of an RLE frame",
            expected: expected as u64,
            found: found.into(),
        });
    }
    let starts: Vec<usize> = words.take(expected).map(|offset| offset as usize).collect();
    let ends = starts[1..].iter().copied().chain([codestream.len()]);
    let ranges = starts.iter().zip(ends).map(|(start, end)| *start..end);
    ranges
        .map(|range| match codestream.get(range.clone()) {
            Some(_) if range.start >= HEADER_BYTES => Ok(range),
            _ => Err(corrupt(format!(
                "a segment at bytes {} to {} of {}",
                range.start,
                range.end,
                codestream.len()
            ))),
        })
        .collect()
}

/// Bytes of a segment that are decoded before they are put among those of the others: all of them fit the first cache.
const BLOCK_BYTES: usize = 4 << 10;

/// A segment as far as it was decoded. What it has beyond its plane is padding.
struct Segment<'a> {
    rest: &'a [u8],
    /// Bytes of the literal at hand that are still to be copied.
    literal: usize,
    /// Bytes of the run at hand that are still to be written.
    run: usize,
    /// What a run repeats; at the end, the last byte that there was.
    value: u8,
    /// How many bytes it was short of.
    missing: usize,
}

impl<'a> Segment<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Segment {
            rest: bytes,
            literal: 0,
            run: 0,
            value: 0,
            missing: 0,
        }
    }

    /// Decodes the next bytes. If it ends before, the last one is repeated.
    fn fill(&mut self, out: &mut [u8]) {
        let mut free = out;
        while !free.is_empty() {
            if self.run > 0 {
                let length = self.run.min(free.len());
                let (run, behind) = std::mem::take(&mut free).split_at_mut(length);
                run.fill(self.value);
                self.run -= length;
                free = behind;
            } else if self.literal > 0 && !self.rest.is_empty() {
                let length = self.literal.min(free.len()).min(self.rest.len());
                let (literal, behind) = std::mem::take(&mut free).split_at_mut(length);
                let (bytes, rest) = self.rest.split_at(length);
                literal.copy_from_slice(bytes);
                self.value = bytes[length - 1];
                self.literal -= length;
                (self.rest, free) = (rest, behind);
            } else if !self.next_control() {
                self.missing += free.len();
                free.fill(self.value);
                return;
            }
        }
    }

    /// Reads what comes next; false at the end.
    fn next_control(&mut self) -> bool {
        self.literal = 0;
        match *self.rest {
            [] => return false,
            [128, ref behind @ ..] => self.rest = behind,
            [control @ 0..128, ref behind @ ..] => {
                self.literal = usize::from(control) + 1;
                self.rest = behind;
            }
            [control, value, ref behind @ ..] => {
                (self.run, self.value) = (257 - usize::from(control), value);
                self.rest = behind;
            }
            [_] => {
                self.rest = &[];
                return false;
            }
        }
        true
    }
}

/// Decodes all segments into their places, a block of each at a time.
fn decode_blocks(segments: &mut [Segment<'_>], layout: &Layout, out: &mut [u8]) {
    if let [segment] = segments {
        segment.fill(&mut out[..layout.plane]);
        return;
    }
    let mut blocks = vec![0; segments.len() * BLOCK_BYTES];
    let places: Vec<usize> = (0..segments.len()).map(|at| layout.place(at)).collect();
    for pixels in out.chunks_mut(segments.len() * BLOCK_BYTES) {
        let length = pixels.len() / segments.len();
        for (segment, block) in segments.iter_mut().zip(blocks.chunks_mut(BLOCK_BYTES)) {
            segment.fill(&mut block[..length]);
        }
        match &*places {
            [1, 0] => {
                let (high, low) = blocks.split_at(BLOCK_BYTES);
                let words = high[..length].iter().zip(&low[..length]);
                for (pixel, (high, low)) in pixels.chunks_exact_mut(2).zip(words) {
                    pixel.copy_from_slice(&[*low, *high]);
                }
            }
            [0, 1, 2] => {
                let (first, rest) = blocks.split_at(BLOCK_BYTES);
                let (second, third) = rest.split_at(BLOCK_BYTES);
                let pairs = first[..length].iter().zip(&second[..length]);
                let colours = pairs.zip(&third[..length]);
                for (pixel, ((first, second), third)) in pixels.chunks_exact_mut(3).zip(colours) {
                    pixel.copy_from_slice(&[*first, *second, *third]);
                }
            }
            places => {
                for (place, block) in places.iter().zip(blocks.chunks(BLOCK_BYTES)) {
                    let pixels = pixels.chunks_exact_mut(places.len());
                    for (pixel, byte) in pixels.zip(&block[..length]) {
                        pixel[*place] = *byte;
                    }
                }
            }
        }
    }
}

/// Gathers every `STEP`th byte.
fn gather<const STEP: usize>(row: &mut [u8], pixels: &[u8], offset: usize) {
    for (place, pixel) in row.iter_mut().zip(pixels.chunks_exact(STEP)) {
        *place = pixel[offset];
    }
}

/// Bytes written one after the other into a buffer that may end.
struct Writer<'a> {
    rest: &'a mut [u8],
    room: u64,
    written: usize,
}

impl<'a> Writer<'a> {
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a mut [u8], CodecError> {
        let rest = std::mem::take(&mut self.rest);
        if rest.len() < length {
            return Err(CodecError::Limit {
                what: "bytes of an RLE codestream",
                found: (self.written + length) as u64,
                limit: self.room,
            });
        }
        let (taken, rest) = rest.split_at_mut(length);
        self.rest = rest;
        self.written += length;
        Ok(taken)
    }

    /// Bytes as they are, behind their count; nothing but pairs of equal bytes are runs of two.
    fn literal(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let pairs = bytes.chunks_exact(2);
        if pairs.remainder().is_empty() && pairs.clone().all(|pair| pair[0] == pair[1]) {
            for pair in pairs {
                self.run(pair[0], 2)?;
            }
            return Ok(());
        }
        for bytes in bytes.chunks(MAX_RUN) {
            let place = self.take(bytes.len() + 1)?;
            place[0] = (bytes.len() - 1).to_le_bytes()[0];
            place[1..].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The same byte twice or more often, up to [`MAX_RUN`].
    #[inline]
    fn run(&mut self, value: u8, length: usize) -> Result<(), CodecError> {
        let place = self.take(2)?;
        place.copy_from_slice(&[(257 - length).to_le_bytes()[0], value]);
        Ok(())
    }
}

/// Encodes a row: runs do not cross its end (PS3.5 §G.3.1). Three equal bytes are a run; two within a literal would cost
/// more than they save.
fn encode_row(row: &[u8], writer: &mut Writer<'_>) -> Result<(), CodecError> {
    let mut rest = row;
    while !rest.is_empty() {
        let (literal, run) = rest.split_at(next_triple(rest));
        writer.literal(literal)?;
        let Some(&value) = run.first() else {
            return Ok(());
        };
        let length = run_length(run, value);
        let (whole, left) = (length / MAX_RUN, length % MAX_RUN);
        for _ in 0..whole {
            writer.run(value, MAX_RUN)?;
        }
        // One that is left over begins the next literal.
        if left > 1 {
            writer.run(value, left)?;
        }
        rest = &run[length - usize::from(left == 1)..];
    }
    Ok(())
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// Where the first three equal bytes begin; the end of `bytes` if there are none.
#[inline]
fn next_triple(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Eight places at once: a byte is zero where it equals both of the two behind it. The lowest zero byte is found
    // exactly; a borrow can only make false ones above it.
    while let Some(word) = bytes.get(at..at + 10) {
        let load = |offset: usize| {
            u64::from_le_bytes([
                word[offset],
                word[offset + 1],
                word[offset + 2],
                word[offset + 3],
                word[offset + 4],
                word[offset + 5],
                word[offset + 6],
                word[offset + 7],
            ])
        };
        let (first, second, third) = (load(0), load(1), load(2));
        let differs = (first ^ second) | (first ^ third);
        let zeros = differs.wrapping_sub(LOW_BITS) & !differs & (LOW_BITS << 7);
        if zeros != 0 {
            return at + zeros.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = bytes[at..]
        .windows(3)
        .position(|three| three[0] == three[1] && three[0] == three[2]);
    tail.map_or(bytes.len(), |position| at + position)
}

/// How many bytes at the beginning are `value`.
#[inline]
fn run_length(bytes: &[u8], value: u8) -> usize {
    let pattern = u64::from(value) * LOW_BITS;
    let mut at = 0;
    for word in bytes.chunks_exact(8) {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        let differs = word ^ pattern;
        if differs != 0 {
            return at + differs.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..]
        .iter()
        .take_while(|byte| **byte == value)
        .count()
}
