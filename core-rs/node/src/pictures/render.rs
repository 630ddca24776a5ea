//! One frame as a picture.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vna_codec::{Codecs, Colour};
use vna_dicom::ReadAt;
use vna_image::{
    Fallback, ImageError, Picture, PresentationState, RenderOptions, Window, icc_profile,
};
use vna_index::Located;

use super::headers::{Headers, cost, form_of};
use super::opened::{Opened, presentation_state};
use super::problem::PictureProblem;
use super::request::{PictureForm, PictureMode, PictureRegion, PictureRequest, WindowFunction};
use super::room::Lent;
use super::{Pictures, blocking};
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;

/// An instance that is held open, and the presentation state that is to be applied to it.
#[derive(Clone)]
pub struct PictureSource {
    /// What the index says of it.
    pub located: Arc<Located>,
    /// Its file.
    pub reader: Arc<StoredFile>,
    /// The file of a presentation state.
    pub state: Option<Arc<StoredFile>>,
}

/// A picture file, with the memory that it holds.
pub struct PictureFile {
    bytes: Vec<u8>,
    _lent: Lent,
}

impl PictureFile {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, which nothing accounts for any more.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl AsRef<[u8]> for PictureFile {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An opened frame of which a picture is to be made.
pub(super) struct Frame<S> {
    opened: Opened<S>,
    index: usize,
    request: PictureRequest,
    state: Option<PresentationState>,
    /// What is black and what is white where nothing says so, if that is not decided by the frame itself.
    shades: Option<(f64, f64)>,
}

impl<S: ReadAt<Error = ArchiveError>> Frame<S> {
    pub fn new(
        opened: Opened<S>,
        request: PictureRequest,
        state: Option<PresentationState>,
    ) -> Result<Self, ArchiveError> {
        let index = opened.frame(request.frame)?;
        Ok(Frame {
            opened,
            index,
            request,
            state,
            shades: None,
        })
    }

    /// The image that it is a frame of.
    pub fn opened(&self) -> &Opened<S> {
        &self.opened
    }

    /// Takes another frame, or another picture of it.
    pub fn change(&mut self, request: PictureRequest) -> Result<(), ArchiveError> {
        self.index = self.opened.frame(request.frame)?;
        self.request = request;
        Ok(())
    }

    /// Shows the lower and the higher value as black and white where nothing says what is.
    pub fn shade(&mut self, low: f64, high: f64) {
        self.shades = Some((low, high));
    }

    /// The lowest and the highest value of frame `index`; `None` if something says what is black and what is white.
    ///
    /// # Errors
    ///
    /// As [`Pictures::picture`].
    pub fn own_values(
        &self,
        index: u64,
        codecs: &Codecs,
    ) -> Result<Option<(f64, f64)>, ArchiveError> {
        let index = self.opened.frame(index)?;
        if self.opened.description.has_voi(index) {
            return Ok(None);
        }
        let mut lease = codecs.lease()?;
        let decoded = self
            .opened
            .image
            .decode_frame(index, Colour::Rgb, &mut lease)?;
        let found = self.opened.description.own_values(index, &decoded);
        Ok(found.map_err(PictureProblem::from)?)
    }

    /// Bytes that rendering and encoding take at most, beside what the codec has.
    pub fn bytes(&self) -> u64 {
        let samples = u64::from(self.opened.image.format.samples_per_pixel).max(1);
        let source = self.opened.pixels().saturating_mul(samples);
        let (columns, rows) = self.size();
        // A part is cut out of the whole.
        let whole = self.request.region.map_or(0, |_| self.opened.pixels());
        let picture = columns.saturating_mul(rows).saturating_add(whole);
        let picture = picture.saturating_mul(3);
        let sample_bytes = match self.request.mode {
            PictureMode::UInt16 | PictureMode::Int16 => 2,
            _ => 1,
        };
        let encoder = match self.request.form {
            // OpenJPEG has two numbers of 32 bits of each sample; GIF pixels of 32 bits and indexes.
            PictureForm::Jp2 => picture.saturating_mul(8).saturating_add(24 << 20),
            PictureForm::Gif => picture.saturating_mul(2),
            PictureForm::Png | PictureForm::Jpeg | PictureForm::Pam => 0,
        };
        let converted = self.request.colours.map_or(0, |_| picture);
        // The values of the frame, the picture, and its file.
        source
            .saturating_mul(4)
            .saturating_add(picture.saturating_mul(2 * sample_bytes))
            .saturating_add(encoder)
            .saturating_add(converted)
            .saturating_add(64 << 10)
    }

    /// Columns and rows of the picture at most.
    pub fn size(&self) -> (u64, u64) {
        let format = &self.opened.image.format;
        let part = self.request.region.map(PictureRegion::to_region);
        let side = |all: u32, part: Option<u32>| match part.filter(|asked| *asked > 0) {
            Some(asked) => u64::from(asked.min(all)),
            None => u64::from(all),
        };
        let columns = side(format.columns, part.map(|part| part.width));
        let rows = side(format.rows, part.map(|part| part.height));
        match (self.request.width.into(), self.request.height.into()) {
            (0, 0) => (columns, rows),
            (width, 0) => (width, (width * rows).div_ceil(columns.max(1))),
            (0, height) => ((height * columns).div_ceil(rows.max(1)), height),
            size => size,
        }
    }

    /// The picture in the colours asked for.
    ///
    /// # Errors
    ///
    /// As [`Pictures::picture`].
    pub fn picture(&self, codecs: &Codecs) -> Result<Picture, ArchiveError> {
        Ok(self.coloured(self.render(codecs)?)?.0)
    }

    fn render(&self, codecs: &Codecs) -> Result<Picture, ArchiveError> {
        let request = &self.request;
        let description = &self.opened.description;
        let mut lease = codecs.lease()?;
        let image = &self.opened.image;
        let decoded = image.decode_frame(self.index, Colour::Rgb, &mut lease)?;
        let function = request.window_function.map(WindowFunction::to_function);
        let window = match (request.window_center, request.window_width, function) {
            (None, None, None) => None,
            (center, width, function) => {
                let usual = description.window(self.index);
                Some(Window {
                    center: center.unwrap_or(usual.center),
                    width: width.unwrap_or(usual.width),
                    function: function.unwrap_or(usual.function),
                })
            }
        };
        let options = RenderOptions {
            mode: request.mode.to_mode(),
            window,
            width: (request.width > 0).then_some(request.width),
            height: (request.height > 0).then_some(request.height),
            smooth: request.smooth,
            overlays: request.overlays,
            region: request.region.map(PictureRegion::to_region),
            annotation: &request.annotation,
            fallback: match (self.shades, request.own_values) {
                (Some((low, high)), _) => Fallback::Values(low, high),
                (None, true) => Fallback::FrameValues,
                (None, false) => Fallback::BitsStored,
            },
            presentation_state: self.state.as_ref(),
            ..RenderOptions::default()
        };
        let picture = description.render(self.index, &decoded, &options);
        Ok(picture.map_err(PictureProblem::from)?)
    }

    fn make(&self, codecs: &Codecs) -> Result<Vec<u8>, ArchiveError> {
        let (picture, profile) = self.coloured(self.render(codecs)?)?;
        let profile = profile.as_deref();
        let file = match self.request.form {
            PictureForm::Png => picture.to_png(profile),
            PictureForm::Jpeg => picture.to_jpeg(self.request.quality, profile),
            PictureForm::Jp2 => picture.to_jp2(profile),
            PictureForm::Gif => picture.to_gif(),
            PictureForm::Pam => Ok(picture.to_pam()),
        };
        Ok(file.map_err(PictureProblem::from)?)
    }

    /// The profile of a presentation state that is applied to the frame, in place of that of the image (PS3.4 §N.2.2.1).
    fn state_profile(&self) -> Result<Option<&[u8]>, ImageError> {
        let uid = &self.opened.description.sop_instance_uid;
        let state = self.state.as_ref().filter(|state| {
            self.request.mode == PictureMode::Rendered && state.refers_to(uid, self.index)
        });
        state.map_or(Ok(None), PresentationState::icc_profile)
    }

    /// The picture in the colours asked for, with their profile.
    fn coloured(&self, picture: Picture) -> Result<(Picture, Option<Vec<u8>>), ArchiveError> {
        let Some(colours) = self.request.colours else {
            return Ok((picture, None));
        };
        let own = match self.state_profile().map_err(PictureProblem::from)? {
            Some(profile) => Some(profile),
            None => icc_profile(&self.opened.image.data_set).map_err(PictureProblem::from)?,
        };
        let done = picture.into_colour_space(colours.to_space(), own);
        let (picture, profile) = done.map_err(PictureProblem::from)?;
        Ok((picture, Some(profile)))
    }
}

impl Frame<StoredBlob> {
    pub fn open(source: &PictureSource, request: PictureRequest) -> Result<Self, ArchiveError> {
        let state = source.state.as_ref().map(|reader| {
            let state = StoredBlob::new(Arc::clone(reader));
            presentation_state(&state)
        });
        let opened = Opened::read(
            StoredBlob::new(Arc::clone(&source.reader)),
            &source.located.sop_class_uid,
            &source.located.transfer_syntax_uid,
        )?;
        Frame::new(opened, request, state.transpose()?)
    }

    /// The same, with the header as it was read before if it is still known.
    fn open_known(
        headers: &Headers,
        source: &PictureSource,
        request: PictureRequest,
    ) -> Result<Self, ArchiveError> {
        let blob = source.reader.blob();
        if source.state.is_some() {
            return Frame::open(source, request);
        }
        if let Some(known) = headers.get(&form_of(blob)) {
            let stored = StoredBlob::new(Arc::clone(&source.reader));
            return Frame::new(Opened::known(stored, known), request, None);
        }
        let frame = Frame::open(source, request)?;
        if let Some(known) = frame.opened.to_known() {
            let bytes = cost(&known.header);
            headers.keep(form_of(blob), known, bytes);
        }
        Ok(frame)
    }
}

/// How far a picture is: finished, or waiting for memory.
enum Step {
    Done(PictureFile),
    Waits(Box<Frame<StoredBlob>>),
}

impl Pictures {
    /// The picture of a frame.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Picture`] says why there is none; what codecs, the store and the scanner say.
    pub async fn picture(
        self: &Arc<Self>,
        source: PictureSource,
        request: PictureRequest,
    ) -> Result<PictureFile, ArchiveError> {
        let pictures = Arc::clone(self);
        self.picture_of(move || Frame::open_known(&pictures.headers, &source, request))
            .await
    }

    /// The picture of the frame that `open` gives, on a thread that may wait.
    pub(super) async fn picture_of(
        self: &Arc<Self>,
        open: impl FnOnce() -> Result<Frame<StoredBlob>, ArchiveError> + Send + 'static,
    ) -> Result<PictureFile, ArchiveError> {
        let place = self.place().await?;
        let pictures = Arc::clone(self);
        let begun = blocking(move || {
            let frame = open()?;
            Ok(match pictures.room.try_lend(frame.bytes())? {
                Some(lent) => Step::Done(pictures.make(&frame, lent)?),
                None => Step::Waits(Box::new(frame)),
            })
        });
        let frame = match begun.await? {
            Step::Done(file) => return Ok(file),
            Step::Waits(frame) => frame,
        };
        // Who waits for memory must not hold a place that those need who have it.
        drop(place);
        let lent = self.room.lend(frame.bytes()).await?;
        let pictures = Arc::clone(self);
        self.on_a_place(move || pictures.make(&frame, lent)).await
    }

    fn make(&self, frame: &Frame<StoredBlob>, mut lent: Lent) -> Result<PictureFile, ArchiveError> {
        let bytes = frame.make(&self.codecs)?;
        self.rendered.fetch_add(1, Ordering::Relaxed);
        super::room::keep(&mut lent, bytes.len() as u64);
        Ok(PictureFile { bytes, _lent: lent })
    }
}

/// The picture of a frame of an object that is no part of an archive.
///
/// # Errors
///
/// As [`Pictures::picture`].
pub fn render_object<S: ReadAt<Error = ArchiveError>>(
    source: S,
    state: Option<&S>,
    request: PictureRequest,
    codecs: &Codecs,
) -> Result<Vec<u8>, ArchiveError> {
    let state = state.map(presentation_state).transpose()?;
    Frame::new(Opened::read_object(source)?, request, state)?.make(codecs)
}

/// How many frames an image has that is no part of an archive.
///
/// # Errors
///
/// As [`Pictures::picture`].
pub fn count_frames<S: ReadAt<Error = ArchiveError>>(source: S) -> Result<u64, ArchiveError> {
    Ok(Opened::read_object(source)?.frames())
}
