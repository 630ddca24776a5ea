//! Arrays as NumPy reads them: the header of `.npy`, and the one-entry ZIP archive that `.npz` is.

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::{self, Write};

/// What the header is padded to, so that the elements are aligned.
const ALIGNMENT: usize = 64;

/// What stands before the dictionary: magic, version 1.0, its length.
const PREFIX_BYTES: usize = 10;

/// The header of an array in C order (NumPy's NEP 1).
pub(crate) fn npy_header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
    let shape = shape.join(", ");
    let dictionary =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (PREFIX_BYTES + dictionary.len() + 1).next_multiple_of(ALIGNMENT);
    let dictionary_bytes = length - PREFIX_BYTES;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // Four numbers and a type have some hundred bytes.
    let announced = u16::try_from(dictionary_bytes).unwrap_or(u16::MAX);
    header.extend_from_slice(&announced.to_le_bytes());
    header.extend_from_slice(dictionary.as_bytes());
    header.resize(length - 1, b' ');
    header.push(b'\n');
    header
}

/// The entry's name, as `numpy.savez` calls an array that has none.
const NAME: &[u8; NAME_BYTES as usize] = b"arr_0.npy";
const NAME_BYTES: u16 = 9;

const LOCAL_HEADER: u32 = 0x0403_4B50;
const DATA_DESCRIPTOR: u32 = 0x0807_4B50;
const CENTRAL_HEADER: u32 = 0x0201_4B50;
const END_OF_DIRECTORY: u32 = 0x0605_4B50;
const ZIP64_END: u32 = 0x0606_4B50;
const ZIP64_LOCATOR: u32 = 0x0706_4B50;

/// Sizes follow the data (APPNOTE 4.4.4, bit 3).
const SIZES_FOLLOW: u16 = 1 << 3;
const DEFLATED: u16 = 8;
/// 1 January 1980: the archive says nothing of when it was made, so that equal arrays are equal files.
const DATE: u16 = (1 << 5) | 1;
/// ZIP64 (APPNOTE 4.5.3), which all sizes are given in: one form serves arrays of any length.
const ZIP64: u16 = 45;
const ZIP64_FIELD: u16 = 1;
const IN_ZIP64: u32 = u32::MAX;

/// Packs an array that comes in pieces into a `.npz` archive.
pub(crate) struct Npz {
    deflate: DeflateEncoder<Vec<u8>>,
    crc: Crc,
    plain: u64,
    packed: u64,
    /// Bytes before the data.
    head: u64,
}

impl Npz {
    /// Begins an archive; `out` gets its first bytes.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        let before = out.len();
        put32(out, LOCAL_HEADER);
        put_entry(out);
        put32(out, 0); // CRC
        put32(out, IN_ZIP64);
        put32(out, IN_ZIP64);
        put16(out, NAME_BYTES);
        put16(out, 20); // extra field
        out.extend_from_slice(NAME);
        put16(out, ZIP64_FIELD);
        put16(out, 16);
        put64(out, 0);
        put64(out, 0);
        Npz {
            deflate: DeflateEncoder::new(Vec::new(), Compression::fast()),
            crc: Crc::new(),
            plain: 0,
            packed: 0,
            head: (out.len() - before) as u64,
        }
    }

    /// Adds bytes of the array; `out` gets what is packed by now.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.crc.update(piece);
        self.plain += piece.len() as u64;
        self.deflate.write_all(piece)?;
        self.drain(out);
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        let packed = self.deflate.get_mut();
        self.packed += packed.len() as u64;
        out.append(packed);
    }

    /// Ends the archive.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.deflate.try_finish()?;
        self.drain(out);
        put32(out, DATA_DESCRIPTOR);
        put32(out, self.crc.sum());
        put64(out, self.packed);
        put64(out, self.plain);
        let directory_at = self.head + self.packed + 24;
        let before = out.len();
        self.put_directory(out);
        let directory_bytes = (out.len() - before) as u64;
        put_end(out, directory_at, directory_bytes);
        Ok(())
    }

    fn put_directory(&self, out: &mut Vec<u8>) {
        put32(out, CENTRAL_HEADER);
        put16(out, ZIP64);
        put_entry(out);
        put32(out, self.crc.sum());
        put32(out, IN_ZIP64);
        put32(out, IN_ZIP64);
        put16(out, NAME_BYTES);
        put16(out, 20); // extra field
        put16(out, 0); // comment
        put16(out, 0); // disk
        put16(out, 0); // internal attributes
        put32(out, 0); // external attributes
        put32(out, 0); // offset of the local header
        out.extend_from_slice(NAME);
        put16(out, ZIP64_FIELD);
        put16(out, 16);
        put64(out, self.plain);
        put64(out, self.packed);
    }
}

/// What local and central header have alike: version, flags, method, time.
fn put_entry(out: &mut Vec<u8>) {
    put16(out, ZIP64);
    put16(out, SIZES_FOLLOW);
    put16(out, DEFLATED);
    put16(out, 0);
    put16(out, DATE);
}

fn put_end(out: &mut Vec<u8>, directory_at: u64, directory_bytes: u64) {
    put32(out, ZIP64_END);
    put64(out, 44); // bytes that follow
    put16(out, ZIP64);
    put16(out, ZIP64);
    put32(out, 0); // this disk
    put32(out, 0); // disk of the directory
    put64(out, 1); // entries on this disk
    put64(out, 1); // entries
    put64(out, directory_bytes);
    put64(out, directory_at);
    put32(out, ZIP64_LOCATOR);
    put32(out, 0);
    put64(out, directory_at + directory_bytes);
    put32(out, 1); // disks
    put32(out, END_OF_DIRECTORY);
    put16(out, 0);
    put16(out, 0);
    put16(out, 1);
    put16(out, 1);
    put32(out, IN_ZIP64);
    put32(out, IN_ZIP64);
    put16(out, 0); // comment
}

fn put16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_aligned_and_says_the_shape() {
        let header = npy_header("<f4", &[1, 128, 128, 1]);
        assert_eq!(header.len() % ALIGNMENT, 0);
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 128, 128, 1), }";
        assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(usize::from(header[8]) + PREFIX_BYTES, header.len());
        assert_eq!(
            &header[PREFIX_BYTES..PREFIX_BYTES + text.len()],
            text.as_bytes()
        );
        assert_eq!(header.last(), Some(&b'\n'));
    }
}
