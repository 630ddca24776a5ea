//! Unpacks gzip, zlib and deflate streams as their bytes come (RFC 1950 to 1952).
//!
//! (1) What comes out is handed on a piece at a time: memory does not grow with the stream.
//! (2) What comes out is bounded in relation to what went in, before it is handed on.

use flate2::{Decompress, FlushDecompress, Status};

use super::error::UploadError;
use crate::error::ArchiveError;

/// Bytes inflated at once.
const PIECE: usize = 64 << 10;

/// So many bytes may come of any input: a few black rows deflate very well.
const FREE_BYTES: u64 = 1 << 20;

/// The largest window that a stream may refer back to (RFC 1951), as a power of two.
const WINDOW_BITS: u8 = 15;

/// Bytes of the length before a zlib stream.
const LENGTH_BYTES: usize = 8;

/// Whether a file begins as Orthanc stores it with StorageCompression: its length, little endian, and a zlib stream
/// (RFC 1950 §2.2) with the window that all write.
pub(super) fn is_zlib_behind_length(start: &[u8]) -> bool {
    match start.get(LENGTH_BYTES..LENGTH_BYTES + 2) {
        Some(&[cmf, flags]) => {
            let sum = u16::from_be_bytes([cmf, flags]);
            cmf == 0x78 && flags & 0x20 == 0 && sum % 31 == 0
        }
        _ => false,
    }
}

/// What takes the inflated bytes, a piece at a time.
pub(crate) type Taker<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>;

/// One stream.
pub(crate) struct Inflater {
    stream: Decompress,
    is_gzip: bool,
    /// Whether the stream, or the last member of it, has ended.
    has_ended: bool,
    taken: u64,
    given: u64,
    max_ratio: u64,
    /// Bytes before the stream that are still to come.
    to_skip: usize,
    piece: Box<[u8]>,
}

impl Inflater {
    /// For a gzip stream of one or more members.
    pub(super) fn gzip(max_ratio: u64) -> Self {
        Self::of(Decompress::new_gzip(WINDOW_BITS), true, max_ratio)
    }

    /// For a zlib stream behind its length, as Orthanc stores files with StorageCompression.
    pub(super) fn zlib(max_ratio: u64) -> Self {
        Self {
            to_skip: LENGTH_BYTES,
            ..Self::of(Decompress::new(true), false, max_ratio)
        }
    }

    /// For a raw deflate stream, as the entries of a ZIP archive are.
    pub(super) fn deflate(max_ratio: u64) -> Self {
        Self::of(Decompress::new(false), false, max_ratio)
    }

    fn of(stream: Decompress, is_gzip: bool, max_ratio: u64) -> Self {
        Self {
            stream,
            is_gzip,
            has_ended: false,
            taken: 0,
            given: 0,
            max_ratio,
            to_skip: 0,
            piece: vec![0; PIECE].into(),
        }
    }

    /// Takes the next part and hands on what it makes. `packed` is how many bytes have come in so far for all of
    /// this, which is less than was taken here if this stream was itself packed.
    pub(crate) fn push(
        &mut self,
        mut part: &[u8],
        packed: u64,
        taker: Taker<'_>,
    ) -> Result<(), ArchiveError> {
        let skipped = self.to_skip.min(part.len());
        self.to_skip -= skipped;
        part = &part[skipped..];
        loop {
            if self.has_ended {
                let padding = part.iter().take_while(|byte| **byte == 0).count();
                part = &part[padding..];
                if part.is_empty() {
                    return Ok(());
                }
                if !self.is_gzip {
                    return Err(self.damaged());
                }
                self.stream = Decompress::new_gzip(WINDOW_BITS);
                self.has_ended = false;
            }
            let (used, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(part, &mut self.piece, FlushDecompress::None)
                .map_err(|_| self.damaged())?;
            let used = self.stream.total_in() - used;
            let made = self.stream.total_out() - made;
            self.taken += used;
            self.given += made;
            self.has_ended = status == Status::StreamEnd;
            part = &part[index(used)..];
            self.check_ratio(packed)?;
            taker(&self.piece[..index(made)])?;
            if used == 0 && made == 0 && !self.has_ended {
                // It has all that there is, and waits for more.
                return match part.is_empty() {
                    true => Ok(()),
                    false => Err(self.damaged()),
                };
            }
        }
    }

    /// All parts were given.
    pub(crate) fn finish(&self) -> Result<(), UploadError> {
        match self.has_ended {
            true => Ok(()),
            false => Err(UploadError::Gzip {
                is_cut: true,
                offset: self.taken,
            }),
        }
    }

    fn check_ratio(&self, packed: u64) -> Result<(), UploadError> {
        let allowed = packed
            .saturating_mul(self.max_ratio)
            .saturating_add(FREE_BYTES);
        match self.given > allowed {
            true => Err(UploadError::Ratio {
                packed,
                limit: self.max_ratio,
            }),
            false => Ok(()),
        }
    }

    fn damaged(&self) -> ArchiveError {
        UploadError::Gzip {
            is_cut: false,
            offset: self.taken,
        }
        .into()
    }
}

/// A count of bytes that are in memory.
fn index(count: u64) -> usize {
    usize::try_from(count).expect("fits memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(packed: &[u8], piece: usize, ratio: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut inflater = Inflater::gzip(ratio);
        let (mut out, mut taken) = (Vec::new(), 0);
        for part in packed.chunks(piece) {
            taken += part.len() as u64;
            inflater.push(part, taken, &mut |made| {
                out.extend_from_slice(made);
                Ok(())
            })?;
        }
        inflater.finish()?;
        Ok(out)
    }

    #[test]
    fn members_one_behind_the_other_make_one_stream_however_they_are_cut() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let mut packed = [gzip(&bytes[..300_000]), gzip(&bytes[300_000..])].concat();
        packed.extend([0; 512]); // as tapes pad it
        for piece in [1, 7, 4096, packed.len()] {
            assert!(inflate(&packed, piece, 1000).unwrap() == bytes, "{piece}");
        }
    }

    #[test]
    fn what_orthanc_compressed_is_known_and_read_however_it_is_cut() {
        let bytes: Vec<u8> = (0..9_000u32).flat_map(u32::to_le_bytes).collect();
        for level in [
            Compression::none(),
            Compression::fast(),
            Compression::best(),
        ] {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(&bytes).unwrap();
            let length = (bytes.len() as u64).to_le_bytes();
            let packed = [&length[..], &encoder.finish().unwrap()].concat();
            assert!(is_zlib_behind_length(&packed));
            for piece in [1, 7, 9, packed.len()] {
                let mut inflater = Inflater::zlib(1000);
                let mut out = Vec::new();
                for part in packed.chunks(piece) {
                    let taken = packed.len() as u64;
                    let mut take = |made: &[u8]| {
                        out.extend_from_slice(made);
                        Ok(())
                    };
                    inflater.push(part, taken, &mut take).unwrap();
                }
                inflater.finish().unwrap();
                assert!(out == bytes, "{piece}");
            }
        }
        // A data set without preamble and meta header: (0008,0005), ISO_IR 100.
        assert!(!is_zlib_behind_length(
            b"\x08\x00\x05\x00\x0A\x00\x00\x00ISO_IR 100"
        ));
        assert!(!is_zlib_behind_length(b"short"));
    }

    #[test]
    fn a_stream_that_is_cut_or_damaged_says_where() {
        let packed = gzip(&[7; 5000]);
        let code = |packed: &[u8]| inflate(packed, 100, 1000).unwrap_err().code();
        assert_eq!(code(&packed[..packed.len() - 1]), "gzip.truncated");
        assert_eq!(code(&[]), "gzip.truncated");
        assert_eq!(code(b"no gzip"), "gzip.invalid");
        let mut damaged = packed.clone();
        let crc = packed.len() - 8;
        damaged[crc] ^= 1;
        assert_eq!(code(&damaged), "gzip.invalid");
        assert_eq!(code(&[packed, b"more".to_vec()].concat()), "gzip.invalid");
    }

    #[test]
    fn what_makes_too_much_of_little_is_refused_before_it_is_handed_on() {
        let packed = gzip(&vec![0; 20 << 20]);
        let mut got = 0;
        let mut inflater = Inflater::gzip(100);
        let error = inflater
            .push(&packed, packed.len() as u64, &mut |made| {
                got += made.len() as u64;
                Ok(())
            })
            .unwrap_err();
        assert_eq!(error.code(), "uploads.max_ratio");
        assert!(got <= FREE_BYTES + 100 * packed.len() as u64);
    }
}
