//! Frames as they are stored.

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use vna_codec::pixel_syntax;
use vna_dicom::{DicomError, EXPLICIT_VR_BIG_ENDIAN, FrameProblem, FrameTable, ReadAt};
use vna_index::Located;

use super::opened::{absence, no_image, refuse_frames_elsewhere};
use super::problem::PictureProblem;
use super::render::PictureSource;
use super::room::Lent;
use super::stream::{MadeStream, Maker};
use super::{Pictures, blocking};
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;
use crate::stored_image::StoredImage;

/// Bytes that are compressed at once.
const PIECE_BYTES: usize = 256 << 10;

/// How many frames the header of an instance promises, 1 if it says nothing. A video is one stream, and no file has more
/// frames than bytes.
#[must_use]
pub fn promised_frames(located: &Located) -> u64 {
    if is_video(located) {
        return 1;
    }
    u64::from(located.number_of_frames)
        .min(located.file_size)
        .max(1)
}

pub(crate) fn is_video(located: &Located) -> bool {
    let syntax = pixel_syntax(&located.transfer_syntax_uid);
    syntax.is_some_and(|syntax| syntax.compression == vna_codec::Compression::Video)
}

/// A frame as it is stored: its native samples in little endian, or its codestream, of all fragments. Of a video it is the
/// whole stream.
#[derive(Clone)]
pub struct StoredFrame {
    source: Arc<dyn ReadAt<Error = ArchiveError> + Send + Sync>,
    bytes: Bytes,
    length: u64,
    /// Bytes that change places on the way to little endian; 1: none.
    swap_unit: usize,
}

/// Where its bytes are.
#[derive(Clone)]
enum Bytes {
    /// In the file, as they are.
    Stored(Vec<Range<u64>>),
    /// Here: in the file they are in another order, or do not begin with a byte.
    Held(Arc<(Vec<u8>, Lent)>),
}

impl StoredFrame {
    /// Any value of a stored file, in little endian.
    pub(crate) fn of_value(file: Arc<StoredFile>, range: Range<u64>, swap_unit: usize) -> Self {
        StoredFrame {
            source: Arc::new(StoredBlob::new(file)),
            length: range.end - range.start,
            bytes: Bytes::Stored(vec![range]),
            swap_unit,
        }
    }

    /// How long it is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads at `offset` of it; fewer bytes than `length` only at its end.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads at `offset` of it, as much as `out` takes; less only at its end. Gives how much it was.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn read_into(&self, offset: u64, out: &mut [u8]) -> Result<usize, ArchiveError> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        let out = &mut out[..wanted];
        if self.swap_unit > 1 {
            // Units are counted from the first byte of the value.
            let before = usize::try_from(offset % self.swap_unit as u64).unwrap_or(0);
            let units = (before + wanted).next_multiple_of(self.swap_unit);
            let mut units = vec![0; units.min(before + left)];
            self.read_stored(offset - before as u64, &mut units)?;
            vna_dicom::swap_byte_order(&mut units, self.swap_unit);
            out.copy_from_slice(&units[before..before + wanted]);
            return Ok(wanted);
        }
        self.read_stored(offset, out)?;
        Ok(wanted)
    }

    /// The same if it need not wait; `None` if it would have to.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn read_cached_into(
        &self,
        offset: u64,
        out: &mut [u8],
    ) -> Result<Option<usize>, ArchiveError> {
        // What is in pieces, or is to be turned, is for who has time.
        let Bytes::Stored(ranges) = &self.bytes else {
            return Ok(None);
        };
        let ([range], 1) = (ranges.as_slice(), self.swap_unit) else {
            return Ok(None);
        };
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        let out = &mut out[..wanted];
        let read = self.source.read_cached_at(out, range.start + offset)?;
        Ok(read.filter(|read| *read == wanted))
    }

    /// Fills `out` with what is there.
    fn read_stored(&self, offset: u64, out: &mut [u8]) -> Result<(), ArchiveError> {
        let mut rest = out;
        let ranges = match &self.bytes {
            Bytes::Held(held) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                let held = held.0.get(at..).and_then(|held| held.get(..rest.len()));
                rest.copy_from_slice(held.unwrap_or_default());
                return Ok(());
            }
            Bytes::Stored(ranges) => ranges,
        };
        let mut skip = offset;
        for range in ranges {
            let available = range.end - range.start;
            if skip >= available {
                skip -= available;
                continue;
            }
            let here = usize::try_from(available - skip).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at_mut(here.min(rest.len()));
            read_exact(&*self.source, part, range.start + skip)?;
            (skip, rest) = (0, behind);
        }
        Ok(())
    }
}

fn read_exact(
    source: &dyn ReadAt<Error = ArchiveError>,
    out: &mut [u8],
    offset: u64,
) -> Result<(), ArchiveError> {
    let available = source.read_at(out, offset)?;
    if available == out.len() {
        return Ok(());
    }
    Err(DicomError::Truncated {
        what: "pixel data",
        offset,
        needed: out.len() as u64,
        available: available as u64,
    }
    .into())
}

/// A frame whose bytes stand in the file as they are given; `None` if they do not.
pub(crate) fn stored_bytes(image: &Arc<StoredImage>, index: usize) -> Option<StoredFrame> {
    is_as_stored(image, index).then(|| StoredFrame {
        bytes: Bytes::Stored(image.frames.ranges(index)),
        length: image.frame_bytes(index),
        source: Arc::clone(image) as _,
        swap_unit: 1,
    })
}

/// Whether the bytes of a frame stand in the file as they are given.
fn is_as_stored(image: &StoredImage, index: usize) -> bool {
    match &image.frames {
        FrameTable::Native { frame_bits, .. } => {
            let is_little_endian = image.transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN;
            is_little_endian && image.frames.first_bit(index) == 0 && frame_bits % 8 == 0
        }
        FrameTable::Encapsulated { .. } => true,
    }
}

impl Pictures {
    /// Frame `frame` of an instance as it is stored.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Picture`] says why there is none; what the store and the scanner say.
    pub async fn stored_frame(
        self: &Arc<Self>,
        source: PictureSource,
        frame: u64,
    ) -> Result<StoredFrame, ArchiveError> {
        if is_video(&source.located) {
            if frame > 0 {
                return Err(PictureProblem::NoSuchFrame { frame, frames: 1 }.into());
            }
            return blocking(move || video(&source.located, source.reader)).await;
        }
        let (image, index) = blocking(move || open(source, frame)).await?;
        if let Some(stored) = stored_bytes(&image, index) {
            return Ok(stored);
        }
        let length = image.frame_bytes(index);
        let lent = self.room.lend(length).await?;
        self.on_a_place(move || {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            image.read_frame(index, &mut bytes)?;
            let bytes = Bytes::Held(Arc::new((bytes, lent)));
            Ok(StoredFrame {
                source: image,
                bytes,
                length,
                swap_unit: 1,
            })
        })
        .await
    }
}

/// Fragments of a video: each holds up to 4 GB, or in the fragmentable syntaxes some part of a second.
const MAX_FRAGMENTS: usize = 1 << 20;

/// The stream of a video: all its fragments, behind the item of the offset table (PS3.5 §A.4).
///
/// # Errors
///
/// [`PictureProblem::NoImage`]; [`FrameProblem::Undecidable`] if the fragments do not follow each other to their end; what
/// the store says.
pub(crate) fn video(
    located: &Located,
    reader: Arc<StoredFile>,
) -> Result<StoredFrame, ArchiveError> {
    let file = StoredBlob::new(reader);
    let element = located.pixel_data_offset;
    let element = element.ok_or_else(|| no_image(&located.sop_class_uid))?;
    // Explicit VR, Little Endian: tag, VR, two bytes, length; then items, each a tag and its length.
    let mut at = element + 12;
    let mut ranges = Vec::new();
    loop {
        let mut header = [0; 8];
        read_exact(&file, &mut header, at)?;
        let [a, b, c, d, length @ ..] = header;
        at += 8;
        match [a, b, c, d] {
            ITEM => {
                let end = at + u64::from(u32::from_le_bytes(length));
                if end > file.size() || ranges.len() > MAX_FRAGMENTS {
                    return Err(undecidable(element));
                }
                ranges.push(at..end);
                at = end;
            }
            SEQUENCE_DELIMITATION => break,
            _ => return Err(undecidable(element)),
        }
    }
    let ranges = ranges.split_off(1.min(ranges.len()));
    Ok(StoredFrame {
        length: ranges.iter().map(|range| range.end - range.start).sum(),
        bytes: Bytes::Stored(ranges),
        source: Arc::new(file),
        swap_unit: 1,
    })
}

/// (FFFE,E000) and (FFFE,E0DD) in little endian.
const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const SEQUENCE_DELIMITATION: [u8; 4] = [0xFE, 0xFF, 0xDD, 0xE0];

fn undecidable(offset: u64) -> ArchiveError {
    let problem = FrameProblem::Undecidable;
    DicomError::Frames { problem, offset }.into()
}

fn open(source: PictureSource, frame: u64) -> Result<(Arc<StoredImage>, usize), ArchiveError> {
    let located = &source.located;
    refuse_frames_elsewhere(&located.transfer_syntax_uid)?;
    let image = StoredImage::open(source.reader);
    let image = image.map_err(|error| absence(error, &located.sop_class_uid))?;
    let frames = image.frames.len() as u64;
    let index = usize::try_from(frame).ok().filter(|_| frame < frames);
    let index = index.ok_or(PictureProblem::NoSuchFrame { frame, frames })?;
    Ok((Arc::new(image), index))
}

impl StoredFrame {
    /// The frame, compressed with gzip.
    #[must_use]
    pub fn gzip(self) -> MadeStream {
        MadeStream::new(GzipMaker {
            frame: self,
            at: 0,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        })
    }
}

struct GzipMaker {
    frame: StoredFrame,
    at: u64,
    /// `None` at the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Maker for GzipMaker {
    fn length(&self) -> Option<u64> {
        None
    }

    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        let failed = |source| ArchiveError::Io {
            doing: "compressing a frame",
            source,
        };
        let Some(encoder) = &mut self.encoder else {
            return Ok(false);
        };
        let piece = self.frame.read(self.at, PIECE_BYTES)?;
        if !piece.is_empty() {
            self.at += piece.len() as u64;
            encoder.write_all(&piece).map_err(failed)?;
            out.append(encoder.get_mut());
        } else if let Some(encoder) = self.encoder.take() {
            out.extend(encoder.finish().map_err(failed)?);
        }
        Ok(true)
    }
}
