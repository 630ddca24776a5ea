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
        let mut writer = Writer { out, written: 0 };
        let mut header = [0; HEADER_BYTES];
        header[0] = layout.segments.to_le_bytes()[0];
        writer.put(&header)?;
        let mut row = Row::new(layout.row);
        for segment in 0..layout.segments {
            let offset = u32::try_from(writer.written).map_err(|_| CodecError::Limit {
                what: "bytes of RLE segments",
                found: writer.written as u64,
                limit: u32::MAX.into(),
            })?;
            header[4 * (segment + 1)..][..4].copy_from_slice(&offset.to_le_bytes());
            let offset = layout.place(segment);
            for pixels in samples.chunks_exact((layout.row * layout.segments).max(1)) {
                let bytes = row.bytes_mut();
                match layout.segments {
                    1 => bytes.copy_from_slice(pixels),
                    2 => gather::<2>(bytes, pixels, offset),
                    3 => gather::<3>(bytes, pixels, offset),
                    step => {
                        for (place, pixel) in bytes.iter_mut().zip(pixels.chunks_exact(step)) {
                            *place = pixel[offset];
                        }
                    }
                }
                row.mark_runs();
                row.encode(&mut writer)?;
            }
            if writer.written % 2 == 1 {
                writer.put(&[0])?;
            }
        }
        writer.out[..HEADER_BYTES].copy_from_slice(&header);
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

/// The next bytes of a segment, and room for what a run or literal has beyond them.
type Block = [u8; BLOCK_BYTES + MAX_RUN];

/// A segment as far as it was decoded. What it has beyond its plane is padding.
struct Segment<'a> {
    rest: &'a [u8],
    block: Box<Block>,
    /// Bytes that were decoded and stand behind the block at hand.
    ahead: usize,
    /// The last byte that there was.
    value: u8,
    /// How many bytes it was short of.
    missing: usize,
}

impl<'a> Segment<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Segment {
            rest: bytes,
            block: Box::new([0; BLOCK_BYTES + MAX_RUN]),
            ahead: 0,
            value: 0,
            missing: 0,
        }
    }

    /// Decodes the next `length` bytes, at most [`BLOCK_BYTES`]. If it ends before, the last one is repeated.
    fn next_block(&mut self, length: usize) -> &[u8] {
        self.block.copy_within(BLOCK_BYTES.., 0);
        let mut at = self.ahead;
        while at < length {
            let place: &mut [u8; MAX_RUN] = (&mut self.block[at..at + MAX_RUN])
                .try_into()
                .expect("a block has so much room behind it");
            let Some((written, rest)) = next_run(self.rest, place) else {
                break;
            };
            (at, self.rest) = (at + written, rest);
        }
        if at < length {
            self.rest = &[];
            let value = at
                .checked_sub(1)
                .map_or(self.value, |last| self.block[last]);
            self.block[at..length].fill(value);
            self.missing += length - at;
            at = length;
        }
        self.ahead = at - length;
        if let Some(last) = length.checked_sub(1) {
            self.value = self.block[last];
        }
        &self.block[..length]
    }
}

/// Decodes what comes next; gives how many bytes that is, and what follows it. `None` at the end. What is in `place` behind
/// them is of no meaning: copying more than there is, but always as much, is what makes short runs and literals fast.
#[inline]
fn next_run<'a>(bytes: &'a [u8], place: &mut [u8; MAX_RUN]) -> Option<(usize, &'a [u8])> {
    let (&control, rest) = bytes.split_first()?;
    if control < 128 {
        let length = usize::from(control) + 1;
        if let (true, Some(short)) = (length <= SHORT, rest.first_chunk::<SHORT>()) {
            place[..SHORT].copy_from_slice(short);
        } else if let Some(longest) = rest.first_chunk::<MAX_RUN>() {
            *place = *longest;
        } else {
            let literal = &rest[..length.min(rest.len())];
            place[..literal.len()].copy_from_slice(literal);
            // One of no bytes at all is the end.
            return (!literal.is_empty()).then(|| (literal.len(), &rest[literal.len()..]));
        }
        return Some((length, &rest[length..]));
    }
    if control == 128 {
        return Some((0, rest));
    }
    let (&value, rest) = rest.split_first()?;
    let length = 257 - usize::from(control);
    place[..SHORT].fill(value);
    if length > SHORT {
        place.fill(value);
    }
    Some((length, rest))
}

/// Most runs and literals of radiographs are not longer.
const SHORT: usize = 16;

/// Decodes all segments into their places, a block of each at a time.
fn decode_blocks(segments: &mut [Segment<'_>], layout: &Layout, out: &mut [u8]) {
    let places: Vec<usize> = (0..segments.len()).map(|at| layout.place(at)).collect();
    for pixels in out.chunks_mut(segments.len() * BLOCK_BYTES) {
        let length = pixels.len() / segments.len();
        match (&mut *segments, &*places) {
            ([segment], _) => pixels.copy_from_slice(segment.next_block(length)),
            ([high, low], [1, 0]) => {
                interleave_2(low.next_block(length), high.next_block(length), pixels);
            }
            ([first, second, third], [0, 1, 2]) => interleave_3(
                first.next_block(length),
                second.next_block(length),
                third.next_block(length),
                pixels,
            ),
            (segments, places) => {
                for (place, segment) in places.iter().zip(segments) {
                    let pixels = pixels.chunks_exact_mut(places.len());
                    for (pixel, byte) in pixels.zip(segment.next_block(length)) {
                        pixel[*place] = *byte;
                    }
                }
            }
        }
    }
}

fn interleave_2(first: &[u8], second: &[u8], out: &mut [u8]) {
    for (pixel, (first, second)) in out.chunks_exact_mut(2).zip(first.iter().zip(second)) {
        pixel.copy_from_slice(&[*first, *second]);
    }
}

fn interleave_3(first: &[u8], second: &[u8], third: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { interleave_3_with_avx2(first, second, third, out) };
    }
    interleave_3_anywhere(first, second, third, out);
}

/// The same, compiled for a processor that shuffles bytes: without, threes of bytes are moved one by one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn interleave_3_with_avx2(first: &[u8], second: &[u8], third: &[u8], out: &mut [u8]) {
    interleave_3_anywhere(first, second, third, out);
}

#[inline(always)]
fn interleave_3_anywhere(first: &[u8], second: &[u8], third: &[u8], out: &mut [u8]) {
    let samples = first.iter().zip(second).zip(third);
    for (pixel, ((first, second), third)) in out.chunks_exact_mut(3).zip(samples) {
        pixel.copy_from_slice(&[*first, *second, *third]);
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
    out: &'a mut [u8],
    written: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let end = self.written + bytes.len();
        let Some(place) = self.out.get_mut(self.written..end) else {
            return Err(CodecError::Limit {
                what: "bytes of an RLE codestream",
                found: end as u64,
                limit: self.out.len() as u64,
            });
        };
        place.copy_from_slice(bytes);
        self.written = end;
        Ok(())
    }

    /// The first `length` bytes as they are, behind their count; nothing but pairs of equal bytes are runs of two.
    #[inline]
    fn literal(&mut self, bytes: &[u8], length: usize) -> Result<(), CodecError> {
        if length % 2 == 0 {
            let mut pairs = bytes[..length].chunks_exact(2);
            if pairs.all(|pair| pair[0] == pair[1]) {
                let mut pairs = bytes[..length].chunks_exact(2);
                return pairs.try_for_each(|pair| self.run(pair[0], 2));
            }
        }
        if length <= SHORT {
            // Always as many bytes, whose last ones are overwritten by what comes next.
            let room = self.out.get_mut(self.written..);
            let place = room.and_then(|room| room.first_chunk_mut::<{ SHORT + 1 }>());
            if let (Some(bytes), Some(place)) = (bytes.first_chunk::<SHORT>(), place) {
                place[0] = (length - 1).to_le_bytes()[0];
                place[1..].copy_from_slice(bytes);
                self.written += length + 1;
                return Ok(());
            }
        }
        for bytes in bytes[..length].chunks(MAX_RUN) {
            self.put(&[(bytes.len() - 1).to_le_bytes()[0]])?;
            self.put(bytes)?;
        }
        Ok(())
    }

    /// The same byte twice or more often, up to [`MAX_RUN`].
    #[inline]
    fn run(&mut self, value: u8, length: usize) -> Result<(), CodecError> {
        self.put(&[(257 - length).to_le_bytes()[0], value])
    }
}

/// A row of a segment, and where in it bytes are equal.
struct Row {
    length: usize,
    /// The bytes, and [`SHORT`] of no meaning behind them.
    bytes: Vec<u8>,
    /// 1 where a byte equals the next one, in whole words of bits.
    equal: Vec<u8>,
    /// The same as bits, and one word without any behind them.
    pairs: Vec<u64>,
}

impl Row {
    fn new(length: usize) -> Self {
        let words = length.div_ceil(64);
        Row {
            length,
            bytes: vec![0; length + SHORT],
            equal: vec![0; 64 * words],
            pairs: vec![0; words + 1],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    fn mark_runs(&mut self) {
        // The last byte has none behind it.
        let bytes = &self.bytes[..self.length];
        let next = bytes.iter().skip(1);
        for (equal, (byte, next)) in self.equal.iter_mut().zip(bytes.iter().zip(next)) {
            *equal = u8::from(byte == next);
        }
        for (word, equal) in self.pairs.iter_mut().zip(self.equal.chunks_exact(64)) {
            *word = 0;
            for (index, eight) in equal.chunks_exact(8).enumerate() {
                let eight = eight.try_into().map_or(0, u64::from_le_bytes);
                // Byte n is moved to bit 56 + n, and nothing else comes there.
                *word |= (eight.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index);
            }
        }
    }

    /// Encodes it: runs do not cross its end (PS3.5 §G.3.1). Three equal bytes are a run; two within a literal would cost
    /// more than they save.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), CodecError> {
        let mut at = 0;
        while at < self.length {
            let start = self.next_triple(at);
            if start > at {
                writer.literal(&self.bytes[at..], start - at)?;
            }
            if start == self.length {
                return Ok(());
            }
            let (value, end) = (self.bytes[start], self.end_of_run(start));
            let (whole, left) = ((end - start) / MAX_RUN, (end - start) % MAX_RUN);
            for _ in 0..whole {
                writer.run(value, MAX_RUN)?;
            }
            // One that is left over begins the next literal.
            if left > 1 {
                writer.run(value, left)?;
            }
            at = end - usize::from(left == 1);
        }
        Ok(())
    }

    /// Where the first three equal bytes at or behind `at` begin; the end of the row if there are none.
    #[inline]
    fn next_triple(&self, at: usize) -> usize {
        let mut from = u64::MAX << (at % 64);
        for (index, words) in self.pairs[at / 64..].windows(2).enumerate() {
            let triples = words[0] & (words[0] >> 1 | words[1] << 63) & from;
            if triples != 0 {
                return (at / 64 + index) * 64 + triples.trailing_zeros() as usize;
            }
            from = u64::MAX;
        }
        self.length
    }

    /// Where the run that `start` is in ends.
    #[inline]
    fn end_of_run(&self, start: usize) -> usize {
        let mut from = u64::MAX << (start % 64);
        for (index, pairs) in self.pairs[start / 64..].iter().enumerate() {
            let unequal = !pairs & from;
            if unequal != 0 {
                return (start / 64 + index) * 64 + unequal.trailing_zeros() as usize + 1;
            }
            from = u64::MAX;
        }
        self.length
    }
}
