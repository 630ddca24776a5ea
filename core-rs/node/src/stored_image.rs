//! The frames of a stored instance, as transcoding and pictures read them.
//!
//! 1. A header is held, frames are read where they are. Only of a data set that is deflated as a whole there is no "where":
//!    it is inflated first, beyond some bytes into a file without a name.
//! 2. Native samples come out little endian, each frame from its first bit on, whatever they are stored as (PS3.5 §8.1.1).

use std::ops::{Deref, Range};
use std::sync::Arc;

use vna_codec::{CodecError, Colour, Decoded, FrameFormat, Lease, Photometric};
use vna_dicom::{
    Budget, DataElement, DataSet, DicomError, EXPLICIT_VR_LITTLE_ENDIAN, Encoding, FrameProblem,
    FrameTable, ImageFile, MAX_INFLATED_BYTES, PixelData, ReadAt, Reencoded, is_uncompressed, tags,
};
use vna_image::frame_format;

use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;
use crate::transcode::{Spool, SpoolSettings};

/// Bytes that are inflated at once.
const PIECE_BYTES: usize = 64 << 10;

/// A stored instance with pixel data: its header, and where each frame is.
pub struct StoredImage<S = StoredBlob> {
    source: Source<S>,
    header: Arc<ImageHeader>,
}

/// What is read of a stored image before its frames are.
pub struct ImageHeader {
    /// The transfer syntax that it is stored in.
    pub transfer_syntax_uid: String,
    /// The elements before its pixel data. Float Pixel Data and Double Float Pixel Data are there without their value.
    pub data_set: DataSet,
    /// What its frames are.
    pub format: FrameFormat,
    /// Where they are.
    pub frames: FrameTable,
    /// The element of the pixel data.
    pub pixel_data: PixelData,
    /// Bytes of native samples that change places with their byte order.
    swap_unit: usize,
}

enum Source<S> {
    File(S),
    /// The same in Explicit VR Little Endian.
    Inflated(Spool),
}

impl StoredImage {
    /// Reads the header and finds the frames.
    ///
    /// # Errors
    ///
    /// As [`StoredImage::read`].
    pub fn open(reader: Arc<StoredFile>) -> Result<Self, ArchiveError> {
        StoredImage::read(StoredBlob::new(reader))
    }
}

impl<S: ReadAt<Error = ArchiveError>> StoredImage<S> {
    /// Reads the header of a Part 10 file and finds the frames.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Image`] if there is no image; what `source` and the scanner say: [`FrameProblem::NoPixelData`] if
    /// there is none.
    pub fn read(source: S) -> Result<Self, ArchiveError> {
        let (source, image) = match ImageFile::read(&source) {
            Err(ArchiveError::Dicom(DicomError::Frames {
                problem: FrameProblem::Deflated,
                ..
            })) => {
                let inflated = inflate(&source)?;
                let image = ImageFile::read(&inflated)?;
                let transfer_syntax_uid = vna_dicom::transfer_syntax_uid(&source)?;
                let image = ImageFile {
                    transfer_syntax_uid,
                    ..image
                };
                (Source::Inflated(inflated), image)
            }
            image => (Source::File(source), image?),
        };
        let mut data_set = image.header;
        let pixel_data = image.pixel_data;
        if pixel_data.tag != tags::PIXEL_DATA {
            data_set.insert(DataElement::new(pixel_data.tag, pixel_data.vr, []));
        }
        let mut format = frame_format(&data_set)?;
        let full = FrameFormat {
            photometric: Photometric::YbrFull,
            ..format
        };
        if let FrameTable::Native { frame_bits, .. } = image.frames
            && format.photometric == Photometric::YbrFull422
            && frame_bits == full.native_bits()?
        {
            format = full; // some writers say so and give each sample
        }
        let swap_unit = match image.encoding {
            Encoding::ExplicitBig => pixel_data.vr.unit().unwrap_or(1),
            Encoding::ExplicitLittle | Encoding::ImplicitLittle => 1,
        };
        let header = Arc::new(ImageHeader {
            transfer_syntax_uid: image.transfer_syntax_uid,
            data_set,
            format,
            frames: image.frames,
            pixel_data,
            swap_unit,
        });
        Ok(StoredImage { source, header })
    }

    /// The image whose header was read from these bytes before.
    pub(crate) fn with_header(source: S, header: Arc<ImageHeader>) -> Self {
        let source = Source::File(source);
        StoredImage { source, header }
    }

    /// Its header, to be used again; `None` if it tells of inflated bytes, which are gone then.
    pub(crate) fn header(&self) -> Option<&Arc<ImageHeader>> {
        match self.source {
            Source::File(_) => Some(&self.header),
            Source::Inflated(_) => None,
        }
    }

    /// Bytes of frame `index` as stored, counted from 0: of all its fragments.
    #[must_use]
    pub fn frame_bytes(&self, index: usize) -> u64 {
        match &self.frames {
            FrameTable::Native { frame_bits, .. } if index < self.frames.len() => {
                frame_bits.div_ceil(8)
            }
            _ => self.frames.ranges(index).iter().map(bytes).sum(),
        }
    }

    /// Reads frame `index` as stored into `out`, which has [`StoredImage::frame_bytes`]; of native frames see (2).
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn read_frame(&self, index: usize, out: &mut [u8]) -> Result<(), ArchiveError> {
        let ranges = self.frames.ranges(index);
        if let (FrameTable::Native { frame_bits, .. }, [range]) = (&self.frames, &*ranges) {
            return self.read_native(range, self.frames.first_bit(index), *frame_bits, out);
        }
        let mut rest = out;
        for range in &ranges {
            let (part, behind) = rest.split_at_mut(length(range));
            self.read_exact(part, range.start)?;
            rest = behind;
        }
        Ok(())
    }

    fn read_native(
        &self,
        range: &Range<u64>,
        first_bit: u8,
        frame_bits: u64,
        out: &mut [u8],
    ) -> Result<(), ArchiveError> {
        // Units are counted from the first byte of the value.
        let unit = self.swap_unit as u64;
        let before = (range.start - self.pixel_data.value_offset) % unit;
        if first_bit == 0 && before == 0 && bytes(range) % unit == 0 {
            self.read_exact(out, range.start)?;
            vna_dicom::swap_byte_order(out, self.swap_unit);
        } else {
            let wanted = (before + bytes(range)).next_multiple_of(unit);
            let start = range.start - before;
            let end = (start + wanted).min(self.source.size());
            let mut units = vec![0; length(&(start..end))];
            self.read_exact(&mut units, start)?;
            vna_dicom::swap_byte_order(&mut units, self.swap_unit);
            let first = length(&(0..before));
            shift(&units[first..], first_bit, out);
        }
        if let (spare @ 1.., Some(last)) = (frame_bits % 8, out.last_mut()) {
            *last &= (1 << spare) - 1; // the rest is of the next frame
        }
        Ok(())
    }

    fn read_exact(&self, out: &mut [u8], offset: u64) -> Result<(), ArchiveError> {
        let available = self.source.read_at(out, offset)?;
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

    /// Decodes frame `index` in a place for it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Codec`] if there is no such frame or it cannot be decoded; what the store says.
    pub fn decode_frame<'a>(
        &self,
        index: usize,
        colour: Colour,
        lease: &'a mut Lease<'_>,
    ) -> Result<Decoded<'a>, ArchiveError> {
        let uid = self.give_frame(index, lease)?;
        Ok(lease.decode(uid, &self.format, colour)?)
    }

    /// The same, into memory of the caller's, which is as long as the frame.
    ///
    /// # Errors
    ///
    /// As [`StoredImage::decode_frame`]; `out` is then undefined.
    pub fn decode_frame_into(
        &self,
        index: usize,
        colour: Colour,
        lease: &mut Lease<'_>,
        out: &mut [u8],
    ) -> Result<FrameFormat, ArchiveError> {
        let uid = self.give_frame(index, lease)?;
        Ok(lease.decode_into(uid, &self.format, colour, out)?)
    }

    /// Reads a frame into a lease; gives the transfer syntax that it is read in.
    fn give_frame(&self, index: usize, lease: &mut Lease<'_>) -> Result<&str, ArchiveError> {
        self.check_frame(index)?;
        let input = lease.input(self.frame_bytes(index))?;
        self.read_frame(index, input)?;
        // What is native was read in little endian.
        Ok(match &*self.transfer_syntax_uid {
            uid if is_uncompressed(uid) => EXPLICIT_VR_LITTLE_ENDIAN,
            uid => uid,
        })
    }

    /// Whether there is a frame `index`.
    pub(crate) fn check_frame(&self, index: usize) -> Result<(), ArchiveError> {
        if index < self.frames.len() {
            return Ok(());
        }
        Err(ArchiveError::Codec(CodecError::Mismatch {
            what: "frames",
            expected: index as u64 + 1,
            found: self.frames.len() as u64,
        }))
    }
}

impl<S> Deref for StoredImage<S> {
    type Target = ImageHeader;

    fn deref(&self) -> &ImageHeader {
        &self.header
    }
}

/// The file, inflated if it was deflated.
impl<S: ReadAt<Error = ArchiveError>> ReadAt for StoredImage<S> {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        self.source.read_at(buffer, offset)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> Result<Option<usize>, ArchiveError> {
        match &self.source {
            Source::File(source) => source.read_cached_at(buffer, at),
            Source::Inflated(_) => Ok(None),
        }
    }
}

impl<S: ReadAt<Error = ArchiveError>> Source<S> {
    fn size(&self) -> u64 {
        match self {
            Source::File(source) => source.size(),
            Source::Inflated(spool) => spool.size(),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match self {
            Source::File(source) => source.read_at(buffer, offset),
            Source::Inflated(spool) => spool.read_at(buffer, offset),
        }
    }
}

/// A file whose data set is deflated, in Explicit VR Little Endian.
pub(crate) fn inflate<S: ReadAt<Error = ArchiveError>>(source: &S) -> Result<Spool, ArchiveError> {
    let mut inflated = Reencoded::new(source, EXPLICIT_VR_LITTLE_ENDIAN)?;
    let length = inflated.length().unwrap_or(u64::MAX);
    if length > MAX_INFLATED_BYTES {
        let budget = Budget::Inflated;
        let offset = length;
        return Err(DicomError::Budget { budget, offset }.into());
    }
    let mut spool = Spool::new(&SpoolSettings::default());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = inflated.read(&mut piece)?;
        if count == 0 {
            return Ok(spool);
        }
        spool.append(&piece[..count])?;
    }
}

/// Moves bits so that number `first` of `bits` becomes the first one.
fn shift(bits: &[u8], first: u8, out: &mut [u8]) {
    for (index, byte) in out.iter_mut().enumerate() {
        let at = |index| u16::from(bits.get(index).copied().unwrap_or_default());
        let pair = at(index) | at(index + 1) << 8;
        *byte = (pair >> first).to_le_bytes()[0];
    }
}

fn bytes(range: &Range<u64>) -> u64 {
    range.end - range.start
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(bytes(range)).unwrap_or(usize::MAX)
}
