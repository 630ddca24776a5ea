//! Rows of one component, as the libraries take and give them, and interleaved samples.

use std::ops::{Range, RangeInclusive};

use super::corrupt;
use super::header::{Component, Header};
use crate::native::checked_length;
use crate::{CodecError, FrameFormat, Sample};

/// What the bits of a codestream are read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// As the codestream says.
    AsCoded,
    /// As two's complement of so many bits.
    Signed(u32),
    /// As an unsigned number of so many bits.
    Unsigned(u32),
}

/// Puts rows of components to their places among interleaved samples.
pub(super) struct RowWriter<'a> {
    out: &'a mut [u8],
    header: &'a Header,
    /// Bytes of a sample; none of one-bit pixels.
    width: usize,
    reading: Reading,
    /// Of the numbers of each component: OpenJPH gives what lossy compression makes of white and black as it is.
    ranges: Vec<RangeInclusive<i32>>,
    /// How many rows of each component came, in order.
    written: [u32; 4],
    line: Vec<i32>,
}

impl<'a> RowWriter<'a> {
    /// `out` has the bytes of a frame of `format`, whose rows, columns and samples are those of the header.
    pub(super) fn new(header: &'a Header, format: &FrameFormat, out: &'a mut [u8]) -> Self {
        let coded = header.components[0];
        // Devices that code two's complement as if it were unsigned, and the other way round: the bits are what the
        // data set says. Grey ones only, the colour transform would not survive it.
        let reading = match (coded.signed, format.sample) {
            _ if format.samples_per_pixel != 1 => Reading::AsCoded,
            (false, Sample::Signed) => Reading::Signed(coded.precision.into()),
            (true, Sample::Unsigned) => Reading::Unsigned(coded.precision.into()),
            _ => Reading::AsCoded,
        };
        let width = usize::from(format.bits_allocated / 8);
        if width == 0 {
            out.fill(0); // bits are only set below
        }
        RowWriter {
            out,
            header,
            width,
            reading,
            ranges: header
                .components
                .iter()
                .map(|component| range(component, reading))
                .collect(),
            written: [0; 4],
            line: Vec::new(),
        }
    }

    /// Takes the next row of `component`.
    pub(super) fn put(&mut self, component: usize, samples: &[i32]) -> Result<(), CodecError> {
        let rows = self.rows_of(component)?;
        let expected = self.header.columns_of(component).len();
        if samples.len() != expected {
            return Err(CodecError::Mismatch {
                what: "columns of a component",
                expected: expected as u64,
                found: samples.len() as u64,
            });
        }
        let mut line = std::mem::take(&mut self.line);
        let samples = self.adjust(component, samples, &mut line);
        for row in rows {
            self.interleave(component, row, samples);
        }
        self.line = line;
        Ok(())
    }

    /// Whether all rows came.
    pub(super) fn finish(self) -> Result<(), CodecError> {
        for component in 0..self.header.components.len() {
            let expected = self.header.rows_of(component).len();
            if self.written[component] as usize != expected {
                return Err(corrupt(format!(
                    "component {component} has {} rows of {expected}",
                    self.written[component]
                )));
            }
        }
        Ok(())
    }

    /// Rows of the image that the next row of `component` is for.
    fn rows_of(&mut self, component: usize) -> Result<Range<usize>, CodecError> {
        let every = u32::from(self.header.components[component].every.1);
        let all = self.header.rows_of(component);
        let here = all.start + self.written[component];
        if here >= all.end {
            return Err(corrupt("a component has too many rows"));
        }
        self.written[component] += 1;
        let top = self.header.top;
        let from = if here == all.start { top } else { here * every };
        let to = if here + 1 == all.end {
            self.header.bottom
        } else {
            (here + 1) * every
        };
        Ok((from - top) as usize..(to - top) as usize)
    }

    /// The samples with the sign of the data set, one for each column.
    fn adjust<'s>(
        &self,
        component: usize,
        samples: &'s [i32],
        line: &'s mut Vec<i32>,
    ) -> &'s [i32] {
        let every = usize::from(self.header.components[component].every.0);
        let reading = self.reading;
        if every == 1 && reading == Reading::AsCoded {
            return samples;
        }
        let coded = range(&self.header.components[component], Reading::AsCoded);
        let read = |sample: i32| match reading {
            Reading::AsCoded => sample,
            Reading::Signed(bits) => {
                (sample.clamp(*coded.start(), *coded.end()) << (32 - bits)) >> (32 - bits)
            }
            Reading::Unsigned(bits) => {
                sample.clamp(*coded.start(), *coded.end()) & (u32::MAX >> (32 - bits)) as i32
            }
        };
        line.clear();
        if every == 1 {
            line.extend(samples.iter().map(|sample| read(*sample)));
        } else {
            let first = self.header.columns_of(component).start as usize;
            line.extend((self.header.left..self.header.right).map(|column| {
                let index = (column as usize / every).saturating_sub(first);
                read(samples[index.min(samples.len() - 1)])
            }));
        }
        line
    }

    fn interleave(&mut self, component: usize, row: usize, samples: &[i32]) {
        let range = &self.ranges[component];
        let columns = samples.len();
        let components = self.header.components.len();
        let bytes = columns * components * self.width;
        let place = self
            .out
            .get_mut(row * bytes..(row + 1) * bytes)
            .unwrap_or_default();
        match (self.width, components) {
            (0, _) => set_bits(self.out, row * columns, samples),
            (1, 1) => put_row::<1, 1>(place, component, samples, range),
            (1, 3) => put_row::<1, 3>(place, component, samples, range),
            (1, _) => put_row::<1, 4>(place, component, samples, range),
            (2, 1) => put_row::<2, 1>(place, component, samples, range),
            (2, 3) => put_row::<2, 3>(place, component, samples, range),
            (2, _) => put_row::<2, 4>(place, component, samples, range),
            (_, 1) => put_row::<4, 1>(place, component, samples, range),
            (_, 3) => put_row::<4, 3>(place, component, samples, range),
            (_, _) => put_row::<4, 4>(place, component, samples, range),
        }
    }
}

/// The numbers that a component has when it is read so; of 32 bits all.
fn range(component: &Component, reading: Reading) -> RangeInclusive<i32> {
    let (signed, bits) = match reading {
        Reading::AsCoded => (component.signed, component.precision.into()),
        Reading::Signed(bits) => (true, bits),
        Reading::Unsigned(bits) => (false, bits),
    };
    match (signed, bits) {
        (_, 32..) => i32::MIN..=i32::MAX,
        (true, bits) => -(1 << (bits - 1))..=(1 << (bits - 1)) - 1,
        (false, 31) => 0..=i32::MAX,
        (false, bits) => 0..=(1 << bits) - 1,
    }
}

fn put_row<const WIDTH: usize, const COMPONENTS: usize>(
    out: &mut [u8],
    component: usize,
    samples: &[i32],
    range: &RangeInclusive<i32>,
) {
    let (least, most) = (*range.start(), *range.end());
    // Said so that one component is a loop without steps.
    let component = if COMPONENTS == 1 { 0 } else { component };
    for (pixel, sample) in out.chunks_exact_mut(WIDTH * COMPONENTS).zip(samples) {
        let sample = (*sample).clamp(least, most).to_le_bytes();
        pixel[component * WIDTH..][..WIDTH].copy_from_slice(&sample[..WIDTH]);
    }
}

fn set_bits(out: &mut [u8], first: usize, samples: &[i32]) {
    for (index, sample) in (first..).zip(samples) {
        out[index / 8] |= u8::from(*sample != 0) << (index % 8);
    }
}

/// Interleaved samples that are to be encoded.
pub(super) struct Samples<'a> {
    samples: &'a [u8],
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) components: u16,
    /// Bits that hold every sample: those of Bits Stored unless some have more.
    pub(super) precision: u8,
    pub(super) signed: bool,
    width: usize,
}

impl<'a> Samples<'a> {
    /// Of the first bytes of `samples`, as many as `format` says.
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if there are fewer.
    pub(super) fn new(samples: &'a [u8], format: &FrameFormat) -> Result<Self, CodecError> {
        let samples = &samples[..checked_length(format.frame_bytes()?, samples.len())?];
        let signed = format.sample == Sample::Signed;
        let needed = match format.bits_allocated {
            1 => 1,
            8 => bits_of::<1>(samples, signed),
            16 => bits_of::<2>(samples, signed),
            _ => bits_of::<4>(samples, signed),
        };
        let precision = if needed <= u32::from(format.bits_stored) {
            format.bits_stored
        } else {
            format.bits_allocated // what is in unused bits is kept
        };
        Ok(Samples {
            samples,
            columns: format.columns,
            rows: format.rows,
            components: format.samples_per_pixel,
            precision: precision.try_into().unwrap_or(u8::MAX),
            signed,
            width: usize::from(format.bits_allocated / 8),
        })
    }

    /// Bytes of all samples if each had the bits of the precision and no more.
    pub(super) fn coded_bytes(&self) -> f64 {
        let pixels = f64::from(self.columns) * f64::from(self.rows);
        pixels * f64::from(self.components) * f64::from(self.precision) / 8.0
    }

    /// Writes one row of `component` into `line`.
    pub(super) fn get(&self, component: usize, row: usize, line: &mut [i32]) {
        let columns = self.columns as usize;
        if self.width == 0 {
            for (index, place) in (row * columns..).zip(line) {
                *place = i32::from(self.samples[index / 8] >> (index % 8) & 1);
            }
            return;
        }
        let bytes = columns * usize::from(self.components) * self.width;
        let row = &self.samples[row * bytes..(row + 1) * bytes];
        match (self.width, self.components) {
            (1, 1) => get_row::<1, 1>(row, component, self.signed, line),
            (1, 3) => get_row::<1, 3>(row, component, self.signed, line),
            (1, _) => get_row::<1, 4>(row, component, self.signed, line),
            (2, 1) => get_row::<2, 1>(row, component, self.signed, line),
            (2, 3) => get_row::<2, 3>(row, component, self.signed, line),
            (2, _) => get_row::<2, 4>(row, component, self.signed, line),
            (_, 1) => get_row::<4, 1>(row, component, self.signed, line),
            (_, 3) => get_row::<4, 3>(row, component, self.signed, line),
            (_, _) => get_row::<4, 4>(row, component, self.signed, line),
        }
    }
}

fn get_row<const WIDTH: usize, const COMPONENTS: usize>(
    row: &[u8],
    component: usize,
    signed: bool,
    line: &mut [i32],
) {
    let component = if COMPONENTS == 1 { 0 } else { component };
    let sample = |pixel: &[u8]| {
        let mut sample = [0; WIDTH];
        sample.copy_from_slice(&pixel[component * WIDTH..][..WIDTH]);
        sample
    };
    let pixels = row.chunks_exact(WIDTH * COMPONENTS).zip(line);
    if signed {
        pixels.for_each(|(pixel, place)| *place = number(sample(pixel), true));
    } else {
        pixels.for_each(|(pixel, place)| *place = number(sample(pixel), false));
    }
}

/// The number of a little-endian sample; of four bytes its bits.
#[inline]
fn number<const WIDTH: usize>(sample: [u8; WIDTH], signed: bool) -> i32 {
    let mut bytes = [0; 4];
    bytes[..WIDTH].copy_from_slice(&sample);
    let unused = 32 - 8 * WIDTH;
    let number = i32::from_le_bytes(bytes);
    if signed {
        (number << unused) >> unused
    } else {
        number
    }
}

/// How many bits all samples need, the sign included.
fn bits_of<const WIDTH: usize>(samples: &[u8], signed: bool) -> u32 {
    let samples = samples.chunks_exact(WIDTH).map(|bytes| {
        let mut sample = [0; WIDTH];
        sample.copy_from_slice(bytes);
        number(sample, signed)
    });
    let any = if signed {
        // A number and its complement need as many bits.
        samples.fold(0, |any, number| any | number ^ (number >> 31))
    } else {
        samples.fold(0, |any, number| any | number)
    };
    32 - any.leading_zeros() + u32::from(signed)
}
