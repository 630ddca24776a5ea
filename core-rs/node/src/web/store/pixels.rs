//! Pixel data of a Store request: native, or codestreams that become encapsulated (PS3.18 §8.7.3.3, PS3.5 §A.4).

use std::sync::Arc;

use vna_codec::{FrameFormat, Photometric, Sample, jpeg_file};
use vna_dicom::edit::MadeFile;
use vna_dicom::{DataElement, DataSet, ReadAt, StoredValue, Tag, Value, Vr, tags};

use super::bulk::{BulkByUri, BulkPart};
use super::join::{missing, text, unjoined};
use super::media::{is_video, segments, transfer_syntax};
use super::pictures::{PictureKind, Room, picture_data};
use crate::error::ArchiveError;
use crate::transcode::Spool;

/// What is read of a codestream to see what it is: its markers, and what applications put between them.
const BEGINNING_BYTES: u64 = 256 << 10;

/// The header of an item: tag and length.
const ITEM_HEADER_BYTES: u64 = 8;

pub(super) const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);
pub(super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);

/// How the pixel data of a file is encoded.
#[derive(Default)]
pub(super) struct Pixels {
    /// `None` for what is native.
    pub transfer_syntax_uid: Option<&'static str>,
    /// What lies behind the end of the spool: a value that is made of several parts.
    pub made: Option<MadeFile<Arc<Spool>>>,
}

/// Puts the pixel data of that URI in its place.
pub(super) fn pixel_data(
    bulk: &BulkByUri,
    uri: &str,
    data_set: &mut DataSet,
    told: Option<&str>,
    room: &Room<'_>,
) -> Result<Pixels, ArchiveError> {
    let frames = number_of_frames(data_set);
    let parts = parts(bulk, uri, frames)?;
    check_media_types(&parts)?;
    if let Some(kind) = PictureKind::of(&parts[0].content_type) {
        return picture_data(bulk, &parts, kind, data_set, room);
    }
    let beginning = bulk.beginning(parts[0], BEGINNING_BYTES)?;
    let syntax = transfer_syntax(&parts[0].content_type, &beginning, told)?;
    let extents: Vec<(u64, u64)> = parts.iter().map(|part| part.extent()).collect();
    let Some(uid) = syntax else {
        return Ok(native(bulk, data_set, &extents));
    };
    if let [part] = parts[..] {
        if let Some(value) = encapsulated(bulk, part)? {
            set(data_set, Vr::OB, Value::Stored(value));
            return Ok(Pixels {
                transfer_syntax_uid: Some(uid),
                made: None,
            });
        }
    }
    let wanted = if is_video(uid) { 1 } else { u64::from(frames) };
    if extents.len() as u64 != wanted {
        let problem = format!(
            "{} parts have the BulkDataURI of the pixel data, and there should be one for each of {wanted} frames",
            extents.len()
        );
        return Err(unjoined("pixel_data.frames", problem));
    }
    if let Some(format) = format_of(uid, &beginning) {
        describe(data_set, &format);
    }
    let made = MadeFile::encapsulated(Arc::clone(&bulk.spool), &extents);
    let value = StoredValue {
        offset: bulk.spool.size(),
        length: made.size(),
        encapsulated: true,
    };
    set(data_set, Vr::OB, Value::Stored(value));
    Ok(Pixels {
        transfer_syntax_uid: Some(uid),
        made: Some(made),
    })
}

/// The parts of the frames, at least one.
fn parts<'a>(
    bulk: &'a BulkByUri,
    uri: &str,
    frames: u32,
) -> Result<Vec<&'a BulkPart>, ArchiveError> {
    let parts = bulk.parts_of(uri);
    if !parts.is_empty() {
        return Ok(parts);
    }
    // As a retrieve gives them: each under an address of its own.
    let parts: Vec<_> = (1..=frames)
        .map_while(|number| bulk.frame(uri, number))
        .collect();
    match parts.is_empty() {
        true => Err(missing(tags::PIXEL_DATA, uri)),
        false => Ok(parts),
    }
}

/// All parts are of one media type.
fn check_media_types(parts: &[&BulkPart]) -> Result<(), ArchiveError> {
    let first = &parts[0].content_type;
    if parts.iter().any(|part| part.content_type != *first) {
        let problem = "frames of one image come in several media types".to_owned();
        return Err(unjoined("pixel_data.media_types", problem));
    }
    Ok(())
}

fn number_of_frames(data_set: &DataSet) -> u32 {
    let frames = text(data_set, tags::NUMBER_OF_FRAMES);
    frames.trim().parse().unwrap_or(1).max(1)
}

/// Native pixel data, in one part or several.
fn native(bulk: &BulkByUri, data_set: &mut DataSet, extents: &[(u64, u64)]) -> Pixels {
    let (offset, length, made) = match *extents {
        [(offset, length)] => (offset, length, None),
        _ => {
            let made = MadeFile::joined(Arc::clone(&bulk.spool), extents);
            (bulk.spool.size(), made.size(), Some(made))
        }
    };
    let value = Value::Stored(StoredValue {
        offset,
        length,
        encapsulated: false,
    });
    let vr = data_set.get(tags::PIXEL_DATA).map_or(Vr::OW, |it| it.vr);
    set(data_set, vr, value);
    Pixels {
        transfer_syntax_uid: None,
        made,
    }
}

pub(super) fn set(data_set: &mut DataSet, vr: Vr, value: Value) {
    let tag = tags::PIXEL_DATA;
    data_set.insert(DataElement { tag, vr, value });
}

/// Where the fragments of a part are that is a whole encapsulated value already, as some clients send it although the
/// standard has codestreams there (PS3.18 §8.7.3.3.2); `None` if it is a codestream.
fn encapsulated(bulk: &BulkByUri, part: &BulkPart) -> Result<Option<StoredValue>, ArchiveError> {
    let (mut at, end) = (part.offset, part.offset + part.length);
    let value = |length| StoredValue {
        offset: part.offset,
        length,
        encapsulated: true,
    };
    let damaged = |at: u64| {
        let problem = format!(
            "the part of the pixel data begins as items do (PS3.5 §A.4), and has none at byte {}",
            at - part.offset
        );
        unjoined("pixel_data.fragments", problem)
    };
    while at < end {
        let mut header = [0; 8];
        let whole =
            end - at >= ITEM_HEADER_BYTES && bulk.spool.read_at(&mut header, at)? == header.len();
        let (tag, length) = header.split_at(4);
        match tag {
            b"\xFE\xFF\x00\xE0" if whole => {
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                at += ITEM_HEADER_BYTES + u64::from(length);
            }
            b"\xFE\xFF\xDD\xE0" if whole && at > part.offset && at + 8 == end => {
                return Ok(Some(value(part.length)));
            }
            _ if at == part.offset => return Ok(None),
            _ => return Err(damaged(at)),
        }
    }
    // Without a delimiter it cannot be told from one that was cut off.
    match part.length {
        0 => Ok(None),
        _ => Err(damaged(end.min(at))),
    }
}

/// Says of the samples what the metadata does not and they do: the Image Pixel Description Macro may be left out (PS3.18
/// §10.5.1.4), so that this is no coercion.
pub(super) fn describe(data_set: &mut DataSet, format: &FrameFormat) {
    let number = |tag: Tag, number: u32| {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        DataElement::new(tag, Vr::US, number.to_le_bytes())
    };
    let signed = u32::from(format.sample == Sample::Signed);
    let photometric = format.photometric.name().as_bytes();
    let mut found = vec![
        number(tags::SAMPLES_PER_PIXEL, format.samples_per_pixel.into()),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, Vr::CS, photometric),
        number(tags::ROWS, format.rows),
        number(tags::COLUMNS, format.columns),
        number(tags::BITS_ALLOCATED, format.bits_allocated.into()),
        number(BITS_STORED, format.bits_stored.into()),
        number(HIGH_BIT, u32::from(format.bits_stored.max(1)) - 1),
        number(tags::PIXEL_REPRESENTATION, signed),
    ];
    if format.samples_per_pixel > 1 {
        found.push(number(PLANAR_CONFIGURATION, format.planar.into()));
    }
    for element in found {
        if data_set
            .get(element.tag)
            .is_none_or(|it| it.value.is_empty())
        {
            data_set.insert(element);
        }
    }
}

/// What the codestream says of its samples.
fn format_of(transfer_syntax_uid: &str, codestream: &[u8]) -> Option<FrameFormat> {
    let family = transfer_syntax_uid.strip_prefix("1.2.840.10008.1.2.4.")?;
    match family {
        "50" | "51" | "57" | "70" => jpeg_file(codestream).ok().map(|file| file.format),
        "80" | "81" => jpeg_ls(codestream),
        "90" | "91" | "92" | "93" | "201" | "202" | "203" => jpeg_2000(codestream),
        _ => None,
    }
}

/// The frame header of JPEG-LS (ISO 14495-1 C.2.2).
fn jpeg_ls(codestream: &[u8]) -> Option<FrameFormat> {
    const START_OF_FRAME: u8 = 0xF7;
    let (_, header) = segments(codestream).find(|(marker, _)| *marker == START_OF_FRAME)?;
    let [precision, y0, y1, x0, x1, components, ..] = *header else {
        return None;
    };
    let colour = (components > 1).then_some(Photometric::Rgb);
    format(
        u16::from_be_bytes([y0, y1]).into(),
        u16::from_be_bytes([x0, x1]).into(),
        components.into(),
        precision.into(),
        Sample::Unsigned,
        colour,
    )
}

/// The size and the coding style of JPEG 2000 (ISO 15444-1 A.5.1, A.6.1).
fn jpeg_2000(codestream: &[u8]) -> Option<FrameFormat> {
    const SIZE: u8 = 0x51;
    const CODING_STYLE: u8 = 0x52;
    let (_, size) = segments(codestream).find(|(marker, _)| *marker == SIZE)?;
    let word = |at: usize| -> Option<u32> {
        let bytes = size.get(at..at + 4)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let columns = word(2)?.checked_sub(word(10)?)?;
    let rows = word(6)?.checked_sub(word(14)?)?;
    let components = u16::from_be_bytes([*size.get(34)?, *size.get(35)?]);
    let depth = *size.get(36)?;
    let sample = if depth & 0x80 == 0 {
        Sample::Unsigned
    } else {
        Sample::Signed
    };
    let style = segments(codestream).find(|(marker, _)| *marker == CODING_STYLE);
    let style = style.map(|(_, style)| style).unwrap_or_default();
    let colour = match (style.get(4), style.get(9)) {
        (Some(1), Some(0)) => Photometric::YbrIct,
        (Some(1), _) => Photometric::YbrRct,
        _ => Photometric::Rgb,
    };
    let colour = (components > 1).then_some(colour);
    format(
        rows,
        columns,
        components,
        u16::from(depth & 0x7F) + 1,
        sample,
        colour,
    )
}

fn format(
    rows: u32,
    columns: u32,
    samples_per_pixel: u16,
    bits_stored: u16,
    sample: Sample,
    colour: Option<Photometric>,
) -> Option<FrameFormat> {
    let is_known = matches!(samples_per_pixel, 1 | 3) && (1..=32).contains(&bits_stored);
    is_known.then_some(FrameFormat {
        rows,
        columns,
        samples_per_pixel,
        bits_allocated: match bits_stored {
            0..=8 => 8,
            9..=16 => 16,
            _ => 32,
        },
        bits_stored,
        sample,
        planar: false,
        photometric: colour.unwrap_or(Photometric::Monochrome2),
    })
}
