//! Lossless JPEG, written: one scan of all components, one table.

use super::codes::{Codes, Writer, category};
use super::{CATEGORIES, UsePredictor, with_predictor};
use crate::CodecError;

/// A lossless codestream.
#[derive(Clone, Copy, Debug)]
pub(in crate::jpeg) struct Lossless {
    pub rows: u16,
    pub columns: u16,
    pub components: u8,
    /// 2 to 16 bits.
    pub precision: u8,
    /// Selection value, 1 to 7.
    pub predictor: u8,
    /// How many of the lowest bits are left away.
    pub point_transform: u8,
    /// After how many rows a restart marker comes; 0 for none.
    pub restart_rows: u16,
    /// Whether the components are red, green and blue: then a marker says so.
    pub rgb: bool,
}

/// Pairs of rows that are looked at for the best predictor.
const PAIRS: usize = 64;

impl Lossless {
    /// Encodes samples of one byte, or of two beyond 8 bits of precision; gives how many bytes were written.
    pub(in crate::jpeg) fn encode(
        &self,
        samples: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CodecError> {
        let mut frequencies = [0; CATEGORIES];
        self.differences(samples, |_, differences| {
            for difference in differences {
                frequencies[category(*difference) as usize] += 1;
            }
            Ok(())
        })?;
        let codes = Codes::shortest(&frequencies);
        let mut writer = Writer::new(out);
        self.write_headers(&codes, &mut writer)?;
        self.differences(samples, |row, differences| {
            if let Some(marker) = self.restart_marker(row) {
                writer.finish_bits()?;
                writer.bytes(&[0xFF, marker])?;
            }
            for difference in differences {
                let (bits, count) = codes.of(*difference);
                writer.put(bits, count)?;
            }
            Ok(())
        })?;
        writer.finish_bits()?;
        writer.bytes(&[0xFF, 0xD9])?;
        Ok(writer.written())
    }

    /// With the predictor that codes these samples shortest, judged by some of their rows.
    pub(in crate::jpeg) fn with_best_predictor(self, samples: &[u8]) -> Self {
        let rows: Vec<&[u8]> = samples.chunks_exact(self.row_bytes()).collect();
        let step = rows.len().div_ceil(PAIRS).max(1);
        let row = self.row_samples();
        let (mut above, mut current, mut differences) = (vec![0; row], vec![0; row], vec![0; row]);
        let mut frequencies = [[0u32; CATEGORIES]; 7];
        for pair in rows.windows(2).step_by(step) {
            self.read_row(pair[0], &mut above);
            self.read_row(pair[1], &mut current);
            for (predictor, frequencies) in (1..).zip(&mut frequencies) {
                Lossless { predictor, ..self }.predict(&above, &current, &mut differences);
                for difference in &differences {
                    frequencies[category(*difference) as usize] += 1;
                }
            }
        }
        let lengths = frequencies.map(|frequencies| bits(&frequencies));
        let shortest = (1..)
            .zip(lengths)
            .min_by(|(_, one), (_, other)| one.total_cmp(other));
        let predictor = shortest.map_or(1, |(predictor, _)| predictor);
        Lossless { predictor, ..self }
    }

    fn row_samples(&self) -> usize {
        usize::from(self.columns) * usize::from(self.components)
    }

    fn row_bytes(&self) -> usize {
        let width = if self.precision > 8 { 2 } else { 1 };
        (self.row_samples() * width).max(1)
    }

    fn begins_interval(&self, row: usize) -> bool {
        row == 0 || (self.restart_rows > 0 && row % usize::from(self.restart_rows) == 0)
    }

    /// The marker before a row, if there is one.
    fn restart_marker(&self, row: usize) -> Option<u8> {
        let interval = row.checked_div(self.restart_rows.into())?;
        (row > 0 && self.begins_interval(row)).then(|| 0xD0 + (interval - 1).to_le_bytes()[0] % 8)
    }

    /// Calls `use_row` with the number of each row and its differences.
    fn differences(
        &self,
        samples: &[u8],
        mut use_row: impl FnMut(usize, &[u16]) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let row = self.row_samples();
        let (mut above, mut current, mut differences) = (vec![0; row], vec![0; row], vec![0; row]);
        for (index, bytes) in samples.chunks_exact(self.row_bytes()).enumerate() {
            self.read_row(bytes, &mut current);
            if self.begins_interval(index) {
                self.predict_first(&current, &mut differences);
            } else {
                self.predict(&above, &current, &mut differences);
            }
            use_row(index, &differences)?;
            std::mem::swap(&mut above, &mut current);
        }
        Ok(())
    }

    fn read_row(&self, bytes: &[u8], row: &mut [u16]) {
        let transform = u32::from(self.point_transform);
        if self.precision > 8 {
            for (sample, bytes) in row.iter_mut().zip(bytes.chunks_exact(2)) {
                *sample = u16::from_le_bytes([bytes[0], bytes[1]]) >> transform;
            }
        } else {
            for (sample, byte) in row.iter_mut().zip(bytes) {
                *sample = u16::from(*byte) >> transform;
            }
        }
    }

    /// The first row of an interval: each sample from its left neighbour, the first from half of the range (§H.1.2.1).
    fn predict_first(&self, row: &[u16], differences: &mut [u16]) {
        let components = usize::from(self.components);
        let half = 1 << (self.precision - self.point_transform - 1);
        let lefts = std::iter::repeat_n(half, components).chain(row.iter().copied());
        for ((difference, sample), left) in differences.iter_mut().zip(row).zip(lefts) {
            *difference = sample.wrapping_sub(left);
        }
    }

    /// Another row: the first sample from the one above it, the others by the predictor (Table H.1).
    fn predict(&self, above: &[u16], row: &[u16], differences: &mut [u16]) {
        let components = usize::from(self.components).min(row.len());
        for ((difference, sample), above) in
            differences.iter_mut().zip(row).zip(&above[..components])
        {
            *difference = sample.wrapping_sub(*above);
        }
        let predict = Predict {
            above,
            row,
            components,
            differences: &mut differences[components..],
        };
        with_predictor(self.predictor, predict);
    }

    fn write_headers(&self, codes: &Codes, writer: &mut Writer<'_>) -> Result<(), CodecError> {
        writer.bytes(&[0xFF, 0xD8])?;
        if self.rgb {
            writer.bytes(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0")?;
        }
        let [high, low] = self.rows.to_be_bytes();
        let [wide, narrow] = self.columns.to_be_bytes();
        let count = self.components;
        let ids = if self.rgb { *b"RGB" } else { [1, 2, 3] };
        let ids = &ids[..usize::from(count).min(3)];
        writer.bytes(&[
            0xFF,
            0xC3,
            0,
            8 + 3 * count,
            self.precision,
            high,
            low,
            wide,
            narrow,
            count,
        ])?;
        for id in ids {
            writer.bytes(&[*id, 0x11, 0])?;
        }
        let length = 19 + codes.values.len().to_le_bytes()[0];
        writer.bytes(&[0xFF, 0xC4, 0, length, 0])?;
        writer.bytes(&codes.counts)?;
        writer.bytes(&codes.values)?;
        if self.restart_rows > 0 {
            let interval = u32::from(self.restart_rows) * u32::from(self.columns);
            let interval = u16::try_from(interval).map_err(|_| CodecError::Unsupported {
                what: format!("restart markers every {interval} samples"),
            })?;
            writer.bytes(&[0xFF, 0xDD, 0, 4])?;
            writer.bytes(&interval.to_be_bytes())?;
        }
        writer.bytes(&[0xFF, 0xDA, 0, 6 + 2 * count, count])?;
        for id in ids {
            writer.bytes(&[*id, 0])?;
        }
        writer.bytes(&[self.predictor, 0, self.point_transform])
    }
}

/// Differences of the samples that have a left neighbour.
struct Predict<'a> {
    above: &'a [u16],
    row: &'a [u16],
    components: usize,
    differences: &'a mut [u16],
}

impl UsePredictor for Predict<'_> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // modulo 2^16
    fn with(self, predict: impl Fn(i32, i32, i32) -> i32) {
        let neighbours = self
            .row
            .iter()
            .zip(&self.above[self.components..])
            .zip(self.above);
        let samples = self
            .differences
            .iter_mut()
            .zip(&self.row[self.components..]);
        for ((difference, sample), ((left, above), corner)) in samples.zip(neighbours) {
            let predicted = predict((*left).into(), (*above).into(), (*corner).into());
            *difference = sample.wrapping_sub(predicted as u16);
        }
    }
}

/// Bits of so many differences: their own, and those of the best possible codes of their categories.
fn bits(frequencies: &[u32; CATEGORIES]) -> f64 {
    let all: u32 = frequencies.iter().sum();
    let bits = (0u32..).zip(frequencies).map(|(length, count)| {
        let count = f64::from(*count);
        let code = if count > 0.0 {
            (f64::from(all) / count).log2()
        } else {
            0.0
        };
        count * (f64::from(length) + code)
    });
    bits.sum()
}
