//! Made-up images of every kind, and settings of archives for them.

use std::path::PathBuf;

use vna_dicom::{FileMetaFields, write_file_meta};
use vna_node::{Duplicates, LimitSettings, Settings, StorageSettings, UploadSettings};

use crate::common::Who;

pub fn settings(large_object_bytes: u64) -> Settings {
    Settings {
        storage: StorageSettings {
            root: PathBuf::from("/archive"),
            segment_bytes: 400_000,
            large_object_bytes,
            duplicates: Duplicates::IfChanged,
            patient_issuers: false,
            keep: vna_node::KeepSettings::default(),
            duplicate_retention_days: 0,
            undelete_hours: 0,
            recompress: None,
            recompress_after_days: 0,
            ingest_transcoding: String::new(),
            ingest_transcoding_of_uncompressed: true,
            ingest_transcoding_of_compressed: true,
        },
        uploads: UploadSettings::default(),
        limits: LimitSettings {
            spool_bytes: 1 << 20,
            index_cache_bytes: 1 << 20,
            unpacked_cache_bytes: 100_000,
        },
        dictionary: Default::default(),
        notes: Default::default(),
        tls: Default::default(),
        pictures: Default::default(),
        archives: Default::default(),
        index: Default::default(),
        http: Default::default(),
        dicomweb: Default::default(),
        codecs: Default::default(),
    }
}

/// What the pixels of a made-up image are.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    pub syntax: &'static str,
    pub photometric: &'static str,
    pub samples: u16,
    pub allocated: u16,
    pub stored: u16,
    pub signed: bool,
    pub planar: bool,
    pub frames: u32,
    pub rows: u16,
    pub columns: u16,
    /// Bits above Bits Stored that are set now and then: overlays, or junk.
    pub high_bits: bool,
    /// Behind the frames in the pixel data.
    pub padding: usize,
    pub trailing: bool,
}

pub const GRAY: Image = Image {
    syntax: "1.2.840.10008.1.2.1",
    photometric: "MONOCHROME2",
    samples: 1,
    allocated: 16,
    stored: 12,
    signed: false,
    planar: false,
    frames: 1,
    rows: 67,
    columns: 61,
    high_bits: false,
    padding: 0,
    trailing: false,
};

pub fn images() -> Vec<Image> {
    let (rgb, big, implicit) = ("RGB", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2");
    let eight = Image {
        allocated: 8,
        stored: 8,
        ..GRAY
    };
    let colour = Image {
        photometric: rgb,
        samples: 3,
        ..eight
    };
    vec![
        GRAY,
        Image {
            signed: true,
            ..GRAY
        },
        Image {
            signed: true,
            stored: 16,
            frames: 3,
            ..GRAY
        },
        Image {
            high_bits: true,
            ..GRAY
        },
        Image {
            high_bits: true,
            signed: true,
            trailing: true,
            ..GRAY
        },
        Image {
            syntax: big,
            ..GRAY
        },
        Image {
            syntax: big,
            signed: true,
            trailing: true,
            frames: 2,
            ..GRAY
        },
        Image {
            syntax: implicit,
            padding: 5,
            ..GRAY
        },
        Image { stored: 1, ..GRAY },
        Image {
            rows: 1,
            columns: 1,
            ..GRAY
        },
        Image {
            rows: 1,
            columns: 4_001,
            ..GRAY
        },
        Image {
            allocated: 8,
            stored: 5,
            high_bits: true,
            padding: 300,
            ..GRAY
        },
        Image {
            syntax: big,
            trailing: true,
            ..eight
        },
        Image {
            photometric: "PALETTE COLOR",
            frames: 4,
            ..eight
        },
        Image {
            frames: 5,
            rows: 13,
            columns: 9,
            ..eight
        },
        colour,
        Image {
            planar: true,
            frames: 2,
            trailing: true,
            ..colour
        },
        Image {
            photometric: "YBR_FULL",
            ..colour
        },
        Image {
            photometric: "YBR_FULL_422",
            ..colour
        },
        Image {
            allocated: 16,
            stored: 16,
            planar: true,
            ..colour
        },
        Image {
            allocated: 16,
            stored: 16,
            syntax: big,
            ..colour
        },
        Image {
            allocated: 32,
            stored: 32,
            trailing: true,
            ..GRAY
        },
        Image {
            allocated: 1,
            stored: 1,
            frames: 3,
            ..GRAY
        },
        Image {
            samples: 4,
            photometric: "CMYK",
            ..eight
        },
        Image {
            photometric: "nonsense",
            ..GRAY
        },
        Image {
            frames: 900_000,
            ..GRAY
        }, // more than there are
        Image { rows: 0, ..GRAY },
    ]
}

impl Image {
    /// A PS3.10 file of `who` with these pixels.
    pub fn file(&self, who: Who) -> Vec<u8> {
        let mut file = write_file_meta(&FileMetaFields {
            media_storage_sop_class_uid: "1.2.840.10008.5.1.4.1.1.7",
            media_storage_sop_instance_uid: &who.sop_uid(),
            transfer_syntax_uid: self.syntax,
            source_application_entity_title: "",
        });
        let mut put =
            |tag: u32, vr: &[u8; 2], value: &[u8]| self.element(&mut file, tag, vr, value);
        put(0x0008_0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0");
        put(0x0008_0018, b"UI", who.sop_uid().as_bytes());
        put(0x0010_0010, b"PN", b"Name");
        put(0x0010_0020, b"LO", who.patient_id().as_bytes());
        put(0x0020_000D, b"UI", who.study_uid().as_bytes());
        put(0x0020_000E, b"UI", who.series_uid().as_bytes());
        put(0x0028_0002, b"US", &self.number(self.samples));
        put(0x0028_0004, b"CS", self.photometric.as_bytes());
        put(0x0028_0006, b"US", &self.number(self.planar.into()));
        put(0x0028_0008, b"IS", self.frames.to_string().as_bytes());
        put(0x0028_0010, b"US", &self.number(self.rows));
        put(0x0028_0011, b"US", &self.number(self.columns));
        put(0x0028_0100, b"US", &self.number(self.allocated));
        put(0x0028_0101, b"US", &self.number(self.stored));
        put(0x0028_0103, b"US", &self.number(self.signed.into()));
        put(0x7FE0_0010, b"OW", &self.pixels());
        if self.trailing {
            put(0xFFFC_FFFC, b"OB", &[7; 9_000]);
        }
        file
    }

    fn number(&self, number: u16) -> [u8; 2] {
        match self.syntax {
            "1.2.840.10008.1.2.2" => number.to_be_bytes(),
            _ => number.to_le_bytes(),
        }
    }

    fn element(&self, file: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8]) {
        let length = u32::try_from(value.len() + value.len() % 2).unwrap();
        let is_big = self.syntax == "1.2.840.10008.1.2.2";
        let long = |number: u32| {
            if is_big {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            }
        };
        file.extend(self.number((tag >> 16) as u16));
        file.extend(self.number((tag & 0xFFFF) as u16));
        match (self.syntax, vr) {
            ("1.2.840.10008.1.2", _) => file.extend(long(length)),
            (_, b"OW" | b"OB") => {
                file.extend(vr);
                file.extend([0, 0]);
                file.extend(long(length));
            }
            _ => {
                file.extend(vr);
                file.extend(self.number(u16::try_from(length).unwrap()));
            }
        }
        file.extend(value);
        let pad = if vr == b"CS" { b' ' } else { 0 };
        file.resize(file.len() + value.len() % 2, pad);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "noise is cut to the size of a sample"
    )]
    fn pixels(&self) -> Vec<u8> {
        let samples = u32::from(self.rows) * u32::from(self.columns) * u32::from(self.samples);
        let count = samples * self.frames.min(5);
        let (mut pixels, mut noise) = (Vec::new(), 1_u32);
        for at in 0..count {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let smooth = at / u32::from(self.columns.max(1)) * 7 + at % 31 + (noise >> 30);
            let mut value = smooth.wrapping_sub(u32::from(self.signed) * 200);
            if self.stored < 16 && !self.signed {
                value &= (1 << self.stored) - 1;
            }
            if self.high_bits && noise >> 24 == 3 {
                value |= 0x8000_8080;
            }
            match (self.allocated, self.number(value as u16)) {
                (1, _) => pixels.extend((at % 8 == 0).then_some((noise >> 24) as u8)),
                (8, _) => pixels.push(value as u8),
                (16, bytes) => pixels.extend(bytes),
                _ => pixels.extend(value.to_le_bytes()),
            }
        }
        pixels.extend((0..self.padding).map(|at| (at * 7) as u8));
        pixels
    }
}
