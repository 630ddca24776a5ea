//! What a header says of its pixel data, after that has changed (PS3.3 §C.7.6.3, §C.7.6.1.1.5).

use vna_codec::{FrameFormat, Sample};
use vna_dicom::{CharacterSet, DataElement, DataSet, ReadAt, Revision, Tag, Value, Vr, tags};

use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
const ICON_IMAGE_SEQUENCE: Tag = Tag(0x0088, 0x0200);
const ENCAPSULATED_PIXEL_DATA_VALUE_TOTAL_LENGTH: Tag = Tag(0x7FE0, 0x0003);
pub(super) const LOSSY_IMAGE_COMPRESSION: Tag = Tag(0x0028, 0x2110);
const LOSSY_IMAGE_COMPRESSION_RATIO: Tag = Tag(0x0028, 0x2112);
const LOSSY_IMAGE_COMPRESSION_METHOD: Tag = Tag(0x0028, 0x2114);

/// What tells where frames are in pixel data.
const PIXEL_TABLES: [Tag; 3] = [
    tags::EXTENDED_OFFSET_TABLE,
    tags::EXTENDED_OFFSET_TABLE_LENGTHS,
    ENCAPSULATED_PIXEL_DATA_VALUE_TOTAL_LENGTH,
];

/// What tells how pixel data is encoded, and not what its samples are: all that transcoding without loss may change.
pub(crate) const PIXEL_DESCRIPTION: [Tag; 5] = [
    tags::PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    PIXEL_TABLES[0],
    PIXEL_TABLES[1],
    PIXEL_TABLES[2],
];

/// What of an image's header transcoding cannot keep, or has to add: an encapsulated icon, that there was loss before.
pub(crate) fn lost_before<S: ReadAt<Error = ArchiveError>>(image: &StoredImage<S>) -> Vec<Tag> {
    let mut tags = Vec::new();
    if has_encapsulated_icon(&image.data_set) {
        tags.push(ICON_IMAGE_SEQUENCE);
    }
    if ALWAYS_LOSSY.contains(&image.transfer_syntax_uid.trim_end_matches(['\0', ' '])) {
        tags.extend([
            LOSSY_IMAGE_COMPRESSION,
            LOSSY_IMAGE_COMPRESSION_RATIO,
            LOSSY_IMAGE_COMPRESSION_METHOD,
        ]);
    }
    tags
}

/// Transfer syntaxes that cannot be but lossy: those of the discrete cosine transform.
const ALWAYS_LOSSY: [&str; 4] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.55",
];

/// The elements that say of an image that its frames are of `format` now.
pub(super) fn revision<S: ReadAt<Error = ArchiveError>>(
    image: &StoredImage<S>,
    format: &FrameFormat,
) -> Revision<ArchiveError> {
    let (header, stored) = (&image.data_set, &image.format);
    let mut new = DataSet::new();
    let tag = tags::PHOTOMETRIC_INTERPRETATION;
    let photometric = format.photometric.name();
    if text(header, tag).as_deref() != Some(photometric) {
        new.insert(DataElement::new(tag, Vr::CS, photometric));
    }
    let mut set = |tag, number: u16| {
        new.insert(DataElement::new(tag, Vr::US, number.to_le_bytes()));
    };
    if format.samples_per_pixel > 1 {
        set(PLANAR_CONFIGURATION, 0);
    }
    if format.bits_allocated != stored.bits_allocated {
        set(tags::BITS_ALLOCATED, format.bits_allocated);
    }
    if format.bits_stored != stored.bits_stored {
        set(BITS_STORED, format.bits_stored);
        set(HIGH_BIT, format.bits_stored.saturating_sub(1));
    }
    if format.sample != stored.sample {
        let signed = format.sample == Sample::Signed;
        set(tags::PIXEL_REPRESENTATION, signed.into());
    }
    let mut without = PIXEL_TABLES.to_vec();
    if has_encapsulated_icon(header) {
        without.push(ICON_IMAGE_SEQUENCE);
    }
    Revision {
        elements: new,
        without,
        ..Revision::default()
    }
}

/// What the header has to say of samples that a codec gave. Bits Stored stays: codestreams have the bits that their encoder
/// thought of, often all that are allocated, and the samples are the same whatever is said of them.
pub(super) fn with_stored_bits(samples: &FrameFormat, stored: &FrameFormat) -> FrameFormat {
    if samples.bits_allocated != stored.bits_allocated || samples.sample != stored.sample {
        return *samples;
    }
    FrameFormat {
        bits_stored: stored.bits_stored,
        ..*samples
    }
}

/// Whether there is an icon in the transfer syntax that is left. Icons are optional, and one that no reader could decode
/// would be worse than none; native ones stay.
fn has_encapsulated_icon(header: &DataSet) -> bool {
    let is_encapsulated = |item: &DataSet| {
        let pixel_data = item.get(tags::PIXEL_DATA).map(|element| &element.value);
        matches!(pixel_data, Some(Value::Fragments(_)))
    };
    match header.get(ICON_IMAGE_SEQUENCE).map(|icon| &icon.value) {
        Some(Value::Items(items)) => items.iter().any(is_encapsulated),
        _ => false,
    }
}

/// Keeps in mind that an image was compressed with loss where only its transfer syntax said so. `native_bytes` are those
/// of its decoded pixel data.
pub(super) fn note_former_loss<S: ReadAt<Error = ArchiveError>>(
    revision: &mut Revision<ArchiveError>,
    image: &StoredImage<S>,
    native_bytes: u64,
) {
    let uid = image.transfer_syntax_uid.trim_end_matches(['\0', ' ']);
    let known = text(&image.data_set, LOSSY_IMAGE_COMPRESSION);
    if !ALWAYS_LOSSY.contains(&uid) || known.as_deref() == Some("01") {
        return;
    }
    let frames = 0..image.frames.len();
    let encoded_bytes = frames.map(|index| image.frame_bytes(index)).sum();
    note_loss(revision, &image.data_set, uid, native_bytes, encoded_bytes);
}

/// Says that an image was compressed with loss: as what ratio and by which method, behind what is there of earlier
/// compressions (PS3.3 §C.7.6.1.1.5).
pub(super) fn note_loss(
    revision: &mut Revision<ArchiveError>,
    header: &DataSet,
    transfer_syntax_uid: &str,
    native_bytes: u64,
    encoded_bytes: u64,
) {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a ratio of two digits behind the point"
    )]
    let ratio = native_bytes as f64 / encoded_bytes.max(1) as f64;
    let method = vna_codec::pixel_syntax(transfer_syntax_uid).and_then(|syntax| syntax.method);
    let mut append = |tag, vr, value: &str| {
        let before = text(&revision.elements, tag).or_else(|| text(header, tag));
        let value = match before.filter(|before| !before.is_empty()) {
            Some(before) => format!("{before}\\{value}"),
            None => value.to_owned(),
        };
        revision.elements.insert(DataElement::new(tag, vr, value));
    };
    append(
        LOSSY_IMAGE_COMPRESSION_RATIO,
        Vr::DS,
        &format!("{ratio:.2}"),
    );
    if let Some(method) = method {
        append(LOSSY_IMAGE_COMPRESSION_METHOD, Vr::CS, method);
    }
    let lossy = DataElement::new(LOSSY_IMAGE_COMPRESSION, Vr::CS, "01");
    revision.elements.insert(lossy);
}

/// The text of an element.
pub(super) fn text(data_set: &DataSet, tag: Tag) -> Option<String> {
    data_set.get(tag)?.text(&CharacterSet::default())
}
