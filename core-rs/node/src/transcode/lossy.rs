//! What compression with loss makes of an instance: another one, derived from it (PS3.3 §C.7.6.1.1.2, §C.7.6.1.1.5, §C.12.1,
//! PS3.5 §B.2).

use sha1::{Digest, Sha1};
use vna_codec::EncodeOptions;
use vna_dicom::{DataElement, DataSet, ReadAt, Revision, Tag, Value, Vr, tags};

use super::attributes::{LOSSY_IMAGE_COMPRESSION, note_loss, text};
use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

const DERIVATION_DESCRIPTION: Tag = Tag(0x0008, 0x2111);
const SOURCE_IMAGE_SEQUENCE: Tag = Tag(0x0008, 0x2112);
const DERIVATION_CODE_SEQUENCE: Tag = Tag(0x0008, 0x9215);
const REFERENCED_SOP_CLASS_UID: Tag = Tag(0x0008, 0x1150);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
const PURPOSE_OF_REFERENCE_CODE_SEQUENCE: Tag = Tag(0x0040, 0xA170);
const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
const CODING_SCHEME_DESIGNATOR: Tag = Tag(0x0008, 0x0102);
const CODE_MEANING: Tag = Tag(0x0008, 0x0104);

/// Most characters of a value of VR ST (PS3.5 §6.2).
const MAX_SHORT_TEXT: usize = 1024;

/// Gives a UID to what was made of an instance by compression with loss.
///
/// It is made of a name-based UUID (PS3.5 §B.2, RFC 9562 §5.5): of the instance and of the bytes that it was compressed to.
/// So the same compression of the same instance is the same instance, however often it is asked for or sent.
pub(super) struct DerivedUid(Sha1);

impl DerivedUid {
    pub fn new(sop_instance_uid: &str, transfer_syntax_uid: &str) -> Self {
        // A random UUID of ours, which is the name space.
        let mut hash = Sha1::new();
        hash.update(0x5f1c_7a58_9b0e_4d6c_a3b2_61c0_94e7_d21f_u128.to_be_bytes());
        hash.update(sop_instance_uid);
        hash.update([0]);
        hash.update(transfer_syntax_uid);
        hash.update([0]);
        DerivedUid(hash)
    }

    /// Takes the next frame.
    pub fn update(&mut self, codestream: &[u8]) {
        self.0.update((codestream.len() as u64).to_be_bytes());
        self.0.update(codestream);
    }

    pub fn finish(self) -> String {
        let hash = self.0.finalize();
        let first: [u8; 16] = hash.first_chunk().copied().unwrap_or_default();
        let version = 0xF << 76;
        let variant = 0b11 << 62;
        let uuid = u128::from_be_bytes(first) & !(version | variant) | 5 << 76 | 0b10 << 62;
        format!("2.25.{uuid}")
    }
}

/// Adds what makes the header that of the derived instance.
pub(super) fn derive<S: ReadAt<Error = ArchiveError>>(
    revision: &mut Revision<ArchiveError>,
    image: &StoredImage<S>,
    transfer_syntax_uid: &str,
    options: &EncodeOptions,
    (native_bytes, encoded_bytes): (u64, u64),
    new_uid: &str,
) {
    let header = &image.data_set;
    let was_lossy = [&revision.elements, header]
        .iter()
        .any(|data_set| text(data_set, LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01"));
    note_loss(
        revision,
        header,
        transfer_syntax_uid,
        native_bytes,
        encoded_bytes,
    );
    let new = &mut revision.elements;
    new.insert(DataElement::new(tags::SOP_INSTANCE_UID, Vr::UI, new_uid));
    new.insert(DataElement::new(
        tags::IMAGE_TYPE,
        Vr::CS,
        image_type(header),
    ));
    if let Some(description) = description(header, transfer_syntax_uid, options) {
        new.insert(DataElement::new(
            DERIVATION_DESCRIPTION,
            Vr::ST,
            description,
        ));
    }
    let lossy_compression = code("113040", "Lossy Compression");
    new.insert(appended(
        header,
        DERIVATION_CODE_SEQUENCE,
        lossy_compression,
    ));
    new.insert(appended(
        header,
        SOURCE_IMAGE_SEQUENCE,
        source(header, was_lossy),
    ));
    revision.derived = true;
}

fn image_type(header: &DataSet) -> String {
    let before = text(header, tags::IMAGE_TYPE).unwrap_or_default();
    match before.split_once('\\') {
        Some((_, rest)) => format!("DERIVED\\{rest}"),
        None => "DERIVED\\PRIMARY".to_owned(),
    }
}

/// The Derivation Description with a sentence more; `None` if there is no room for it.
fn description(header: &DataSet, uid: &str, options: &EncodeOptions) -> Option<Vec<u8>> {
    let name = vna_codec::pixel_syntax(uid).map_or(uid, |syntax| syntax.name);
    let how = match uid {
        "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.51" => {
            format!("quality {}", options.quality)
        }
        super::JPEG_LS_NEAR_LOSSLESS => format!("differences of at most {}", options.near),
        _ => format!("ratio {} aimed at", options.ratio),
    };
    let mut all = match header
        .get(DERIVATION_DESCRIPTION)
        .map(|element| &element.value)
    {
        Some(Value::Bytes(before)) if !before.is_empty() => {
            [before.trim_ascii_end(), b"; "].concat()
        }
        _ => Vec::new(),
    };
    all.extend_from_slice(format!("Lossy compression: {name}, {how}").as_bytes());
    (all.len() <= MAX_SHORT_TEXT).then_some(all)
}

/// The items of a sequence and one more.
fn appended(header: &DataSet, tag: Tag, item: DataSet) -> DataElement {
    let mut items = match header.get(tag).map(|element| &element.value) {
        Some(Value::Items(items)) => items.clone(),
        _ => Vec::new(),
    };
    items.push(item);
    DataElement::sequence(tag, items)
}

fn source(header: &DataSet, was_lossy: bool) -> DataSet {
    let uid = |tag| text(header, tag).unwrap_or_default();
    // PS3.16 CID 7202.
    let purpose = if was_lossy {
        code("121322", "Source image for image processing operation")
    } else {
        code("121320", "Uncompressed predecessor")
    };
    DataSet::from_iter([
        DataElement::new(REFERENCED_SOP_CLASS_UID, Vr::UI, uid(tags::SOP_CLASS_UID)),
        DataElement::new(
            REFERENCED_SOP_INSTANCE_UID,
            Vr::UI,
            uid(tags::SOP_INSTANCE_UID),
        ),
        DataElement::sequence(PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]),
    ])
}

/// A code of the DICOM Controlled Terminology (PS3.3 §8.8).
fn code(value: &str, meaning: &str) -> DataSet {
    DataSet::from_iter([
        DataElement::new(CODE_VALUE, Vr::SH, value),
        DataElement::new(CODING_SCHEME_DESIGNATOR, Vr::SH, "DCM"),
        DataElement::new(CODE_MEANING, Vr::LO, meaning),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_is_that_of_a_name_based_uuid_and_depends_on_all_that_made_the_instance() {
        let uid = |instance, syntax, frames: &[&[u8]]| {
            let mut uid = DerivedUid::new(instance, syntax);
            frames.iter().for_each(|frame| uid.update(frame));
            uid.finish()
        };
        let first = uid("1.2.3", "1.2.840.10008.1.2.4.50", &[b"ab", b"c"]);
        assert_eq!(
            first,
            uid("1.2.3", "1.2.840.10008.1.2.4.50", &[b"ab", b"c"])
        );
        for other in [
            uid("1.2.4", "1.2.840.10008.1.2.4.50", &[b"ab", b"c"]),
            uid("1.2.3", "1.2.840.10008.1.2.4.51", &[b"ab", b"c"]),
            uid("1.2.3", "1.2.840.10008.1.2.4.50", &[b"a", b"bc"]),
        ] {
            assert_ne!(first, other);
        }
        let uuid: u128 = first
            .strip_prefix("2.25.")
            .expect("a UUID")
            .parse()
            .expect("a number");
        assert_eq!((uuid >> 76 & 0xF, uuid >> 62 & 0b11), (5, 0b10));
    }
}
