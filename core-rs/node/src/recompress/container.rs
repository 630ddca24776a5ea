//! The form in which a recompressed file is kept.
//!
//! ```text
//! parts, one behind the other     bytes of the file as they are, or deflated; codestreams of frames
//! table                           24 bytes a part: lengths in the file and here, checksum, what it is
//! trailer of 40 bytes             magic, how frames lie in the file, checksum of table and trailer
//! ```
//!
//! Numbers are little endian. The parts cover the file from its first byte to its last.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress};
use vna_codec::{CodecError, Codecs, Colour, EncodeOptions};
use vna_store::{BlobReader, Digest, Digester, Replacement, StoreError};

use super::Method;
use super::samples::{Layout, Range};
use crate::error::ArchiveError;

const MAGIC: [u8; 4] = *b"VNAc";
const VERSION: u8 = 1;
const PART_BYTES: usize = 24;
const TRAILER_BYTES: usize = 40;

/// Longest piece of what is no frame, in bytes: who reads a byte of it unpacks no more than this.
pub const PIECE_BYTES: usize = 256 << 10;

/// What stands at the beginning of a file is kept as it is: nearly all metadata is read from it alone.
const PLAIN_HEAD_BYTES: usize = 4 << 10;

/// Read with the trailer at once: enough for the table of most files.
const TAIL_BYTES: u64 = 4 << 10;

/// Bytes that are kept.
pub trait Stored {
    fn size(&self) -> u64;
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError>;
    /// The error that tells that they are not what was written.
    fn damage(&self) -> ArchiveError;
}

impl Stored for BlobReader {
    fn size(&self) -> u64 {
        self.stored_size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        BlobReader::read_at(self, buffer, offset)
    }

    fn damage(&self) -> ArchiveError {
        ArchiveError::Store(BlobReader::damage(self))
    }
}

impl Stored for Replacement {
    fn size(&self) -> u64 {
        Replacement::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        Replacement::read_at(self, buffer, offset)
    }

    fn damage(&self) -> ArchiveError {
        ArchiveError::Store(StoreError::Io(std::io::ErrorKind::InvalidData.into()))
    }
}

/// A piece of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where it begins in the file.
    pub plain_at: u64,
    pub plain_bytes: u64,
    /// Where what is kept of it begins.
    pub stored_at: u64,
    pub stored_bytes: u64,
    /// CRC-32C of what is kept.
    checksum: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Plain,
    Deflated,
    Frame(Range),
}

impl Part {
    /// Whether its bytes are those of the file.
    pub fn is_plain(&self) -> bool {
        self.kind == Kind::Plain
    }
}

/// What a container holds, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    method: Method,
    layout: Option<Layout>,
    parts: Vec<Part>,
}

impl Container {
    /// Reads the table; `plain_size` is the length of the file.
    ///
    /// # Errors
    ///
    /// What the store says; [`Stored::damage`] if it is none.
    pub fn open(stored: &impl Stored, plain_size: u64) -> Result<Container, ArchiveError> {
        let size = stored.size();
        let tail = size.min(TAIL_BYTES);
        let mut bytes = vec![0; usize::try_from(tail).unwrap_or(0)];
        stored.read_at(&mut bytes, size - tail)?;
        let Some(parts) = claimed_parts(&bytes) else {
            return Err(stored.damage());
        };
        // Not longer than what is kept, whatever the trailer claims.
        let needed = parts
            .checked_mul(PART_BYTES)
            .and_then(|table| table.checked_add(TRAILER_BYTES))
            .filter(|needed| *needed as u64 <= size);
        let Some(needed) = needed else {
            return Err(stored.damage());
        };
        if needed > bytes.len() {
            bytes.resize(needed, 0);
            stored.read_at(&mut bytes, size - needed as u64)?;
        }
        let bytes = &bytes[bytes.len() - needed..];
        Self::decode(bytes)
            .filter(|container| container.covers(plain_size, size - needed as u64))
            .ok_or_else(|| stored.damage())
    }

    /// Its parts, in the order of the file.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that holds the byte at `offset` of the file.
    pub fn part_at(&self, offset: u64) -> Option<usize> {
        let behind = self.parts.partition_point(|part| part.plain_at <= offset);
        let index = behind.checked_sub(1)?;
        let part = &self.parts[index];
        (offset - part.plain_at < part.plain_bytes).then_some(index)
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> u64 {
        (self.parts.len() * size_of::<Part>()) as u64
    }

    /// The bytes of the file that a part holds.
    ///
    /// # Errors
    ///
    /// What store and codecs say; [`Stored::damage`] if what is kept is not what was written.
    pub fn read_part(
        &self,
        stored: &impl Stored,
        part: &Part,
        codecs: &Codecs,
    ) -> Result<Vec<u8>, ArchiveError> {
        let length = usize::try_from(part.plain_bytes).map_err(|_| stored.damage())?;
        match (part.kind, self.layout, self.method.transfer_syntax_uid()) {
            (Kind::Plain, ..) => {
                let mut bytes = vec![0; length];
                read_checked(stored, part, &mut bytes)?;
                Ok(bytes)
            }
            (Kind::Deflated, ..) => {
                let stored_length = usize::try_from(part.stored_bytes).unwrap_or(usize::MAX);
                let mut packed = vec![0; stored_length];
                read_checked(stored, part, &mut packed)?;
                inflate(&packed, length).ok_or_else(|| stored.damage())
            }
            (Kind::Frame(range), Some(layout), Some(uid)) => {
                let mut lease = codecs.lease()?;
                read_checked(stored, part, lease.input(part.stored_bytes)?)?;
                let format = layout.format(range.bits);
                let decoded = lease.decode(uid, &format, Colour::AsStored);
                let decoded = decoded.map_err(|error| match error {
                    CodecError::Corrupt { .. } | CodecError::Mismatch { .. } => stored.damage(),
                    error => error.into(),
                })?;
                let mut native = Vec::with_capacity(length);
                layout.to_native(decoded.samples, range.lowest, &mut native);
                match native.len() == length {
                    true => Ok(native),
                    false => Err(stored.damage()),
                }
            }
            (Kind::Frame(_), ..) => Err(stored.damage()),
        }
    }

    /// The digest of the file that comes back, read from its first byte to its last.
    ///
    /// # Errors
    ///
    /// Those of [`Container::read_part`].
    pub fn digest(&self, stored: &impl Stored, codecs: &Codecs) -> Result<Digest, ArchiveError> {
        let mut digester = Digester::new();
        for part in &self.parts {
            digester.update(&self.read_part(stored, part, codecs)?);
        }
        Ok(digester.finish())
    }

    /// Whether the parts lie one behind the other and fill both sides.
    fn covers(&self, plain_size: u64, stored_size: u64) -> bool {
        let is_sound = |part: &Part| match part.kind {
            Kind::Plain => part.plain_bytes == part.stored_bytes,
            Kind::Deflated => part.plain_bytes <= PIECE_BYTES as u64,
            Kind::Frame(_) => {
                let frame_bytes = self.layout.and_then(|layout| layout.frame_bytes());
                frame_bytes == Some(part.plain_bytes)
            }
        };
        let last = self.parts.last();
        let end = last.and_then(|last| {
            let plain = last.plain_at.checked_add(last.plain_bytes)?;
            Some((plain, last.stored_at.checked_add(last.stored_bytes)?))
        });
        end.unwrap_or((0, 0)) == (plain_size, stored_size) && self.parts.iter().all(is_sound)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.parts.len() * PART_BYTES + TRAILER_BYTES);
        for part in &self.parts {
            let (kind, range) = match part.kind {
                Kind::Plain => (0, Range { lowest: 0, bits: 0 }),
                Kind::Deflated => (1, Range { lowest: 0, bits: 0 }),
                Kind::Frame(range) => (2, range),
            };
            bytes.extend_from_slice(&part.plain_bytes.to_le_bytes());
            bytes.extend_from_slice(&part.stored_bytes.to_le_bytes());
            bytes.extend_from_slice(&part.checksum.to_le_bytes());
            bytes.extend_from_slice(&[kind, range.bits]);
            bytes.extend_from_slice(&range.lowest.to_le_bytes());
        }
        let mut trailer = [0; TRAILER_BYTES];
        trailer[0..4].copy_from_slice(&MAGIC);
        trailer[4] = VERSION;
        trailer[5] = self.method.encoding().0;
        if let Some(layout) = &self.layout {
            trailer[6] = layout.samples_per_pixel;
            trailer[7] = layout.sample_bytes;
            trailer[8] = u8::from(layout.big_endian)
                | u8::from(layout.planar) << 1
                | u8::from(layout.ybr) << 2;
            trailer[12..16].copy_from_slice(&layout.rows.to_le_bytes());
            trailer[16..20].copy_from_slice(&layout.columns.to_le_bytes());
        }
        trailer[20..28].copy_from_slice(&(self.parts.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&trailer);
        let checked = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..checked]);
        bytes[checked..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads table and trailer, which `bytes` are.
    fn decode(bytes: &[u8]) -> Option<Container> {
        let (table, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER_BYTES)?)?;
        let checksum = u32::from_le_bytes(trailer[36..].try_into().ok()?);
        if checksum != crc32c::crc32c(&bytes[..bytes.len() - 4]) || trailer[4] != VERSION {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(trailer[at..at + 4].try_into().ok()?));
        let layout = Layout {
            rows: number(12)?,
            columns: number(16)?,
            samples_per_pixel: trailer[6],
            sample_bytes: trailer[7],
            big_endian: trailer[8] & 1 != 0,
            planar: trailer[8] & 2 != 0,
            ybr: trailer[8] & 4 != 0,
        };
        let is_layout =
            matches!(layout.samples_per_pixel, 1 | 3) && matches!(layout.sample_bytes, 1 | 2);
        let (mut plain_at, mut stored_at) = (0_u64, 0_u64);
        let mut parts = Vec::with_capacity(table.len() / PART_BYTES);
        for entry in table.chunks_exact(PART_BYTES) {
            let length = |at: usize| Some(u64::from_le_bytes(entry[at..at + 8].try_into().ok()?));
            let range = Range {
                bits: entry[21],
                lowest: u16::from_le_bytes([entry[22], entry[23]]),
            };
            let part = Part {
                plain_at,
                plain_bytes: length(0)?,
                stored_at,
                stored_bytes: length(8)?,
                checksum: u32::from_le_bytes(entry[16..20].try_into().ok()?),
                kind: match entry[20] {
                    0 => Kind::Plain,
                    1 => Kind::Deflated,
                    2 if is_layout => Kind::Frame(range),
                    _ => return None,
                },
            };
            plain_at = plain_at.checked_add(part.plain_bytes)?;
            stored_at = stored_at.checked_add(part.stored_bytes)?;
            parts.push(part);
        }
        Some(Container {
            method: Method::of_encoding(vna_store::Encoding(trailer[5]))?,
            layout: is_layout.then_some(layout),
            parts,
        })
    }
}

/// How many parts the trailer at the end of `bytes` says that there are.
fn claimed_parts(bytes: &[u8]) -> Option<usize> {
    let trailer = bytes.get(bytes.len().checked_sub(TRAILER_BYTES)?..)?;
    let parts = u64::from_le_bytes(trailer[20..28].try_into().ok()?);
    trailer
        .starts_with(&MAGIC)
        .then(|| usize::try_from(parts).ok())?
}

fn read_checked(stored: &impl Stored, part: &Part, buffer: &mut [u8]) -> Result<(), ArchiveError> {
    let read = stored.read_at(buffer, part.stored_at)?;
    if read as u64 != part.stored_bytes || crc32c::crc32c(buffer) != part.checksum {
        return Err(stored.damage());
    }
    Ok(())
}

fn inflate(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    Decompress::new(false)
        .decompress_vec(packed, &mut bytes, FlushDecompress::Finish)
        .ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// Writes a container.
pub struct ContainerWriter<'a> {
    into: &'a mut Replacement,
    codecs: &'a Codecs,
    container: Container,
    plain_at: u64,
}

impl<'a> ContainerWriter<'a> {
    pub fn new(
        into: &'a mut Replacement,
        codecs: &'a Codecs,
        method: Method,
        layout: Option<Layout>,
    ) -> Self {
        let container = Container {
            method,
            layout,
            parts: Vec::new(),
        };
        Self {
            into,
            codecs,
            container,
            plain_at: 0,
        }
    }

    /// Adds bytes of the file that are no frame.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let head = usize::try_from(self.plain_at).unwrap_or(usize::MAX);
            let is_head = head < PLAIN_HEAD_BYTES;
            let most = match is_head {
                true => PLAIN_HEAD_BYTES - head,
                false => PIECE_BYTES,
            };
            let (piece, behind) = rest.split_at(rest.len().min(most));
            let packed = match is_head {
                true => Vec::new(),
                false => deflate(piece),
            };
            // Unpacking must be worth it.
            match !is_head && packed.len() < piece.len() - piece.len() / 10 {
                true => self.part(piece.len(), &packed, Kind::Deflated)?,
                false => self.part(piece.len(), piece, Kind::Plain)?,
            }
            rest = behind;
        }
        Ok(())
    }

    /// Adds a frame.
    pub fn frame(&mut self, native: &[u8]) -> Result<(), ArchiveError> {
        let method = self.container.method;
        let (Some(layout), Some(uid)) = (self.container.layout, method.transfer_syntax_uid())
        else {
            return self.bytes(native);
        };
        let codecs = self.codecs;
        let mut lease = codecs.lease()?;
        let samples = lease.input(native.len() as u64)?;
        let range = layout.to_samples(native, samples);
        let format = layout.format(range.bits);
        let encoded = lease.encode(uid, &format, &EncodeOptions::default());
        match encoded {
            Ok((codestream, _)) if codestream.len() < native.len() => {
                self.part(native.len(), codestream, Kind::Frame(range))
            }
            Ok(_) | Err(CodecError::Unsupported { .. } | CodecError::Limit { .. }) => {
                drop(lease);
                self.bytes(native)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes table and trailer.
    pub fn finish(self) -> Result<Container, ArchiveError> {
        self.into.write(&self.container.encode())?;
        Ok(self.container)
    }

    fn part(&mut self, plain: usize, stored: &[u8], kind: Kind) -> Result<(), ArchiveError> {
        self.container.parts.push(Part {
            plain_at: self.plain_at,
            plain_bytes: plain as u64,
            stored_at: self.into.size(),
            stored_bytes: stored.len() as u64,
            checksum: crc32c::crc32c(stored),
            kind,
        });
        self.into.write(stored)?;
        self.plain_at += plain as u64;
        Ok(())
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_else(|_| bytes.to_vec()) // a vector takes everything
}
