//! Frames of an instance or a series as arrays of numbers.
//!
//! An array has four dimensions: frames, rows, columns, channels; that of a frame has the last three. It is made a frame at
//! a time while it is read.

use std::sync::{Arc, Weak};

use serde::Deserialize;
use vna_codec::{Codecs, Colour};
use vna_dicom::PublicId;
use vna_image::ElementType;

use super::matlab::Matlab;
use super::npy::{Npz, npy_header};
use super::opened::Opened;
use super::problem::PictureProblem;
use super::render::PictureSource;
use super::room::Lent;
use super::slices::ordered_slices;
use super::stream::{MadeStream, Maker};
use super::{Pictures, blocking};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;

/// How an array is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArrayForm {
    /// As NumPy reads it.
    #[default]
    Npy,
    /// The same in a compressed archive.
    Npz,
    /// As MATLAB and Octave evaluate it; of one frame.
    Matlab,
}

/// Which array of an instance or series is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArrayRequest {
    /// The frame, counted from 0; all if not said.
    pub frame: Option<u64>,
    /// Whether grayscale values are those after the modality LUT.
    pub rescale: bool,
    /// How it is written.
    pub form: ArrayForm,
}

/// What arrays of all frames have alike.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: u64,
    columns: u64,
    channels: u64,
    element: ElementType,
}

impl Shape {
    fn of(opened: &Opened<StoredBlob>, rescale: bool) -> Self {
        let format = &opened.image.format;
        let (element, channels) = opened.description.array_type(rescale);
        Shape {
            rows: format.rows.into(),
            columns: format.columns.into(),
            channels: channels.into(),
            element,
        }
    }

    fn frame_bytes(&self) -> u64 {
        let elements = self
            .rows
            .saturating_mul(self.columns)
            .saturating_mul(self.channels);
        elements.saturating_mul(self.element.bytes() as u64)
    }

    /// Refuses another shape by what differs.
    fn expect(&self, other: &Shape) -> Result<(), PictureProblem> {
        let unlike = |what| Err(PictureProblem::Unlike { what });
        if (self.rows, self.columns) != (other.rows, other.columns) {
            return unlike("size");
        }
        if self.channels != other.channels {
            return unlike("the number of samples of a pixel");
        }
        if self.element != other.element {
            return unlike("the type of their values");
        }
        Ok(())
    }
}

/// Where frames of an array come from.
enum Source {
    Instance(Box<Opened<StoredBlob>>),
    /// Opened when its turn comes: a series may have more instances than a process may have files.
    Member {
        instance: PublicId,
        digest: [u8; 16],
    },
}

/// Frames of one instance.
struct Part {
    source: Source,
    first: u64,
    end: u64,
}

/// The frames of an array, one after the other.
struct Frames {
    pictures: Arc<Pictures>,
    archive: Weak<Archive>,
    tenant: i64,
    rescale: bool,
    shape: Shape,
    /// The last is the first to be read.
    parts: Vec<Part>,
    count: u64,
    /// Whether it is the one frame that the request names.
    is_named: bool,
    _lent: Option<Lent>,
}

impl Frames {
    /// Elements of the next frame, behind each other in `out`; `false` if that was the last.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        loop {
            let Some(part) = self.parts.last_mut() else {
                return Ok(false);
            };
            if part.first == part.end {
                self.parts.pop();
                continue;
            }
            if let Source::Member { instance, digest } = part.source {
                part.source = open_member(&self.archive, self.tenant, &instance, digest)?;
            }
            let Source::Instance(opened) = &part.source else {
                return Ok(false);
            };
            let frame = opened.frame(part.first)?;
            part.first += 1;
            elements(opened, frame, self.rescale, &self.pictures.codecs, out)?;
            return Ok(true);
        }
    }
}

fn elements(
    opened: &Opened<StoredBlob>,
    frame: usize,
    rescale: bool,
    codecs: &Codecs,
    out: &mut Vec<u8>,
) -> Result<(), ArchiveError> {
    let mut lease = codecs.lease()?;
    let decoded = opened.image.decode_frame(frame, Colour::Rgb, &mut lease)?;
    let description = &opened.description;
    let made = description.array(frame, &decoded, rescale, out);
    made.map_err(PictureProblem::from)?;
    Ok(())
}

fn open_member(
    archive: &Weak<Archive>,
    tenant: i64,
    instance: &PublicId,
    digest: [u8; 16],
) -> Result<Source, ArchiveError> {
    let archive = archive.upgrade().ok_or(ArchiveError::Stopped)?;
    let found = archive.open_file(tenant, instance)?;
    // What has come in its place meanwhile may be of another shape: the array cannot go on with it.
    let found = found.filter(|(located, _)| located.blob.digest == digest);
    let (located, file) = found.ok_or(ArchiveError::NotFound {
        level: vna_dicom::Level::Instance,
        public_id: *instance,
    })?;
    let opened = Opened::read(
        StoredBlob::new(Arc::new(file)),
        &located.sop_class_uid,
        &located.transfer_syntax_uid,
    )?;
    Ok(Source::Instance(Box::new(opened)))
}

impl Pictures {
    /// Frames of an instance as an array.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Picture`] says why there is none; what the store and the scanner say.
    pub async fn instance_array(
        self: &Arc<Self>,
        source: PictureSource,
        request: ArrayRequest,
    ) -> Result<MadeStream, ArchiveError> {
        let pictures = Arc::clone(self);
        let frames = blocking(move || {
            let opened = Opened::read(
                StoredBlob::new(source.reader),
                &source.located.sop_class_uid,
                &source.located.transfer_syntax_uid,
            )?;
            let (first, end) = match request.frame {
                Some(frame) => (opened.frame(frame)? as u64, frame + 1),
                None => (0, opened.frames()),
            };
            opened.frame(first)?;
            let shape = Shape::of(&opened, request.rescale);
            let source = Source::Instance(Box::new(opened));
            Ok(Frames {
                pictures,
                archive: Weak::new(),
                tenant: 0,
                rescale: request.rescale,
                shape,
                parts: vec![Part { source, first, end }],
                count: end - first,
                is_named: request.frame.is_some(),
                _lent: None,
            })
        });
        self.stream(frames.await?, request.form).await
    }

    /// All frames of a series as an array, in the order of [`ordered_slices`].
    ///
    /// # Errors
    ///
    /// As [`Pictures::instance_array`]; [`PictureProblem::Unlike`] if the frames cannot be one array.
    pub async fn series_array(
        self: &Arc<Self>,
        archive: Arc<Archive>,
        tenant: i64,
        series: PublicId,
        request: ArrayRequest,
    ) -> Result<MadeStream, ArchiveError> {
        let pictures = Arc::clone(self);
        let place = self.place().await?;
        let frames = blocking(move || {
            let frames = series_frames(pictures, &archive, tenant, &series, request.rescale);
            drop(place);
            frames
        });
        self.stream(frames.await?, request.form).await
    }

    async fn stream(
        &self,
        mut frames: Frames,
        form: ArrayForm,
    ) -> Result<MadeStream, ArchiveError> {
        // Elements, and as much again for what is written of them.
        let bytes = frames.shape.frame_bytes().saturating_mul(2);
        frames._lent = Some(match self.room.try_lend(bytes)? {
            Some(lent) => lent,
            None => self.room.lend(bytes).await?,
        });
        let shape = frames.shape;
        let dimensions = [frames.count, shape.rows, shape.columns, shape.channels];
        // A frame that was named has no dimension of frames.
        let dimensions = &dimensions[usize::from(frames.is_named)..];
        let header = npy_header(shape.element.name(), dimensions);
        Ok(match form {
            ArrayForm::Npy => MadeStream::new(NpyMaker {
                header: Some(header),
                frames,
            }),
            ArrayForm::Npz => MadeStream::new(NpzMaker {
                header: Some(header),
                packing: None,
                frames,
                is_over: false,
            }),
            ArrayForm::Matlab => MadeStream::new(MatlabMaker {
                frames,
                begun: None,
            }),
        })
    }
}

/// Looks at all instances of a series: whether their frames can be one array.
fn series_frames(
    pictures: Arc<Pictures>,
    archive: &Arc<Archive>,
    tenant: i64,
    series: &PublicId,
    rescale: bool,
) -> Result<Frames, ArchiveError> {
    let slices = ordered_slices(archive, tenant, series)?.slices;
    let mut parts = Vec::with_capacity(slices.len());
    let mut shape: Option<Shape> = None;
    let mut count = 0;
    for slice in slices {
        let Some((located, file)) = archive.open_file(tenant, &slice.instance)? else {
            continue; // deleted meanwhile
        };
        let opened = Opened::read(
            StoredBlob::new(Arc::new(file)),
            &located.sop_class_uid,
            &located.transfer_syntax_uid,
        )?;
        let own = Shape::of(&opened, rescale);
        shape.get_or_insert(own).expect(&own)?;
        opened.frame(0)?;
        let end = opened.frames();
        count += end;
        let source = Source::Member {
            instance: slice.instance,
            digest: located.blob.digest,
        };
        parts.push(Part {
            source,
            first: 0,
            end,
        });
    }
    parts.reverse();
    let shape = shape.ok_or(ArchiveError::NotFound {
        level: vna_dicom::Level::Series,
        public_id: *series,
    })?;
    Ok(Frames {
        pictures,
        archive: Arc::downgrade(archive),
        tenant,
        rescale,
        shape,
        parts,
        count,
        is_named: false,
        _lent: None,
    })
}

struct NpyMaker {
    header: Option<Vec<u8>>,
    frames: Frames,
}

impl Maker for NpyMaker {
    fn length(&self) -> Option<u64> {
        let header = self.header.as_ref()?.len() as u64;
        let frames = self
            .frames
            .count
            .checked_mul(self.frames.shape.frame_bytes());
        frames?.checked_add(header)
    }

    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
            return Ok(true);
        }
        self.frames.next(out)
    }
}

struct NpzMaker {
    header: Option<Vec<u8>>,
    packing: Option<Npz>,
    frames: Frames,
    is_over: bool,
}

impl Maker for NpzMaker {
    fn length(&self) -> Option<u64> {
        None
    }

    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        if self.is_over {
            return Ok(false);
        }
        let failed = |source| ArchiveError::Io {
            doing: "compressing an array",
            source,
        };
        let packing = self.packing.get_or_insert_with(|| Npz::begin(out));
        if let Some(header) = self.header.take() {
            packing.push(&header, out).map_err(failed)?;
        }
        let mut frame = Vec::new();
        if self.frames.next(&mut frame)? {
            packing.push(&frame, out).map_err(failed)?;
        } else {
            packing.finish(out).map_err(failed)?;
            self.is_over = true;
        }
        Ok(true)
    }
}

/// Bytes of elements that become text at once.
const TEXT_BYTES: usize = 64 << 10;

struct MatlabMaker {
    frames: Frames,
    /// The frame that is being written, and how much of it was.
    begun: Option<(Matlab, Vec<u8>, usize)>,
}

impl Maker for MatlabMaker {
    fn length(&self) -> Option<u64> {
        None
    }

    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
        let shape = self.frames.shape;
        if self.begun.is_none() {
            let mut frame = Vec::new();
            if !self.frames.next(&mut frame)? {
                return Ok(false);
            }
            let text = Matlab::begin(shape.rows, shape.columns, shape.channels, out);
            self.begun = Some((text, frame, 0));
        }
        let Some((text, frame, written)) = &mut self.begun else {
            return Ok(false);
        };
        let end = (*written + TEXT_BYTES).min(frame.len());
        text.push_all(shape.element, &frame[*written..end], out);
        *written = end;
        if end == frame.len() {
            text.finish(out);
            self.begun = None;
        }
        Ok(true)
    }
}
