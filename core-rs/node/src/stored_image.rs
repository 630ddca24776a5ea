//! The frames of a stored instance, as transcoding and pictures read them.

use std::ops::Range;
use std::sync::Arc;

use vna_codec::{CodecError, Colour, Decoded, FrameFormat, Lease};
use vna_dicom::{DataSet, DicomFile, FrameTable, ReadAt, frame_table, tags};
use vna_image::frame_format;

use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;

/// A stored instance with pixel data: its header, and where each frame is.
pub struct StoredImage {
    source: StoredBlob,
    /// The transfer syntax that it is stored in.
    pub transfer_syntax_uid: String,
    /// Its data set without the pixel data.
    pub data_set: DataSet,
    /// What its frames are.
    pub format: FrameFormat,
    /// Where they are.
    pub frames: FrameTable,
}

impl StoredImage {
    /// Reads the header and finds the frames.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Image`] if there is no image; what the store and the scanner say.
    pub fn open(reader: Arc<StoredFile>) -> Result<Self, ArchiveError> {
        let source = StoredBlob::new(reader);
        let mut file = vec![0; usize::try_from(source.size()).unwrap_or(usize::MAX)];
        source.read_at(&mut file, 0)?;
        let frames = frame_table(&file)?;
        let parsed = DicomFile::read(&file)?;
        let format = frame_format(&parsed.data_set)?;
        let mut data_set = parsed.data_set;
        data_set.remove(tags::PIXEL_DATA);
        Ok(StoredImage {
            source,
            transfer_syntax_uid: parsed.transfer_syntax_uid,
            data_set,
            format,
            frames,
        })
    }

    /// Bytes of frame `index` as stored, counted from 0: of all its fragments.
    #[must_use]
    pub fn frame_bytes(&self, index: usize) -> u64 {
        let ranges = self.frames.ranges(index);
        ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Reads frame `index` as stored into `out`, which has [`StoredImage::frame_bytes`].
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn read_frame(&self, index: usize, out: &mut [u8]) -> Result<(), ArchiveError> {
        let mut rest = out;
        for range in self.frames.ranges(index) {
            let (part, behind) = rest.split_at_mut(length(&range));
            self.source.read_at(part, range.start)?;
            rest = behind;
        }
        Ok(())
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
        if index >= self.frames.len() {
            return Err(ArchiveError::Codec(CodecError::Mismatch {
                what: "frames",
                expected: index as u64 + 1,
                found: self.frames.len() as u64,
            }));
        }
        let input = lease.input(self.frame_bytes(index))?;
        self.read_frame(index, input)?;
        Ok(lease.decode(&self.transfer_syntax_uid, &self.format, colour)?)
    }
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}
