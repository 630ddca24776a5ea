//! To encapsulated pixel data, from native or from another compression (PS3.5 §8.2, §A.4).

use std::sync::Arc;

use vna_codec::{CodecError, Codecs, EncodeOptions, FrameFormat, Lease, Photometric, Sample};
use vna_dicom::{NewPixelData, ReadAt, Revision, Vr, is_uncompressed, tags};

use super::decompressing::same;
use super::encapsulated::EncodedFrames;
use super::lossy::{DerivedUid, derive};
use super::pipeline::Pipeline;
use super::{TranscodeOptions, TranscodeProblem, attributes, colour_of, loses};
use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

/// A frame after it was encoded.
struct Encoded {
    codestream: Vec<u8>,
    /// What its samples are, with the colours of the codestream.
    format: FrameFormat,
}

/// Encodes all frames; gives the changes, and the new SOP Instance UID if the compression lost anything.
pub(super) fn encode<S>(
    image: &Arc<StoredImage<S>>,
    to: &str,
    options: &TranscodeOptions,
    codecs: &Arc<Codecs>,
) -> Result<(Revision<ArchiveError>, Option<String>), ArchiveError>
where
    S: ReadAt<Error = ArchiveError> + Send + Sync + 'static,
{
    let loses = loses(to, &options.encode);
    let refused = |problem: fn(String) -> TranscodeProblem| {
        Err(ArchiveError::Transcode(problem(to.to_owned())))
    };
    if loses && !options.allow_new_uid {
        return refused(|to| TranscodeProblem::NewUid { to });
    }
    if loses && image.format.photometric == Photometric::PaletteColor {
        return refused(|to| TranscodeProblem::LossyPalette { to });
    }
    let result = match encode_frames(image, to, options, codecs, false)? {
        Some(result) => result,
        None => {
            encode_frames(image, to, options, codecs, true)?.ok_or_else(beyond_bits_allocated)?
        }
    };
    let EncodedImage {
        frames,
        format,
        digest,
    } = result;
    let mut revision = attributes::revision(image, &format);
    let frame_bytes = image.format.frame_bytes()?;
    let native_bytes = frame_bytes.saturating_mul(image.frames.len() as u64);
    attributes::note_former_loss(&mut revision, image, native_bytes);
    let uid = loses.then(|| digest.finish());
    if let Some(uid) = &uid {
        let bytes = (native_bytes, frames.bytes());
        derive(&mut revision, image, to, &options.encode, bytes, uid);
    }
    for table in frames.extended_offset_table().into_iter().flatten() {
        revision.elements.insert(table);
    }
    let stream = frames.into_stream();
    revision.pixel_data = Some(NewPixelData {
        vr: Vr::OB,
        encapsulated: true,
        length: stream.length,
        stream: Box::new(stream),
    });
    Ok((revision, uid))
}

/// All frames, encoded.
struct EncodedImage {
    frames: EncodedFrames,
    /// What the header has to say of them.
    format: FrameFormat,
    digest: DerivedUid,
}

/// Encodes all frames, each sample with Bits Stored or, if `wide`, with Bits Allocated; `None` if samples have more bits
/// than Bits Stored says: overlays in the spare ones, padding values.
fn encode_frames<S>(
    image: &Arc<StoredImage<S>>,
    to: &str,
    options: &TranscodeOptions,
    codecs: &Arc<Codecs>,
    wide: bool,
) -> Result<Option<EncodedImage>, ArchiveError>
where
    S: ReadAt<Error = ArchiveError> + Send + Sync + 'static,
{
    let instance = attributes::text(&image.data_set, tags::SOP_INSTANCE_UID).unwrap_or_default();
    let mut digest = DerivedUid::new(&instance, to);
    let mut frames = EncodedFrames::new(&options.spool);
    let mut first: Option<FrameFormat> = None;
    let pipeline = start(image, to, options, codecs, wide)?;
    for index in 0.. {
        let Some(frame) = pipeline.next() else { break };
        let Some(frame) = frame? else { return Ok(None) };
        same(first.get_or_insert(frame.format), &frame.format, index)?;
        digest.update(&frame.codestream);
        frames.append(&frame.codestream)?;
    }
    let format = first.unwrap_or(image.format);
    Ok(Some(EncodedImage {
        frames,
        format,
        digest,
    }))
}

fn start<S>(
    image: &Arc<StoredImage<S>>,
    to: &str,
    options: &TranscodeOptions,
    codecs: &Arc<Codecs>,
    wide: bool,
) -> Result<Pipeline<Option<Encoded>>, ArchiveError>
where
    S: ReadAt<Error = ArchiveError> + Send + Sync + 'static,
{
    let parallel = codecs.settings().parallel;
    let frame_bytes = image.format.frame_bytes()?.max(1);
    // What waits is encoded, and seldom longer than what it was made of.
    let (window, lent) = options.spool.window(frame_bytes, 2 * parallel);
    let (image, codecs) = (Arc::clone(image), Arc::clone(codecs));
    let (to, encode) = (to.to_owned(), options.encode);
    let frames = image.frames.len();
    let abandoned = options.abandoned.clone();
    Pipeline::start(0, frames, parallel, (window, Some(lent)), move |index| {
        if abandoned.is_so() {
            return Err(ArchiveError::Transcode(TranscodeProblem::Abandoned));
        }
        encode_one(&image, index, &to, &encode, wide, &codecs)
    })
}

/// Encodes one frame by itself, whatever becomes of the others; with the bits that its samples have.
///
/// # Errors
///
/// [`ArchiveError::Codec`] if there is no such frame or it cannot be decoded or encoded; what the store says.
pub(crate) fn encode_frame<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    index: usize,
    to: &str,
    options: &EncodeOptions,
    codecs: &Codecs,
) -> Result<Vec<u8>, ArchiveError> {
    let narrow = encode_one(image, index, to, options, false, codecs)?;
    let encoded = match narrow {
        None => encode_one(image, index, to, options, true, codecs)?,
        encoded => encoded,
    };
    encoded
        .map(|encoded| encoded.codestream)
        .ok_or_else(beyond_bits_allocated)
}

fn beyond_bits_allocated() -> ArchiveError {
    ArchiveError::Codec(CodecError::Unsupported {
        what: "samples beyond Bits Allocated".to_owned(),
    })
}

/// Encodes a frame; `None` as [`encode_frames`].
fn encode_one<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    index: usize,
    to: &str,
    options: &EncodeOptions,
    wide: bool,
    codecs: &Codecs,
) -> Result<Option<Encoded>, ArchiveError> {
    let mut lease = codecs.lease()?;
    let (mut samples, is_exact) = take_samples(image, index, &mut lease)?;
    if !is_exact && !wide {
        return Ok(None);
    }
    // Without loss, only the colours may be others.
    let mut format = attributes::with_stored_bits(&samples, &image.format);
    if wide {
        samples.bits_stored = samples.bits_allocated;
    }
    let (codestream, encoded) = lease.encode(to, &samples, options)?;
    if loses(to, options) {
        format = encoded;
    }
    format.photometric = encoded.photometric;
    format.planar = false;
    Ok(Some(Encoded {
        codestream: codestream.to_vec(),
        format,
    }))
}

/// Puts the interleaved samples of a frame into the input of a lease. Gives what they are, and whether they are what Bits
/// Stored says.
fn take_samples<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    index: usize,
    lease: &mut Lease<'_>,
) -> Result<(FrameFormat, bool), ArchiveError> {
    let stored = &image.format;
    let is_subsampled = matches!(
        stored.photometric,
        Photometric::YbrFull422 | Photometric::YbrPartial422 | Photometric::YbrPartial420
    );
    let is_native = is_uncompressed(&image.transfer_syntax_uid);
    if is_native && !stored.planar && !is_subsampled {
        image.check_frame(index)?;
        let input = lease.input(image.frame_bytes(index))?;
        image.read_frame(index, input)?;
        return Ok((*stored, fits(stored, input)));
    }
    let colour = colour_of(&image.transfer_syntax_uid);
    let decoded = image.decode_frame(index, colour, lease)?;
    let format = decoded.format;
    // Some codestreams are of more bits than their samples have and the header says.
    let said = FrameFormat {
        bits_stored: stored.bits_stored.min(format.bits_stored),
        ..format
    };
    let (format, fits) = if fits(&said, decoded.samples) {
        (said, true)
    } else {
        (format, fits(&format, decoded.samples))
    };
    lease.output_as_input();
    Ok((format, fits))
}

/// Whether no sample has other bits than Bits Stored says: beyond them are zeros, or copies of its sign.
fn fits(format: &FrameFormat, samples: &[u8]) -> bool {
    let (allocated, stored) = (format.bits_allocated, format.bits_stored);
    if stored >= allocated || stored == 0 {
        return true;
    }
    let signed = format.sample == Sample::Signed;
    let first_spare = u32::from(if signed { stored - 1 } else { stored });
    let spare = u32::from(allocated) - first_spare;
    let all_ones = u32::MAX >> (32 - spare.min(32));
    let fits = |sample: u32| {
        let beyond = sample >> first_spare;
        beyond == 0 || (signed && beyond == all_ones)
    };
    // No early return: that many samples at once are looked at is worth more.
    match allocated {
        8 => samples
            .iter()
            .fold(true, |all, byte| all & fits(u32::from(*byte))),
        16 => samples.chunks_exact(2).fold(true, |all, word| {
            all & fits(u32::from(u16::from_le_bytes([word[0], word[1]])))
        }),
        32 => samples.chunks_exact(4).fold(true, |all, word| {
            all & fits(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        }),
        _ => true,
    }
}
