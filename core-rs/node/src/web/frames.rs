//! Frames as parts: as they are stored by one positioned read, decoded, or encoded in the transfer syntax that was chosen.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use vna_codec::EncodeOptions;
use vna_dicom::{DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, FrameTable, is_uncompressed};
use vna_index::Located;

use super::Form;
use super::parts::{Body, Part};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::kept::Kept;
use crate::pictures::headers::{FormOfBlob, cost, form_of};
use crate::pictures::{
    Lent, PictureProblem, Pictures, StoredFrame, absence, blocking, is_video,
    refuse_frames_elsewhere, stored_bytes, video,
};
use crate::reencode::{HeadAtHand, StoredBlob};
use crate::stored_file::StoredFile;
use crate::stored_image::{ImageHeader, StoredImage};
use crate::transcode::{colour_of, encode_frame};

/// Headers and frame tables of images of several frames, which are asked for again and again.
pub(super) type FrameTables = Kept<FormOfBlob, Arc<ImageHeader>>;

/// The frames of one instance.
#[derive(Clone)]
pub(super) enum Frames {
    Image(Arc<StoredImage>),
    /// A video is one stream.
    Video(StoredFrame),
}

impl Frames {
    /// Opens an instance. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Picture`] if it has no frames; what the store and the scanner say.
    pub fn open(
        located: &Located,
        reader: Arc<StoredFile>,
        tables: &FrameTables,
    ) -> Result<Frames, ArchiveError> {
        if is_video(located) {
            return video(located, reader).map(Frames::Video);
        }
        refuse_frames_elsewhere(&located.transfer_syntax_uid)?;
        let form = form_of(reader.blob());
        if let Some(header) = tables.get(&form) {
            let source = StoredBlob::new(reader);
            return Ok(Frames::Image(Arc::new(StoredImage::with_header(
                source, header,
            ))));
        }
        let image = StoredImage::open(reader);
        let image = image.map_err(|error| absence(error, &located.sop_class_uid))?;
        if image.frames.len() > 1
            && let Some(header) = image.header()
        {
            tables.keep(form, Arc::clone(header), cost(header));
        }
        Ok(Frames::Image(Arc::new(image)))
    }

    /// The same if it need not wait, and takes no time; `None` if it would have to, or fails.
    pub fn at_hand(
        located: &Located,
        reader: &Arc<StoredFile>,
        tables: &FrameTables,
    ) -> Option<Frames> {
        let syntax = located.transfer_syntax_uid.as_str();
        if is_video(located) || syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            return None;
        }
        refuse_frames_elsewhere(syntax).ok()?;
        let source = StoredBlob::new(Arc::clone(reader));
        let header = match tables.get(&form_of(reader.blob())) {
            Some(kept) => kept,
            None if located.number_of_frames > 1 => return None,
            None => {
                let image = StoredImage::read(HeadAtHand::new(source.clone())).ok()?;
                Arc::clone(image.header()?)
            }
        };
        let image = StoredImage::with_header(source, header);
        Some(Frames::Image(Arc::new(image)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Frames::Image(image) => image.frames.len(),
            Frames::Video(_) => 1,
        }
    }

    /// Bytes of a frame as it is stored.
    pub fn stored_bytes(&self, index: usize) -> u64 {
        match self {
            Frames::Image(image) => image.frame_bytes(index),
            Frames::Video(stream) => stream.length(),
        }
    }

    /// Whether its frames are native.
    fn is_native(&self) -> bool {
        match self {
            Frames::Image(image) => matches!(image.frames, FrameTable::Native { .. }),
            Frames::Video(_) => false,
        }
    }
}

/// A frame that is opened when its turn has come.
pub(super) struct Turn {
    pictures: Arc<Pictures>,
    frames: Frames,
    index: usize,
    /// As it is stored, if not said otherwise.
    to: Option<String>,
}

impl Turn {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// What store and codecs say; [`PictureProblem::Busy`] if others hold the memory that it takes.
    pub async fn open(self) -> Result<Body, ArchiveError> {
        let image = match self.frames {
            Frames::Video(stream) => return Ok(Body::Stored(stream)),
            Frames::Image(image) => image,
        };
        let index = self.index;
        image.check_frame(index)?;
        let Some(to) = self.to.filter(|to| !is_in(&image, to)) else {
            if let Some(stored) = stored_bytes(&image, index) {
                return Ok(Body::Stored(stored));
            }
            let length = image.frame_bytes(index);
            let lent = self.pictures.lend(length).await?;
            let read = move || {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                image.read_frame(index, &mut bytes)?;
                Ok(bytes)
            };
            return Ok(held(self.pictures.on_a_place(read).await?, lent));
        };
        // What comes of it is seldom longer.
        let expected = image.format.frame_bytes()?.max(image.frame_bytes(index));
        let lent = self.pictures.lend(expected).await?;
        let codecs = Arc::clone(self.pictures.codecs());
        let make = move || {
            if is_uncompressed(&to) {
                let mut lease = codecs.lease()?;
                let colour = colour_of(&image.transfer_syntax_uid);
                return Ok(image
                    .decode_frame(index, colour, &mut lease)?
                    .samples
                    .to_vec());
            }
            let options = EncodeOptions::default();
            encode_frame(&image, index, &to, &options, &codecs)
        };
        Ok(held(self.pictures.on_a_place(make).await?, lent))
    }
}

/// Whether frames are in a transfer syntax as they are given: all native ones are in little endian.
fn is_in(image: &StoredImage, to: &str) -> bool {
    let stored = &*image.transfer_syntax_uid;
    stored == to || (is_uncompressed(stored) && is_uncompressed(to))
}

fn held(bytes: Vec<u8>, lent: Lent) -> Body {
    Body::Held(Bytes::from_owner(Held { bytes, _lent: lent }))
}

/// Bytes, with the memory that they hold of all there is.
struct Held {
    bytes: Vec<u8>,
    _lent: Lent,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Frames of one instance, each a part, in the order in which they were asked for.
pub(super) struct FrameParts {
    archive: Arc<Archive>,
    frames: Frames,
    /// Where the instance is.
    location: String,
    form: Form,
    /// Counted from 0.
    wanted: VecDeque<usize>,
    count: usize,
}

impl FrameParts {
    /// Frames `numbers`, counted from 1; all of them if none is named.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::NoSuchFrameNumber`].
    pub fn new(
        archive: Arc<Archive>,
        frames: Frames,
        numbers: &[u64],
        location: String,
        form: Form,
    ) -> Result<Self, ArchiveError> {
        let there_are = frames.len();
        let index = |number: &u64| {
            let index = number
                .checked_sub(1)
                .and_then(|index| usize::try_from(index).ok());
            index.filter(|index| *index < there_are).ok_or({
                let (number, frames) = (*number, there_are as u64);
                ArchiveError::Picture(PictureProblem::NoSuchFrameNumber { number, frames })
            })
        };
        let wanted: VecDeque<usize> = match numbers {
            [] => (0..there_are).collect(),
            numbers => numbers.iter().map(index).collect::<Result<_, _>>()?,
        };
        Ok(FrameParts {
            archive,
            frames,
            location,
            form,
            count: wanted.len(),
            wanted,
        })
    }

    /// Whether it is one part.
    pub fn is_one(&self) -> bool {
        self.count == 1
    }

    /// Types, places and lengths of the parts, if all leave as they are stored.
    pub fn outline(&self) -> Option<Vec<(String, String, u64)>> {
        if !self.is_as_stored() {
            return None;
        }
        let part = |index: &usize| {
            let length = self.frames.stored_bytes(*index);
            (
                self.form.content_type.clone(),
                self.location_of(*index),
                length,
            )
        };
        Some(self.wanted.iter().map(part).collect())
    }

    fn is_as_stored(&self) -> bool {
        match (&self.form.transfer_syntax, &self.frames) {
            (None, _) | (_, Frames::Video(_)) => true,
            (Some(to), Frames::Image(image)) => is_in(image, to),
        }
    }

    fn location_of(&self, index: usize) -> String {
        if self.location.is_empty() {
            return String::new();
        }
        format!("{}/frames/{}", self.location, index + 1)
    }

    fn turn(&self, index: usize) -> Turn {
        Turn {
            pictures: Arc::clone(self.archive.pictures()),
            frames: self.frames.clone(),
            index,
            to: self.form.transfer_syntax.clone(),
        }
    }

    /// The next part.
    pub async fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        let Some(index) = self.wanted.pop_front() else {
            return Ok(None);
        };
        let body = self.turn(index).open().await?;
        let length = match &body {
            Body::Stored(frame) => Some(frame.length()),
            Body::Held(bytes) => Some(bytes.len() as u64),
            Body::File(..) | Body::Transcoded(_) | Body::Frames(_) => None,
        };
        Ok(Some(Part {
            content_type: self.form.content_type.clone(),
            location: self.location_of(index),
            length,
            body,
        }))
    }

    /// All frames as one part, as native pixel data is one value; `None` if they are no native ones.
    pub fn joined(&mut self) -> Option<Part> {
        let wants_native = match &self.form.transfer_syntax {
            None => self.frames.is_native(),
            Some(to) => is_uncompressed(to),
        };
        if !wants_native {
            return None;
        }
        let length = self.is_as_stored().then(|| {
            let frames = self.wanted.iter();
            frames.map(|index| self.frames.stored_bytes(*index)).sum()
        });
        let turns = self.wanted.iter().map(|index| self.turn(*index)).collect();
        self.wanted.clear();
        let location = match self.location.as_str() {
            "" => String::new(),
            location => format!("{location}/bulkdata/7fe00010"),
        };
        Some(Part {
            content_type: self.form.content_type.clone(),
            location,
            length,
            body: Body::Frames(turns),
        })
    }
}

/// Opens the frames of an instance on a thread that may wait.
///
/// # Errors
///
/// As [`Frames::open`].
pub(super) async fn open(
    archive: &Arc<Archive>,
    located: Arc<Located>,
    reader: Arc<StoredFile>,
) -> Result<Frames, ArchiveError> {
    let archive = Arc::clone(archive);
    blocking(move || Frames::open(&located, reader, &archive.web().tables)).await
}
