//! Recompressed archives: what was stored comes back bit for bit, whatever its pixels are.

#[allow(dead_code, reason = "what other tests need of it")]
mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::Who;
use vna_dicom::{FileMetaFields, Level, write_file_meta};
use vna_io::{Disk, MemoryDisk};
use vna_node::{
    Archive, DEFAULT_TENANT, Duplicates, LimitSettings, Method, RecompressStep, Settings,
    StorageSettings, ToRecompress, UploadSettings, check, now_us, recompress, reindex,
};

const METHODS: [Method; 5] = [
    Method::Deflate,
    Method::Rle,
    Method::JpegLs,
    Method::J2k,
    Method::Htj2k,
];

fn settings(large_object_bytes: u64) -> Settings {
    Settings {
        storage: StorageSettings {
            root: PathBuf::from("/archive"),
            segment_bytes: 400_000,
            large_object_bytes,
            duplicates: Duplicates::IfChanged,
            patient_issuers: false,
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
        tls: Default::default(),
        pictures: Default::default(),
        codecs: Default::default(),
    }
}

/// What the pixels of a made-up image are.
#[derive(Clone, Copy, Debug)]
struct Image {
    syntax: &'static str,
    photometric: &'static str,
    samples: u16,
    allocated: u16,
    stored: u16,
    signed: bool,
    planar: bool,
    frames: u32,
    rows: u16,
    columns: u16,
    /// Bits above Bits Stored that are set now and then: overlays, or junk.
    high_bits: bool,
    /// Behind the frames in the pixel data.
    padding: usize,
    trailing: bool,
}

const GRAY: Image = Image {
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

fn images() -> Vec<Image> {
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
    fn file(&self, who: Who) -> Vec<u8> {
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
        file.resize(file.len() + value.len() % 2, 0);
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

fn archive_with(files: &[(Who, Vec<u8>)], settings: &Settings) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
    for (who, file) in files {
        common::store(&archive, file.clone()).unwrap_or_else(|error| panic!("{who:?}: {error}"));
    }
    archive.stop().expect("stops");
    disk
}

fn wanted(method: Method) -> ToRecompress {
    ToRecompress {
        method,
        older_than_days: 0,
        dry_run: false,
        after: 0,
    }
}

fn recompress_all(disk: &Arc<dyn Disk>, settings: &Settings, method: Method) -> RecompressStep {
    let mut sum = RecompressStep::default();
    recompress(disk, settings, &wanted(method), now_us(), &mut |step| {
        assert_eq!(step.problem, None);
        sum.files += step.files;
        sum.recompressed += step.recompressed;
        sum.bytes_before += step.bytes_before;
        sum.bytes_after += step.bytes_after;
        Ok(())
    })
    .expect("recompresses");
    sum
}

/// Every file, whole and in odd pieces, and what `vna check` finds.
fn assert_unchanged(disk: &Arc<dyn Disk>, settings: &Settings, files: &[(Who, Vec<u8>)], of: &str) {
    let archive = Archive::open(Arc::clone(disk), settings.clone()).expect("opens");
    for (who, file) in files {
        let id = who.public_id(Level::Instance);
        let (located, stored) = archive
            .open_file(DEFAULT_TENANT, &id)
            .unwrap()
            .expect("is there");
        assert_eq!(located.file_size, file.len() as u64);
        assert!(stored.read_all().unwrap() == *file, "{of}: {who:?}");
        stored
            .verify()
            .unwrap_or_else(|error| panic!("{of}: {who:?}: {error}"));
        let (mut at, mut piece) = (0, vec![0; 1_733]);
        while at < file.len() {
            let read = stored.read_at(&mut piece, at as u64).unwrap();
            assert_eq!(piece[..read], file[at..at + read], "{of}: {who:?} at {at}");
            at += read;
        }
        assert_eq!(stored.read_at(&mut piece, file.len() as u64).unwrap(), 0);
    }
    archive.stop().expect("stops");
    drop(archive);
    let report = check(disk, settings, &mut |_, _| {}).expect("checks");
    assert_eq!(report.problems, Vec::<String>::new(), "{of}");
}

fn files() -> Vec<(Who, Vec<u8>)> {
    let numbered = (1..).zip(images());
    numbered
        .map(|(number, image)| {
            let who = Who(1, 1, number % 5, number);
            (who, image.file(who))
        })
        .collect()
}

#[test]
fn every_file_comes_back_bit_for_bit_from_every_form() {
    let files = files();
    // In packs, and in files of their own.
    for (method, large) in METHODS
        .into_iter()
        .zip([1_000_000, 9_000].into_iter().cycle())
    {
        let (settings, of) = (settings(large), format!("{method:?}"));
        let disk = archive_with(&files, &settings);
        let done = recompress_all(&disk, &settings, method);
        assert!(done.recompressed > 8, "{of}: {done:?}");
        assert!(done.bytes_after < done.bytes_before, "{of}");
        println!("{of}: {done:?}");
        assert_unchanged(&disk, &settings, &files, &of);
        // What was tried is not tried again.
        assert_eq!(recompress_all(&disk, &settings, method).files, 0, "{of}");
        let rebuilt = reindex(&disk, &settings, &mut |_, _| {}).expect("rebuilds");
        assert_eq!(rebuilt.instances, files.len() as u64);
        assert_eq!(rebuilt.skipped, Vec::<String>::new());
        assert_unchanged(&disk, &settings, &files, &format!("{of}, reindexed"));
    }
}

#[test]
fn one_form_can_follow_another() {
    let (files, settings) = (files(), settings(9_000));
    let disk = archive_with(&files, &settings);
    let deflated = recompress_all(&disk, &settings, Method::Deflate);
    let smaller = recompress_all(&disk, &settings, Method::JpegLs);
    assert!(deflated.recompressed > 0 && smaller.recompressed > 0);
    assert_unchanged(&disk, &settings, &files, "JPEG-LS after deflate");
}

#[test]
fn what_is_young_waits_and_a_dry_run_changes_nothing() {
    let (files, settings) = (files(), settings(1_000_000));
    let disk = archive_with(&files, &settings);
    let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
    let dry = ToRecompress {
        dry_run: true,
        ..wanted(Method::Htj2k)
    };
    let step = archive.recompress(&dry, now_us()).expect("looks");
    assert!(step.files > 0 && step.recompressed == 0);
    let old = ToRecompress {
        older_than_days: 1,
        ..wanted(Method::Htj2k)
    };
    let step = archive.recompress(&old, now_us()).expect("looks");
    assert_eq!((step.files, step.next), (0, None));
    let held = archive.index().totals().unwrap();
    assert_eq!(held.stored_bytes, held.plain_bytes);
    let day_us = 24 * 3600 * 1_000_000;
    let step = archive
        .recompress(&old, now_us() + day_us + 1)
        .expect("recompresses");
    assert!(step.recompressed > 0);
    let held = archive.index().totals().unwrap();
    assert!(held.stored_bytes < held.plain_bytes);
    assert_eq!(archive.index().verify().unwrap(), Vec::<String>::new());
}
