//! Stored objects in other transfer syntaxes, compressed or not (PS3.5 §8, §10, §A).
//!
//! 1. An object is never held. Frames are worked on by several threads, a bounded number of them at a time; what is
//!    encoded waits in memory up to a bound and beyond it in a file without a name.
//! 2. Before the first byte is given, the length of the output is known, and that all of it can be made, but for frames
//!    behind the first of a decompression, which are decoded while they leave.
//! 3. Samples that were compressed without loss leave bit for bit, in the colours that they have. What was compressed with
//!    loss leaves in RGB, since its colour differences were subsampled anyway.
//! 4. Compression with loss makes another instance (PS3.3 §C.12.1.1.2 on SOP Instance UID, §C.7.6.1.1.5); nothing else does.

mod attributes;
mod decompressing;
mod encapsulated;
mod encoding;
mod error;
mod local;
mod lossy;
mod pipeline;
mod spool;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vna_codec::{Codecs, Colour, Compression, EncodeOptions, codec, pixel_syntax};
use vna_dicom::{DicomError, FrameProblem, ReadAt, Reencoded, Revision, is_uncompressed, tags};

use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;
use crate::stored_image::StoredImage;

pub(crate) use attributes::{PIXEL_DESCRIPTION, lost_before};
pub(crate) use encoding::encode_frame;
pub use error::TranscodeProblem;
pub use local::{LocalFile, TranscodedFile, transcode_file};
pub use spool::{Spool, SpoolSettings};

/// Tells those who compress that nobody waits for it any more. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// From now on it is so.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How an object is brought into another transfer syntax.
#[derive(Clone, Debug, Default)]
pub struct TranscodeOptions {
    /// How frames are encoded.
    pub encode: EncodeOptions,
    /// Whether compression with loss, which makes a new instance, is allowed.
    pub allow_new_uid: bool,
    /// Where encoded frames wait.
    pub spool: SpoolSettings,
    /// Whether nobody waits for it any more: what is to be compressed is then not.
    pub abandoned: Abandoned,
}

/// Whether objects go from one transfer syntax to the other. Single objects may still be such that the codec does not
/// take them: too many bits, for example.
#[must_use]
pub fn is_possible(stored_uid: &str, wanted_uid: &str) -> bool {
    let (stored, wanted) = (
        stored_uid.trim_end_matches('\0'),
        wanted_uid.trim_end_matches('\0'),
    );
    let readable = is_uncompressed(stored) || codec(stored).is_some();
    let writable = is_uncompressed(wanted) || codec(wanted).is_some_and(|codec| codec.encodes());
    stored == wanted || (readable && writable)
}

/// A stored Part 10 file on its way into another transfer syntax, read from its beginning to its end.
pub struct Transcoded<S: ReadAt<Error = ArchiveError> = StoredBlob> {
    form: Form<S>,
    transfer_syntax_uid: String,
    new_sop_instance_uid: Option<String>,
}

enum Form<S: ReadAt<Error = ArchiveError>> {
    /// As it is, or with headers written anew.
    Reencoded(Box<Reencoded<S>>),
    /// With pixel data of another kind.
    Revised(Box<Reencoded<Arc<StoredImage<S>>>>),
}

impl Transcoded {
    /// Opens a stored file to be read in `transfer_syntax_uid`.
    ///
    /// # Errors
    ///
    /// As [`Transcoded::of`].
    pub fn new(
        reader: Arc<StoredFile>,
        transfer_syntax_uid: &str,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
    ) -> Result<Self, ArchiveError> {
        let source = StoredBlob::new(reader);
        Transcoded::of(source, transfer_syntax_uid, options, codecs)
    }

    /// The same without preamble and File Meta Information, as messages have it (PS3.7 §6.3.1).
    ///
    /// # Errors
    ///
    /// As [`Transcoded::of`].
    pub fn data_set(
        reader: Arc<StoredFile>,
        transfer_syntax_uid: &str,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
    ) -> Result<Self, ArchiveError> {
        let source = StoredBlob::new(reader);
        Transcoded::data_set_of(source, transfer_syntax_uid, options, codecs)
    }
}

impl<S> Transcoded<S>
where
    S: ReadAt<Error = ArchiveError> + Clone + Send + Sync + 'static,
{
    /// Opens a Part 10 file to be read in `transfer_syntax_uid`. In the one that it has, it is read as it is. Waits for
    /// codecs; what is to be compressed has been when this returns.
    ///
    /// # Errors
    ///
    /// - [`ArchiveError::Transcode`] if there is no way.
    /// - [`ArchiveError::Codec`] if a frame cannot be decoded or encoded, [`ArchiveError::Image`] if the header does not
    ///   say what frames are.
    /// - As [`Reencoded::new`]; what `source` says.
    pub fn of(
        source: S,
        transfer_syntax_uid: &str,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
    ) -> Result<Self, ArchiveError> {
        Self::open(source, transfer_syntax_uid, options, codecs, true)
    }

    /// The same without preamble and File Meta Information, as messages have it (PS3.7 §6.3.1).
    ///
    /// # Errors
    ///
    /// As [`Transcoded::of`].
    pub fn data_set_of(
        source: S,
        transfer_syntax_uid: &str,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
    ) -> Result<Self, ArchiveError> {
        Self::open(source, transfer_syntax_uid, options, codecs, false)
    }

    fn open(
        source: S,
        to: &str,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
        with_meta: bool,
    ) -> Result<Self, ArchiveError> {
        let to = to.trim_end_matches(['\0', ' ']);
        let from = vna_dicom::transfer_syntax_uid(&source)?;
        let from = from.trim_end_matches(['\0', ' ']);
        if from == to || (is_uncompressed(from) && is_uncompressed(to)) {
            let reencoded = if with_meta {
                Reencoded::new(source, to)?
            } else {
                Reencoded::data_set(source, to)?
            };
            return Ok(Self::from_form(Form::Reencoded(Box::new(reencoded)), to));
        }
        if !is_possible(from, to) {
            return Err(ArchiveError::Transcode(TranscodeProblem::Syntax {
                from: from.to_owned(),
                to: to.to_owned(),
            }));
        }
        let image = match StoredImage::read(source.clone()) {
            // Encapsulated syntaxes are for pixel data (PS3.5 §A.4): without any there is only the header to write anew.
            Err(ArchiveError::Dicom(DicomError::Frames {
                problem: FrameProblem::NoPixelData,
                ..
            })) => {
                if !is_uncompressed(to) {
                    let to = to.to_owned();
                    return Err(ArchiveError::Transcode(TranscodeProblem::NoPixelData {
                        to,
                    }));
                }
                let revised = Reencoded::revised(source, to, Revision::default(), with_meta)?;
                return Ok(Self::from_form(Form::Reencoded(Box::new(revised)), to));
            }
            image => Arc::new(image?),
        };
        if image.pixel_data.tag != tags::PIXEL_DATA {
            let to = to.to_owned();
            return Err(ArchiveError::Transcode(TranscodeProblem::FloatPixelData {
                to,
            }));
        }
        let (revision, uid) = if is_uncompressed(to) {
            (
                decompressing::decompress(&image, to, options, codecs)?,
                None,
            )
        } else {
            encoding::encode(&image, to, options, codecs)?
        };
        let revised = Reencoded::revised(image, to, revision, with_meta)?;
        Ok(Transcoded {
            new_sop_instance_uid: uid,
            ..Self::from_form(Form::Revised(Box::new(revised)), to)
        })
    }

    fn from_form(form: Form<S>, transfer_syntax_uid: &str) -> Self {
        Transcoded {
            form,
            transfer_syntax_uid: transfer_syntax_uid.to_owned(),
            new_sop_instance_uid: None,
        }
    }
}

impl<S: ReadAt<Error = ArchiveError>> Transcoded<S> {
    /// How long the output is; `None` if it is deflated as a whole, which is known only at the end.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.form {
            Form::Reencoded(reencoded) => reencoded.length(),
            Form::Revised(revised) => revised.length(),
        }
    }

    /// The SOP Instance UID that compression with loss gave; `None` if the instance is still the same.
    #[must_use]
    pub fn sop_instance_uid(&self) -> Option<&str> {
        self.new_sop_instance_uid.as_deref()
    }

    /// The transfer syntax that it is read in.
    #[must_use]
    pub fn transfer_syntax_uid(&self) -> &str {
        &self.transfer_syntax_uid
    }

    /// Reads on; fewer bytes than `buffer` takes only at the end, where it is 0.
    ///
    /// # Errors
    ///
    /// What the source says; [`ArchiveError::Codec`] if a frame behind the first cannot be decoded.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        match &mut self.form {
            Form::Reencoded(reencoded) => reencoded.read(buffer),
            Form::Revised(revised) => revised.read(buffer),
        }
    }
}

/// The colours that frames are decoded in; see (3).
pub(crate) fn colour_of(stored_uid: &str) -> Colour {
    match pixel_syntax(stored_uid).map(|syntax| syntax.compression) {
        Some(Compression::Lossy) => Colour::Rgb,
        _ => Colour::AsStored,
    }
}

/// Whether a transfer syntax takes something away from what is compressed in it with these options.
fn loses(transfer_syntax_uid: &str, options: &EncodeOptions) -> bool {
    let compression = pixel_syntax(transfer_syntax_uid).map(|syntax| syntax.compression);
    let near_lossless = transfer_syntax_uid == JPEG_LS_NEAR_LOSSLESS;
    compression == Some(Compression::Lossy) && !(near_lossless && options.near == 0)
}

const JPEG_LS_NEAR_LOSSLESS: &str = "1.2.840.10008.1.2.4.81";
