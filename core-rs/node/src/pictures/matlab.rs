//! Arrays as MATLAB and Octave read them: an expression that `eval` takes.

use std::io::Write as _;

use vna_image::ElementType;

/// The elements of one frame, as text.
pub(crate) struct Matlab {
    columns: u64,
    rows: u64,
    channels: u64,
    /// How many have been written.
    written: u64,
}

impl Matlab {
    /// Begins a frame; `out` gets its first bytes.
    pub fn begin(rows: u64, columns: u64, channels: u64, out: &mut Vec<u8>) -> Self {
        // MATLAB stores by column: of a matrix rows are written one after the other, and more dimensions are turned
        // around when they have been read.
        out.extend_from_slice(if channels == 1 {
            b"double([ "
        } else {
            b"double(permute(reshape([ "
        });
        Matlab {
            columns,
            rows,
            channels,
            written: 0,
        }
    }

    /// Adds elements of a type, as they stand in an array.
    pub fn push_all(&mut self, element: ElementType, bytes: &[u8], out: &mut Vec<u8>) {
        match element {
            ElementType::U1 => bytes.iter().for_each(|byte| self.push(byte, out)),
            ElementType::I1 => {
                let signed = bytes.iter().map(|byte| i8::from_le_bytes([*byte]));
                signed.for_each(|value| self.push(value, out));
            }
            ElementType::U2 => self.push_each(bytes, u16::from_le_bytes, out),
            ElementType::I2 => self.push_each(bytes, i16::from_le_bytes, out),
            ElementType::U4 => self.push_each(bytes, u32::from_le_bytes, out),
            ElementType::I4 => self.push_each(bytes, i32::from_le_bytes, out),
            ElementType::U8 => self.push_each(bytes, u64::from_le_bytes, out),
            ElementType::I8 => self.push_each(bytes, i64::from_le_bytes, out),
            ElementType::F4 => self.push_each(bytes, f32::from_le_bytes, out),
            ElementType::F8 => self.push_each(bytes, f64::from_le_bytes, out),
        }
    }

    fn push_each<const N: usize, T: std::fmt::Display>(
        &mut self,
        bytes: &[u8],
        value: impl Fn([u8; N]) -> T,
        out: &mut Vec<u8>,
    ) {
        for element in bytes.chunks_exact(N) {
            let mut number = [0; N];
            number.copy_from_slice(element);
            self.push(value(number), out);
        }
    }

    /// Adds the next element.
    fn push(&mut self, element: impl std::fmt::Display, out: &mut Vec<u8>) {
        if self.channels == 1 && self.written > 0 && self.written % self.columns == 0 {
            out.extend_from_slice(b"; ");
        }
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{element} ");
        self.written += 1;
    }

    /// Ends the frame.
    pub fn finish(&self, out: &mut Vec<u8>) {
        if self.channels == 1 {
            out.extend_from_slice(b"])");
            return;
        }
        let (channels, columns, rows) = (self.channels, self.columns, self.rows);
        let _ = write!(out, "], [ {channels} {columns} {rows} ]), [ 3 2 1 ]))");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rows: u64, columns: u64, channels: u64) -> String {
        let mut out = Vec::new();
        let mut frame = Matlab::begin(rows, columns, channels, &mut out);
        for element in 0..rows * columns * channels {
            frame.push(element, &mut out);
        }
        frame.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_matrix_has_its_rows_between_semicolons() {
        assert_eq!(text(2, 3, 1), "double([ 0 1 2 ; 3 4 5 ])");
    }

    #[test]
    fn elements_are_written_as_their_type_reads_them() {
        let mut out = Vec::new();
        let mut frame = Matlab::begin(1, 4, 1, &mut out);
        frame.push_all(ElementType::I2, &[0xFF, 0xFF, 2, 0], &mut out);
        frame.push_all(ElementType::U1, &[0xFF], &mut out);
        frame.push_all(ElementType::F4, &0.5_f32.to_le_bytes(), &mut out);
        frame.finish(&mut out);
        assert_eq!(out, b"double([ -1 2 255 0.5 ])");
    }

    #[test]
    fn colours_are_a_third_dimension() {
        let expected = "double(permute(reshape([ 0 1 2 3 4 5 ], [ 3 2 1 ]), [ 3 2 1 ]))";
        assert_eq!(text(1, 2, 3), expected);
    }
}
