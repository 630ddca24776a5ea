//! PNG and GIF files as pixel data (PS3.18 Table 10.5.2-1): no transfer syntax holds them, so they become native samples.
//!
//! What the metadata says of the samples is checked, what it leaves out the file says. Where nothing is lost by it, the
//! samples are given as the metadata has them: grays that a file has as colours, or the other way round.

use std::sync::Arc;

use vna_codec::{CodecError, Codecs, FrameFormat, Photometric, separate};
use vna_dicom::edit::MadeFile;
use vna_dicom::{DataElement, DataSet, ReadAt, StoredValue, Tag, Value, Vr, tags};
use vna_image::{GifFrames, read_png};

use super::bulk::{BulkByUri, BulkPart};
use super::join::{text, unjoined};
use super::media::media_type;
use super::pixels::{BITS_STORED, HIGH_BIT, PLANAR_CONFIGURATION, Pixels, describe, set};
use crate::error::ArchiveError;
use crate::ingest::UploadError;
use crate::transcode::Spool;

/// The kinds of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PictureKind {
    Png,
    /// Of several frames if it is animated.
    Gif,
}

impl PictureKind {
    /// That of a Content-Type, if it is one.
    pub fn of(content_type: &str) -> Option<Self> {
        match media_type(content_type).as_str() {
            "image/png" => Some(Self::Png),
            "image/gif" => Some(Self::Gif),
            _ => None,
        }
    }
}

/// What there is for decoding.
pub(super) struct Room<'a> {
    /// They bound the memory of frames, and how many are in work at a time.
    pub codecs: &'a Codecs,
    /// Refuses to make so many bytes.
    pub check: &'a dyn Fn(u64) -> Result<(), ArchiveError>,
}

/// Puts the samples of files in the place of pixel data: of one file a frame, or of one for all.
pub(super) fn picture_data(
    bulk: &BulkByUri,
    parts: &[&BulkPart],
    kind: PictureKind,
    data_set: &mut DataSet,
    room: &Room<'_>,
) -> Result<Pixels, ArchiveError> {
    let samples = Samples::decode(bulk, parts, kind, room)?;
    let samples = samples.fitted(kind, data_set, room)?;
    let Samples {
        spool,
        format,
        frames,
        ..
    } = samples;
    describe(data_set, &format);
    if frames > 1 {
        let frames = frames.to_string();
        data_set.insert(DataElement::new(tags::NUMBER_OF_FRAMES, Vr::IS, frames));
    }
    let length = spool.size();
    let value = Value::Stored(StoredValue {
        offset: bulk.spool.size(),
        length,
        encapsulated: false,
    });
    let vr = match format.bits_allocated {
        8 => data_set.get(tags::PIXEL_DATA).map_or(Vr::OB, |it| it.vr),
        _ => Vr::OW,
    };
    set(data_set, vr, value);
    Ok(Pixels {
        transfer_syntax_uid: None,
        made: Some(MadeFile::joined(Arc::new(spool), &[(0, length)])),
    })
}

/// Frames of one format.
struct Samples {
    spool: Spool,
    format: FrameFormat,
    frames: u64,
    /// Whether all pixels are gray, whatever the format has.
    is_gray: bool,
    largest: u16,
}

impl Samples {
    fn decode(
        bulk: &BulkByUri,
        parts: &[&BulkPart],
        kind: PictureKind,
        room: &Room<'_>,
    ) -> Result<Self, ArchiveError> {
        let max_bytes = room.codecs.settings().max_frame_bytes;
        let mut lease = room.codecs.lease()?;
        let mut samples: Option<Samples> = None;
        let mut push = |format: FrameFormat, frame: &[u8]| {
            let samples = samples.get_or_insert_with(|| Samples::new(bulk.spool.another(), format));
            samples.push(&format, frame, room)
        };
        for part in parts {
            let file = lease.input(part.length).map_err(refused)?;
            let read = bulk.spool.read_at(file, part.offset)?;
            let file = &file[..read];
            match kind {
                PictureKind::Png => {
                    let picture = read_png(file, max_bytes).map_err(refused)?;
                    if picture.pictures > 1 {
                        return Err(animated(picture.pictures));
                    }
                    push(picture.format, &picture.samples)?;
                }
                PictureKind::Gif => {
                    let mut frames = GifFrames::open(file, max_bytes).map_err(refused)?;
                    let format = frames.format();
                    while let Some(frame) = frames.next_frame().map_err(refused)? {
                        push(format, frame)?;
                    }
                }
            }
        }
        samples.ok_or_else(|| unjoined("pixel_data.picture", "the GIF has no frame".to_owned()))
    }

    fn new(spool: Spool, format: FrameFormat) -> Self {
        Samples {
            spool,
            format,
            frames: 0,
            is_gray: true,
            largest: 0,
        }
    }

    fn push(
        &mut self,
        format: &FrameFormat,
        frame: &[u8],
        room: &Room<'_>,
    ) -> Result<(), ArchiveError> {
        if *format != self.format {
            let problem = "frames of one image differ in size or in their samples".to_owned();
            return Err(unjoined("pixel_data.picture", problem));
        }
        (room.check)(self.spool.size() + frame.len() as u64)?;
        let width = usize::from(format.bits_allocated / 8);
        let pixel = width * usize::from(format.samples_per_pixel);
        self.is_gray = self.is_gray
            && frame
                .chunks_exact(pixel)
                .all(|pixel| pixel.chunks_exact(width).all(|it| *it == pixel[..width]));
        let largest = match width {
            1 => frame.iter().copied().max().map(u16::from),
            _ => frame
                .chunks_exact(2)
                .map(|it| u16::from_le_bytes([it[0], it[1]]))
                .max(),
        };
        self.largest = self.largest.max(largest.unwrap_or(0));
        self.frames += 1;
        self.spool.append(frame)
    }

    /// The samples as the metadata has them.
    ///
    /// # Errors
    ///
    /// What of the metadata they contradict.
    fn fitted(
        self,
        kind: PictureKind,
        data_set: &DataSet,
        room: &Room<'_>,
    ) -> Result<Self, ArchiveError> {
        let photometric = text(data_set, tags::PHOTOMETRIC_INTERPRETATION);
        let photometric = photometric.trim_matches([' ', '\0']);
        let has_colours = match number(data_set, tags::SAMPLES_PER_PIXEL) {
            Some(samples) => samples > 1,
            None if !photometric.is_empty() => {
                Photometric::parse(photometric).is_none_or(Photometric::is_colour)
            }
            // A palette has colours even of a picture in grays.
            None if kind == PictureKind::Gif => !self.is_gray,
            None => self.format.samples_per_pixel > 1,
        };
        let is_planar = number(data_set, PLANAR_CONFIGURATION) == Some(1);
        let mut wanted = self.format;
        match (self.format.samples_per_pixel, has_colours) {
            (3, false) if self.is_gray => {
                wanted.samples_per_pixel = 1;
                wanted.photometric = Photometric::Monochrome2;
            }
            (1, true) => {
                wanted.samples_per_pixel = 3;
                wanted.photometric = Photometric::Rgb;
            }
            _ => {}
        }
        wanted.planar = is_planar && wanted.samples_per_pixel > 1;
        if let Some(stored) = number(data_set, BITS_STORED) {
            wanted.bits_stored = stored;
        }
        check(data_set, &wanted, self.frames, self.largest, photometric)?;
        self.converted(wanted, room)
    }

    /// The same in another number or order of samples.
    fn converted(self, wanted: FrameFormat, room: &Room<'_>) -> Result<Self, ArchiveError> {
        let (from, to) = (self.format.samples_per_pixel, wanted.samples_per_pixel);
        if from == to && !wanted.planar {
            return Ok(Samples {
                format: wanted,
                ..self
            });
        }
        let bytes = |format: &FrameFormat| -> Result<usize, ArchiveError> {
            Ok(usize::try_from(format.frame_bytes()?).unwrap_or(usize::MAX))
        };
        (room.check)((bytes(&wanted)? as u64).saturating_mul(self.frames))?;
        let width = usize::from(wanted.bits_allocated / 8);
        let mut frame = vec![0; bytes(&self.format)?];
        let mut made = vec![0; bytes(&wanted)?];
        let mut spool = self.spool.another();
        for index in 0..self.frames {
            let at = index * frame.len() as u64;
            self.spool.read_at(&mut frame, at)?;
            if (from, to) == (3, 3) {
                separate(&frame, 3, width, &mut made);
            } else {
                let pixels = frame.chunks_exact(width * usize::from(from));
                let places = made.chunks_exact_mut(width * usize::from(to));
                for (place, pixel) in places.zip(pixels) {
                    place
                        .chunks_exact_mut(width)
                        .for_each(|it| it.copy_from_slice(&pixel[..width]));
                }
            }
            spool.append(&made)?;
        }
        // Planes of grays are alike, however they are ordered.
        Ok(Samples {
            spool,
            format: wanted,
            ..self
        })
    }
}

/// Refuses metadata that the samples contradict.
fn check(
    data_set: &DataSet,
    format: &FrameFormat,
    frames: u64,
    largest: u16,
    photometric: &str,
) -> Result<(), ArchiveError> {
    let numbers = [
        (tags::SAMPLES_PER_PIXEL, format.samples_per_pixel.into()),
        (tags::ROWS, format.rows),
        (tags::COLUMNS, format.columns),
        (tags::BITS_ALLOCATED, u32::from(format.bits_allocated)),
        (HIGH_BIT, u32::from(format.bits_stored.max(1)) - 1),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    for (tag, found) in numbers {
        match number(data_set, tag) {
            Some(said) if u32::from(said) != found => {
                return Err(contradiction(tag, &said.to_string(), &found.to_string()));
            }
            _ => {}
        }
    }
    let needed = 16 - largest.leading_zeros();
    if format.bits_stored > format.bits_allocated || u32::from(format.bits_stored) < needed {
        let said = format.bits_stored.to_string();
        return Err(contradiction(
            BITS_STORED,
            &said,
            &needed.max(1).to_string(),
        ));
    }
    let is_known = match format.samples_per_pixel {
        1 => matches!(photometric, "" | "MONOCHROME1" | "MONOCHROME2"),
        _ => matches!(photometric, "" | "RGB"),
    };
    if !is_known {
        let (tag, found) = (tags::PHOTOMETRIC_INTERPRETATION, format.photometric.name());
        return Err(contradiction(tag, photometric, found));
    }
    let said = text(data_set, tags::NUMBER_OF_FRAMES);
    let said = said.trim_matches([' ', '\0']);
    if !said.is_empty() && said.parse() != Ok(frames) {
        return Err(contradiction(
            tags::NUMBER_OF_FRAMES,
            said,
            &frames.to_string(),
        ));
    }
    Ok(())
}

fn contradiction(tag: Tag, said: &str, found: &str) -> ArchiveError {
    let said: String = said.chars().take(64).collect();
    let problem = format!("{tag} is {said} in the metadata, and the picture has {found}");
    unjoined("pixel_data.picture", problem)
}

/// The value of an element of US, if it has one.
fn number(data_set: &DataSet, tag: Tag) -> Option<u16> {
    match &data_set.get(tag)?.value {
        Value::Bytes(bytes) => bytes.first_chunk().map(|bytes| u16::from_le_bytes(*bytes)),
        _ => None,
    }
}

/// What the reader of a file says, of the instance that is not made.
/// Frames of an animated PNG are parts of pictures that are drawn one upon the other, seen or not: to store the first alone
/// would lose the others, and image/png is one picture (PS3.18 §8.7.3.3).
fn animated(pictures: u32) -> ArchiveError {
    let problem = format!(
        "the PNG is an animation of {pictures} pictures; frames are PNG files of one picture each, or a GIF"
    );
    unjoined("pixel_data.picture", problem)
}

fn refused(error: CodecError) -> ArchiveError {
    match error {
        CodecError::Limit { limit, .. } => UploadError::ObjectBytes { limit }.into(),
        CodecError::Unavailable { .. } => error.into(),
        _ => unjoined("pixel_data.picture", error.to_string()),
    }
}
