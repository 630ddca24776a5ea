//! Another file in the place of one with encapsulated pixel data: the same instance without loss in fewer bytes.
//!
//! Before it counts, both files are read again: every frame must decode to the same samples of the same kind, and all
//! elements but those that tell how pixel data is encoded must be the same, byte by byte.

use std::sync::Arc;

use vna_codec::{Codecs, Colour, Compression, FrameFormat, Lease, pixel_syntax};
use vna_dicom::{
    DataSet, EXPLICIT_VR_LITTLE_ENDIAN, NewPixelData, PixelStream, ReadAt, Reencoded, Revision, Vr,
    tags,
};
use vna_store::{Digest, Digester, Replacement};

use super::Method;
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;
use crate::stored_image::StoredImage;
use crate::transcode::{
    PIXEL_DESCRIPTION, SpoolSettings, TranscodeOptions, Transcoded, colour_of, lost_before,
};

/// Bytes that are copied or compared at once.
const PIECE_BYTES: usize = 256 << 10;

/// What an operator allows.
#[derive(Clone, Debug)]
pub(crate) struct GivingUp {
    /// Also of what was compressed with loss: it then stays as it is decoded here and now.
    pub lossy: bool,
    /// Where encoded frames wait.
    pub spool: SpoolSettings,
}

/// Bytes as they are written, to be read again.
struct Written<'a>(&'a Replacement);

impl ReadAt for Written<'_> {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        Ok(self.0.read_at(buffer, offset)?)
    }
}

impl GivingUp {
    /// Whether it is about files in this transfer syntax.
    pub fn takes(&self, transfer_syntax_uid: &str) -> bool {
        let uid = transfer_syntax_uid.trim_end_matches(['\0', ' ']);
        match pixel_syntax(uid).map(|syntax| syntax.compression) {
            Some(Compression::Lossless) => true,
            Some(Compression::Lossy) => self.lossy,
            Some(Compression::None | Compression::Video) | None => false,
        }
    }

    /// Writes the file in the transfer syntax of `method`; false if nothing speaks for it: it is in that syntax, is none
    /// that was allowed, or the new file would have more than `most` bytes.
    pub fn write(
        &self,
        file: &Arc<StoredFile>,
        method: Method,
        most: u64,
        codecs: &Arc<Codecs>,
        into: &mut Replacement,
    ) -> Result<bool, ArchiveError> {
        let Some(uid) = method.transfer_syntax_uid() else {
            return Ok(false);
        };
        let stored = vna_dicom::transfer_syntax_uid(&StoredBlob::new(Arc::clone(file)))?;
        if !self.takes(&stored) || stored.trim_end_matches(['\0', ' ']) == uid {
            return Ok(false);
        }
        let options = TranscodeOptions {
            spool: self.spool.clone(),
            ..TranscodeOptions::default()
        };
        let mut transcoded = Transcoded::new(Arc::clone(file), uid, &options, codecs)?;
        if transcoded.length().is_none_or(|length| length > most) {
            return Ok(false);
        }
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match transcoded.read(&mut piece)? {
                0 => return Ok(true),
                count => into.write(&piece[..count])?,
            }
        }
    }

    /// Whether what was written is the same instance.
    pub fn is_same(
        file: &Arc<StoredFile>,
        written: &Replacement,
        codecs: &Codecs,
    ) -> Result<bool, ArchiveError> {
        let before = StoredImage::open(Arc::clone(file))?;
        let after = StoredImage::read(Written(written))?;
        let identity = |data_set: &DataSet| data_set.get(tags::SOP_INSTANCE_UID).cloned();
        Ok(before.frames.len() == after.frames.len()
            && identity(&before.data_set) == identity(&after.data_set)
            && rest(&before, &before)? == rest(&after, &before)?
            && frames_are_same(&before, &after, codecs)?)
    }
}

fn frames_are_same<A, B>(
    before: &StoredImage<A>,
    after: &StoredImage<B>,
    codecs: &Codecs,
) -> Result<bool, ArchiveError>
where
    A: ReadAt<Error = ArchiveError>,
    B: ReadAt<Error = ArchiveError>,
{
    let colour = colour_of(&before.transfer_syntax_uid);
    let mut samples = Vec::new();
    for index in 0..before.frames.len() {
        let mut lease = codecs.lease()?;
        let format = decode(before, index, colour, &mut lease, &mut samples)?;
        let decoded = after.decode_frame(index, Colour::AsStored, &mut lease)?;
        if comparable(decoded.format) != comparable(format) || decoded.samples != samples {
            return Ok(false);
        }
    }
    Ok(true)
}

fn decode<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    index: usize,
    colour: Colour,
    lease: &mut Lease<'_>,
    samples: &mut Vec<u8>,
) -> Result<FrameFormat, ArchiveError> {
    let decoded = image.decode_frame(index, colour, lease)?;
    samples.clear();
    samples.extend_from_slice(decoded.samples);
    Ok(decoded.format)
}

/// What makes samples the same. Bits Stored is what an encoder thought of its codestream; the header's is compared.
fn comparable(format: FrameFormat) -> FrameFormat {
    FrameFormat {
        bits_stored: format.bits_allocated,
        ..format
    }
}

/// The digest of all of an image's data set but its pixel data and what tells how that is encoded.
fn rest<S, B>(image: &StoredImage<S>, original: &StoredImage<B>) -> Result<Digest, ArchiveError>
where
    S: ReadAt<Error = ArchiveError>,
    B: ReadAt<Error = ArchiveError>,
{
    let mut without = PIXEL_DESCRIPTION.to_vec();
    without.extend(lost_before(original));
    let revision = Revision {
        without,
        pixel_data: Some(NewPixelData {
            vr: Vr::OB,
            encapsulated: false,
            length: 0,
            stream: Box::new(Nothing),
        }),
        ..Revision::default()
    };
    let mut rest = Reencoded::revised(image, EXPLICIT_VR_LITTLE_ENDIAN, revision, false)?;
    let (mut digester, mut piece) = (Digester::new(), vec![0; PIECE_BYTES]);
    loop {
        match rest.read(&mut piece)? {
            0 => return Ok(digester.finish()),
            count => digester.update(&piece[..count]),
        }
    }
}

/// Pixel data without a byte.
struct Nothing;

impl PixelStream<ArchiveError> for Nothing {
    fn read(&mut self, _: &mut [u8]) -> Result<usize, ArchiveError> {
        Ok(0)
    }
}
