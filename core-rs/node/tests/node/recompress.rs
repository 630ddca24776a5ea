//! Recompressed archives: what was stored comes back bit for bit, whatever its pixels are.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use crate::common::{self, Who};
use crate::images::{GRAY, images, settings};
use vna_dicom::Level;
use vna_io::{Disk, MemoryDisk, Open};
use vna_node::{
    Archive, DEFAULT_TENANT, Method, RecompressStep, RepairOptions, Settings, ToRecompress, check,
    now_us, recompress, reindex, repair,
};

const METHODS: [Method; 5] = [
    Method::Deflate,
    Method::Rle,
    Method::JpegLs,
    Method::J2k,
    Method::Htj2k,
];

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
        give_up_originals: false,
        lossy: false,
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
fn a_damaged_form_is_told_by_name_set_aside_and_costs_one_instance() {
    let settings = settings(1_000_000);
    let files: Vec<_> = (1..=3)
        .map(|number| {
            let who = Who(1, 1, 1, number);
            (who, GRAY.file(who))
        })
        .collect();
    for method in [Method::JpegLs, Method::Htj2k, Method::Deflate] {
        let of = format!("{method:?}");
        let disk = archive_with(&files, &settings);
        assert_eq!(recompress_all(&disk, &settings, method).recompressed, 3);
        let id = files[1].0.public_id(Level::Instance);
        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        let opened = archive.open_file(DEFAULT_TENANT, &id).unwrap();
        let (located, _) = opened.expect("is there");
        drop(archive);
        // Behind the head, which is kept as it was: in a codestream, or in deflated bytes.
        let blob = located.blob;
        let at = u64::try_from(blob.place_b).unwrap() + blob.stored_size - 400;
        let path = format!("/archive/log/segments/{:016x}.seg", blob.place_a);
        let file = disk.open(Path::new(&path), Open::Write).expect("a pack");
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[IoSlice::new(&[byte[0] ^ 0x10])], at)
            .unwrap();
        drop(file);

        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        let read = |who: &Who| {
            let id = who.public_id(Level::Instance);
            let opened = archive.open_file(DEFAULT_TENANT, &id).unwrap();
            let (_, stored) = opened.expect("is there");
            (stored.read_all(), stored.verify())
        };
        let (bytes, verdict) = read(&files[1].0);
        assert_eq!(
            bytes.expect_err("damage").code(),
            "record.body_digest",
            "{of}"
        );
        assert_eq!(
            verdict.expect_err("damage").code(),
            "record.body_digest",
            "{of}"
        );
        for (who, file) in [&files[0], &files[2]] {
            assert!(read(who).0.unwrap() == *file, "{of}: {who:?}");
        }
        archive.stop().expect("stops");
        drop(archive);

        let report = check(&disk, &settings, &mut |_, _| {}).expect("checks");
        assert_eq!(report.problems.len(), 1, "{of}: {:?}", report.problems);
        let accepting = RepairOptions {
            dry_run: false,
            accept_loss: true,
        };
        let repaired =
            repair(&disk, &settings, accepting, now_us(), &mut |_, _| {}).expect("repairs");
        assert_eq!(repaired.lost.len(), 1, "{of}");
        assert_eq!(repaired.lost[0].sop_instance_uid, files[1].0.sop_uid());
        let aside = disk.list(Path::new("/archive/log/quarantine")).unwrap();
        assert!(!aside.is_empty(), "{of}: its bytes are kept");
        let whole = [files[0].clone(), files[2].clone()];
        assert_unchanged(&disk, &settings, &whole, &format!("{of}, repaired"));
    }
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
