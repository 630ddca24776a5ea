//! Small phantoms: data sets written by the rules of PS3.5 §7, in every encoding.

use vna_dicom::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    FileMetaFields, IMPLICIT_VR_LITTLE_ENDIAN, Tag, Vr, tags, write_file_meta,
};

/// The forms that a data set is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Implicit,
    Explicit,
    Big,
    Deflated,
}

pub const FORMS: [Form; 4] = [Form::Implicit, Form::Explicit, Form::Big, Form::Deflated];

impl Form {
    pub fn uid(self) -> &'static str {
        match self {
            Form::Implicit => IMPLICIT_VR_LITTLE_ENDIAN,
            Form::Explicit => EXPLICIT_VR_LITTLE_ENDIAN,
            Form::Big => EXPLICIT_VR_BIG_ENDIAN,
            Form::Deflated => DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        }
    }
}

/// An element to write.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    pub tag: Tag,
    pub vr: Vr,
    pub value: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Bytes(Vec<u8>),
    /// Items, and whether lengths are defined.
    Sequence(Vec<Vec<Item>>, bool),
    Fragments(Vec<Vec<u8>>),
}

pub fn bytes(tag: Tag, vr: Vr, value: impl AsRef<[u8]>) -> Item {
    Item {
        tag,
        vr,
        value: Value::Bytes(value.as_ref().to_vec()),
    }
}

pub fn sequence(tag: Tag, items: Vec<Vec<Item>>, defined: bool) -> Item {
    Item {
        tag,
        vr: Vr::SQ,
        value: Value::Sequence(items, defined),
    }
}

pub struct Writer {
    pub out: Vec<u8>,
    form: Form,
}

impl Writer {
    pub fn new(form: Form) -> Self {
        Writer {
            out: Vec::new(),
            form,
        }
    }

    fn u16(&mut self, number: u16) {
        let bytes = if self.form == Form::Big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.out.extend_from_slice(&bytes);
    }

    fn u32(&mut self, number: u32) {
        let bytes = if self.form == Form::Big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.out.extend_from_slice(&bytes);
    }

    pub fn tag(&mut self, tag: Tag) {
        self.u16(tag.0);
        self.u16(tag.1);
    }

    pub fn header(&mut self, tag: Tag, vr: Vr, length: u32) {
        self.tag(tag);
        if self.form == Form::Implicit {
            return self.u32(length);
        }
        self.out.extend_from_slice(&vr.0);
        if vr.has_short_length() {
            self.u16(u16::try_from(length).expect("a short value"));
        } else {
            self.u16(0);
            self.u32(length);
        }
    }

    pub fn items(&mut self, elements: &[Item]) {
        for element in elements {
            self.element(element);
        }
    }

    pub fn element(&mut self, element: &Item) {
        match &element.value {
            Value::Bytes(value) => {
                self.header(element.tag, element.vr, length(value));
                self.out.extend_from_slice(value);
            }
            Value::Fragments(fragments) => {
                self.header(element.tag, element.vr, u32::MAX);
                for fragment in fragments {
                    self.tag(tags::ITEM);
                    self.u32(length(fragment));
                    self.out.extend_from_slice(fragment);
                }
                self.tag(tags::SEQUENCE_DELIMITATION_ITEM);
                self.u32(0);
            }
            Value::Sequence(items, defined) => {
                let mut inner = Writer::new(self.form);
                for item in items {
                    let mut content = Writer::new(self.form);
                    content.items(item);
                    inner.tag(tags::ITEM);
                    inner.u32(if *defined {
                        length(&content.out)
                    } else {
                        u32::MAX
                    });
                    inner.out.append(&mut content.out);
                    if !defined {
                        inner.tag(tags::ITEM_DELIMITATION_ITEM);
                        inner.u32(0);
                    }
                }
                self.header(
                    element.tag,
                    element.vr,
                    if *defined {
                        length(&inner.out)
                    } else {
                        u32::MAX
                    },
                );
                self.out.append(&mut inner.out);
                if !defined {
                    self.tag(tags::SEQUENCE_DELIMITATION_ITEM);
                    self.u32(0);
                }
            }
        }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a small phantom")
}

/// The bytes of a data set, deflated if the form says so.
pub fn data_set(elements: &[Item], form: Form) -> Vec<u8> {
    let mut writer = Writer::new(form);
    writer.items(elements);
    if form == Form::Deflated {
        deflate(&writer.out)
    } else {
        writer.out
    }
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A Part 10 file of a data set.
pub fn file(elements: &[Item], form: Form) -> Vec<u8> {
    file_as(form.uid(), &data_set(elements, form))
}

pub fn file_as(transfer_syntax_uid: &str, data_set: &[u8]) -> Vec<u8> {
    let mut file = write_file_meta(&FileMetaFields {
        media_storage_sop_class_uid: "1.2.840.10008.5.1.4.1.1.7",
        media_storage_sop_instance_uid: "1.2.3.4",
        transfer_syntax_uid,
        source_application_entity_title: "PHANTOM",
    });
    file.extend_from_slice(data_set);
    file
}

/// The identity of an instance, sorted, with nothing behind group 0020.
pub fn identity() -> Vec<Item> {
    vec![
        bytes(tags::SPECIFIC_CHARACTER_SET, Vr::CS, "ISO_IR 100"),
        bytes(tags::SOP_CLASS_UID, Vr::UI, "1.2.840.10008.5.1.4.1.1.7\0"),
        bytes(tags::SOP_INSTANCE_UID, Vr::UI, "1.2.3.4\0"),
        bytes(tags::STUDY_DATE, Vr::DA, "20200229"),
        bytes(tags::ACCESSION_NUMBER, Vr::SH, "A1"),
        sequence(
            tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
            vec![vec![bytes(tags::LOCAL_NAMESPACE_ENTITY_ID, Vr::UT, "RIS ")]],
            true,
        ),
        bytes(tags::MODALITY, Vr::CS, "OT"),
        bytes(tags::PATIENT_NAME, Vr::PN, b"Buc^J\xe9r\xf4me "),
        bytes(tags::PATIENT_ID, Vr::LO, " P1 "),
        bytes(tags::ISSUER_OF_PATIENT_ID, Vr::LO, "HOSP"),
        bytes(tags::STUDY_INSTANCE_UID, Vr::UI, "1.2.3\0"),
        bytes(tags::SERIES_INSTANCE_UID, Vr::UI, "1.2.3.1\0"),
        bytes(tags::INSTANCE_NUMBER, Vr::IS, "7 "),
    ]
}

/// US values in the byte order of the form.
pub fn us(form: Form, tag: Tag, number: u16) -> Item {
    let value = if form == Form::Big {
        number.to_be_bytes()
    } else {
        number.to_le_bytes()
    };
    bytes(tag, Vr::US, value)
}

/// An image of 2 x 3 pixels of one byte, `frames` frames of native pixel data.
pub fn image(form: Form, frames: u16) -> Vec<Item> {
    let mut elements = identity();
    elements.extend([
        us(form, tags::SAMPLES_PER_PIXEL, 1),
        bytes(tags::PHOTOMETRIC_INTERPRETATION, Vr::CS, "MONOCHROME2 "),
        bytes(tags::NUMBER_OF_FRAMES, Vr::IS, format!("{frames:<4}")),
        us(form, tags::ROWS, 2),
        us(form, tags::COLUMNS, 3),
        us(form, tags::BITS_ALLOCATED, 8),
        bytes(tags::PIXEL_DATA, Vr::OW, vec![7; usize::from(frames) * 6]),
        bytes(tags::DATA_SET_TRAILING_PADDING, Vr::OB, [0; 4]),
    ]);
    elements
}
