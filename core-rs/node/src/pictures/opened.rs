//! A stored object, opened as an image; and what it is if it is none.

use std::sync::Arc;

use vna_codec::{Compression, pixel_syntax};
use vna_dicom::{DicomError, DicomFile, FrameProblem, ReadAt, SelectStream, Selected, Tag, tags};
use vna_image::{ImageDescription, PresentationState};

use super::headers::Known;
use super::problem::PictureProblem;
use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

/// An image: its frames, and how they are to look.
pub(crate) struct Opened<S> {
    pub image: StoredImage<S>,
    pub description: Arc<ImageDescription>,
}

impl<S: ReadAt<Error = ArchiveError>> Opened<S> {
    /// Reads the header of an object of this SOP class in this transfer syntax.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Picture`] if it is no image, or not one of which there are pictures; what the source says.
    pub fn read(
        source: S,
        sop_class_uid: &str,
        transfer_syntax_uid: &str,
    ) -> Result<Self, ArchiveError> {
        refuse_frames_elsewhere(transfer_syntax_uid)?;
        refuse_video(transfer_syntax_uid)?;
        let image = StoredImage::read(source).map_err(|error| absence(error, sop_class_uid))?;
        let description = ImageDescription::read(&image.data_set).map_err(PictureProblem::from)?;
        let description = Arc::new(description);
        Ok(Opened { image, description })
    }

    /// The image of which this is known.
    pub fn known(source: S, known: Known) -> Self {
        Opened {
            image: StoredImage::with_header(source, known.header),
            description: known.description,
        }
    }

    /// What is known of it from now on.
    pub fn to_known(&self) -> Option<Known> {
        Some(Known {
            header: Arc::clone(self.image.header()?),
            description: Arc::clone(&self.description),
        })
    }

    /// Reads the header of a Part 10 file of which nothing is known.
    ///
    /// # Errors
    ///
    /// As [`Opened::read`].
    pub fn read_object(source: S) -> Result<Self, ArchiveError> {
        let head = select(&source, &[tags::SOP_CLASS_UID])?;
        let sop_class_uid = head.text(tags::SOP_CLASS_UID).map(|(_, uid)| uid);
        let transfer_syntax_uid = vna_dicom::transfer_syntax_uid(&source)?;
        Self::read(
            source,
            &sop_class_uid.unwrap_or_default(),
            &transfer_syntax_uid,
        )
    }

    /// How many frames there are.
    pub fn frames(&self) -> u64 {
        (self.image.frames.len() as u64).min(self.description.frames as u64)
    }

    /// The place of a frame in the table.
    ///
    /// # Errors
    ///
    /// [`PictureProblem::NoSuchFrame`].
    pub fn frame(&self, frame: u64) -> Result<usize, ArchiveError> {
        let frames = self.frames();
        usize::try_from(frame)
            .ok()
            .filter(|_| frame < frames)
            .ok_or_else(|| PictureProblem::NoSuchFrame { frame, frames }.into())
    }

    /// Pixels of a frame.
    pub fn pixels(&self) -> u64 {
        u64::from(self.image.format.rows) * u64::from(self.image.format.columns)
    }
}

/// Longest presentation state that is applied: those with bitmaps for a whole mammogram have some megabytes.
const MAX_STATE_BYTES: u64 = 32 << 20;

/// Reads a presentation state.
///
/// # Errors
///
/// [`ArchiveError::Picture`] if it is none; what the source and the scanner say.
pub(crate) fn presentation_state<S: ReadAt<Error = ArchiveError>>(
    source: &S,
) -> Result<PresentationState, ArchiveError> {
    let file = whole(source, MAX_STATE_BYTES)?;
    Ok(PresentationState::read(&file.data_set).map_err(PictureProblem::from)?)
}

/// Reads a file into memory that has at most `most` bytes.
///
/// # Errors
///
/// [`PictureProblem::TooLarge`]; what the source and the scanner say.
pub(super) fn whole<S: ReadAt<Error = ArchiveError>>(
    source: &S,
    most: u64,
) -> Result<DicomFile, ArchiveError> {
    let bytes = source.size();
    let length = usize::try_from(bytes).ok().filter(|_| bytes <= most);
    let too_large = PictureProblem::TooLarge {
        needed: bytes,
        total: most,
    };
    let mut file = vec![0; length.ok_or(too_large)?];
    let read = source.read_at(&mut file, 0)?;
    file.truncate(read);
    Ok(DicomFile::read(&file)?)
}

/// Bytes that are read at once of a head.
const READ_BYTES: usize = 16 << 10;

/// Reads elements of a file, no more of it than they need.
fn select<S: ReadAt<Error = ArchiveError>>(
    source: &S,
    wanted: &[Tag],
) -> Result<Selected, ArchiveError> {
    let size = source.size();
    let mut buffer = vec![0; READ_BYTES];
    let mut stream = SelectStream::new(wanted);
    let mut at = 0;
    while at < size && !stream.is_done() {
        let read = source.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        stream.push(&buffer[..read])?;
        at = stream.skip(size);
    }
    Ok(stream.finish()?)
}

/// Refuses transfer syntaxes of files that refer to their pixel data.
pub(crate) fn refuse_frames_elsewhere(transfer_syntax_uid: &str) -> Result<(), PictureProblem> {
    let transfer_syntax_uid = transfer_syntax_uid.trim_end_matches([' ', '\0']);
    if JPIP.contains(&transfer_syntax_uid) {
        return Err(PictureProblem::Elsewhere {
            transfer_syntax_uid: transfer_syntax_uid.to_owned(),
        });
    }
    Ok(())
}

fn refuse_video(transfer_syntax_uid: &str) -> Result<(), PictureProblem> {
    let syntax = pixel_syntax(transfer_syntax_uid);
    if let Some(syntax) = syntax.filter(|syntax| syntax.compression == Compression::Video) {
        return Err(PictureProblem::Video {
            transfer_syntax_uid: syntax.uid.to_owned(),
        });
    }
    Ok(())
}

/// JPIP Referenced Transfer Syntaxes (PS3.5 §A.6, §A.7, §A.11, §A.12).
const JPIP: [&str; 4] = [
    "1.2.840.10008.1.2.4.94",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.4.205",
];

const TAGS: &str = "tags and content tell what it holds";

/// SOP classes without pixel data by the beginning of their UIDs behind `1.2.840.10008.5.1.4.1.1.`, the first that fits:
/// what they are, and how to get at it.
const WITHOUT_PIXELS: &[(&str, &str, &str)] = &[
    ("104.1", "a PDF document", "pdf gives the document"),
    (
        "104.2",
        "a CDA document",
        "content/0042-0011 gives the document",
    ),
    ("104.", "a 3D model", "content/0042-0011 gives the model"),
    ("88.59", "a key object selection", TAGS),
    ("88.", "a structured report", TAGS),
    ("481.3", "a structure set of contours", TAGS),
    ("481.", "a plan or record of radiotherapy", TAGS),
    ("9.", "a waveform", TAGS),
    (
        "11.",
        "a presentation state",
        "it is applied to an image that it refers to: rendered?presentation-state=",
    ),
    (
        "66.",
        "a registration, segmentation or set of fiducials",
        TAGS,
    ),
    ("67", "a mapping of real-world values", TAGS),
    ("68.", "a surface", TAGS),
    ("91.", "annotations", TAGS),
];

/// Says of an object without pixel data what it is.
pub(crate) fn absence(error: ArchiveError, sop_class_uid: &str) -> ArchiveError {
    match error {
        ArchiveError::Dicom(DicomError::Frames {
            problem: FrameProblem::NoPixelData,
            ..
        }) => no_image(sop_class_uid).into(),
        error => error,
    }
}

pub(super) fn no_image(sop_class_uid: &str) -> PictureProblem {
    let storage = sop_class_uid
        .trim_end_matches([' ', '\0'])
        .strip_prefix("1.2.840.10008.5.1.4.1.1.")
        .unwrap_or_default();
    let known = WITHOUT_PIXELS
        .iter()
        .find(|(beginning, ..)| storage.starts_with(beginning));
    let (what, instead) = known.map_or(("an object without pixel data", TAGS), |line| {
        (line.1, line.2)
    });
    PictureProblem::NoImage { what, instead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_says_what_it_is() {
        let said = |uid: &str| no_image(uid).to_string();
        let pdf = said("1.2.840.10008.5.1.4.1.1.104.1\0");
        assert_eq!(
            pdf,
            "there is no picture of a PDF document; pdf gives the document"
        );
        assert!(said("1.2.840.10008.5.1.4.1.1.88.33").contains("a structured report"));
        assert!(said("1.2.3").contains("an object without pixel data"));
    }

    #[test]
    fn video_goes_to_a_player() {
        let problem = refuse_video("1.2.840.10008.1.2.4.102").unwrap_err();
        assert_eq!(problem.code(), "picture.video");
        assert!(problem.to_string().contains("player"));
        assert!(refuse_video("1.2.840.10008.1.2.1").is_ok());
    }
}
